/*
---
title: Looks for the common name in chains that nobody has verified
case: "pingcap/tidb issue 53357: InsecureSkipVerify beside VerifyPeerCertificate"
flaw: [no-verification]
---
VerifyPeerCertificate is given the chains that were verified. With InsecureSkipVerify there are
none, so that the loop over them never finds anything wrong.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

func init() { clients["tidb-common-name"] = tidbCommonName }

func tidbCommonName(target, ca, name string) error {
	return call(target, &tls.Config{
		RootCAs:            roots(ca),
		ServerName:         name,
		InsecureSkipVerify: !MENDED,
		VerifyPeerCertificate: func(_ [][]byte, verified [][]*x509.Certificate) error {
			for _, chain := range verified {
				if chain[0].Subject.CommonName == "" && len(chain[0].DNSNames) == 0 {
					return errors.New("a certificate of nobody")
				}
			}
			return nil
		},
	})
}
