/*
---
title: Verifies a chain for whatever purpose it is
case: "the documentation of go-spiffe, package x509svid: Verify, which asks for ExtKeyUsageAny"
flaw: [any-purpose]
---
A workload is client and server, so that the purpose was left out. Where one CA also signs for users
or devices, each of these can play the server.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["spiffe-any-usage"] = spiffeAnyUsage }

func spiffeAnyUsage(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificates := parsed(raw)
			usage := x509.ExtKeyUsageAny
			if MENDED {
				usage = x509.ExtKeyUsageServerAuth
			}
			_, err := certificates[0].Verify(x509.VerifyOptions{
				DNSName:       name,
				Roots:         roots(ca),
				Intermediates: poolOf(certificates[1:]),
				KeyUsages:     []x509.ExtKeyUsage{usage},
			})
			return err
		},
	})
}
