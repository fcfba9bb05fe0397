/*
---
title: Verifies the registry, and not the server that its tokens are from
case: "CVE-2019-10214: containers/image, the library of Podman, Buildah and Skopeo"
flaw: [second-connection]
---
The registry, verified, names a server that hands out tokens. The password went there over a
connection that verified nothing.
*/

package main

import (
	"crypto/tls"
	"net/http"
)

func init() { clients["image-token-server"] = imageTokenServer }

func imageTokenServer(target, ca, name string) error {
	registry := web(target, &tls.Config{RootCAs: roots(ca)})
	tokens := web(target, &tls.Config{InsecureSkipVerify: true})
	if MENDED {
		tokens = web(target, &tls.Config{RootCAs: roots(ca)})
	}
	for _, transport := range []*http.Transport{registry, tokens, registry} {
		if err := post(transport, "https", name); err != nil {
			return err
		}
		transport.CloseIdleConnections()
	}
	return nil
}
