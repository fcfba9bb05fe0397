/*
---
title: Switches verification off when it is told to verify
case: "CVE-2025-66491: Traefik's provider for the annotations of ingress-nginx"
flaw: [no-verification]
---
`proxy-ssl-verify: "on"` went into InsecureSkipVerify as it was. Who asked for verification lost it.
*/

package main

import "crypto/tls"

func init() { clients["traefik-inverted"] = traefikInverted }

func traefikInverted(target, ca, name string) error {
	annotations := map[string]string{"nginx.ingress.kubernetes.io/proxy-ssl-verify": "on"}
	skip := annotations["nginx.ingress.kubernetes.io/proxy-ssl-verify"] == "on"
	if MENDED {
		skip = annotations["nginx.ingress.kubernetes.io/proxy-ssl-verify"] == "off"
	}
	return call(target, &tls.Config{
		RootCAs:            roots(ca),
		ServerName:         name,
		InsecureSkipVerify: skip,
	})
}
