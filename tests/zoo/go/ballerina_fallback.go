/*
---
title: Falls back to the common name where there are no other names
case: "ballerina-nutcracker/ballerina pull request 448: a client with TLS"
flaw: [or-common-name]
---
Go has not looked at the common name since 1.15. This client brings it back for certificates without
a subject alternative name (RFC 9525 section 2: it is free text, and no name).
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["ballerina-fallback"] = ballerinaFallback }

func ballerinaFallback(target, ca, name string) error {
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		_, err := leaf.Verify(x509.VerifyOptions{
			Roots:         roots(ca),
			Intermediates: poolOf(state.PeerCertificates[1:]),
		})
		if err != nil {
			return err
		}
		unnamed := len(leaf.DNSNames) == 0 && len(leaf.IPAddresses) == 0
		if unnamed && leaf.Subject.CommonName == name && !MENDED {
			return nil
		}
		return leaf.VerifyHostname(name)
	}
	return call(target, config)
}
