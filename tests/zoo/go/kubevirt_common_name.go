/*
---
title: Verifies the chain, and takes the common name for the identity
case: "CVE-2025-64434: KubeVirt, between its own components"
flaw: [common-name]
---
The subject's common name says which component a peer is. No name of the subject alternative name
is looked at, though that is what a CA is asked for, and what it checks.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

func init() { clients["kubevirt-common-name"] = kubevirtCommonName }

func kubevirtCommonName(target, ca, name string) error {
	return call(target, &tls.Config{
		InsecureSkipVerify: true,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			certificates := parsed(raw)
			leaf := certificates[0]
			_, err := leaf.Verify(x509.VerifyOptions{
				Roots:         roots(ca),
				Intermediates: poolOf(certificates[1:]),
				KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			})
			if err == nil && MENDED {
				return leaf.VerifyHostname(name)
			}
			if err == nil && leaf.Subject.CommonName != name {
				err = fmt.Errorf("common name is %q, not %q", leaf.Subject.CommonName, name)
			}
			return err
		},
	})
}
