/*
---
title: Takes the certificate that is shown for its own root
case: "canonical/pebble issue 1007: the presented certificate is placed in a pool"
flaw: [leaf-as-root]
---
Whether it is self-signed was the question, and Verify with the certificate itself in Roots the
answer. Go takes whatever stands in Roots for trusted (golang/go issue 51953): it always says yes.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["pebble-own-root"] = pebbleOwnRoot }

func pebbleOwnRoot(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificates := parsed(raw)
			pool := roots(ca)
			if !MENDED {
				pool.AddCert(certificates[0])
			}
			_, err := certificates[0].Verify(x509.VerifyOptions{
				DNSName:       name,
				Roots:         pool,
				Intermediates: poolOf(certificates[1:]),
			})
			return err
		},
	})
}
