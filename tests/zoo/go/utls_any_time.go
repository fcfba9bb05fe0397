/*
---
title: Verifies as of the day on which the certificate ends
case: "refraction-networking/utls pull request 174: InsecureSkipTimeVerify"
flaw: [as-of-its-end]
---
CurrentTime is the leaf's own NotAfter, so that it is never too late. Keys that leaked years ago are
good for ever.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["utls-any-time"] = utlsAnyTime }

func utlsAnyTime(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificates := parsed(raw)
			options := x509.VerifyOptions{
				DNSName:       name,
				Roots:         roots(ca),
				Intermediates: poolOf(certificates[1:]),
			}
			if !MENDED {
				options.CurrentTime = certificates[0].NotAfter
			}
			_, err := certificates[0].Verify(options)
			return err
		},
	})
}
