/*
---
title: Skips verification, and makes all of it in VerifyPeerCertificate
case: "golang/go issue 21971: the answer, with the name, the roots and the intermediates"
---
Everything that one can forget here is there: the parsing of each certificate, the intermediates, the
roots, the name, and no cache for sessions, since resumed ones would not be seen.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

func init() { clients["peer-verified"] = peerVerified }

func peerVerified(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			if len(raw) == 0 {
				return errors.New("no certificate")
			}
			certificates := parsed(raw)
			_, err := certificates[0].Verify(x509.VerifyOptions{
				DNSName:       name,
				Roots:         roots(ca),
				Intermediates: poolOf(certificates[1:]),
				KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			return err
		},
	})
}
