/*
---
title: Verifies the chain by hand, and leaves the name out
case: "golang/go issue 21971: an option to just skip hostname verification"
flaw: [no-name-check]
---
There is no such option, and the answer is a VerifyPeerCertificate of one's own. Without DNSName any
server with a certificate of the same CA is the right one.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["hostname-skipped"] = hostnameSkipped }

func hostnameSkipped(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificates := parsed(raw)
			options := x509.VerifyOptions{
				Roots:         roots(ca),
				Intermediates: poolOf(certificates[1:]),
			}
			if MENDED {
				options.DNSName = name
			}
			_, err := certificates[0].Verify(options)
			return err
		},
	})
}
