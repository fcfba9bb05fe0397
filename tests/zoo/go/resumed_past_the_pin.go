/*
---
title: Verifies in a callback that is not called when a session is resumed
case: "securego/gosec pull request 1534: rule G123, VerifyPeerCertificate and resumption"
flaw: [resumed-unverified]
---
VerifyPeerCertificate "is not invoked on resumed connections", says the documentation. With a cache
for sessions, what was verified once is verified for as long as the tickets last.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["resumed-past-the-pin"] = resumedPastThePin }

func resumedPastThePin(target, ca, name string) error {
	config := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	if !MENDED {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		certificates := parsed(raw)
		_, err := certificates[0].Verify(x509.VerifyOptions{
			DNSName:       name,
			Roots:         roots(ca),
			Intermediates: poolOf(certificates[1:]),
		})
		return err
	}
	if err := call(target, config); err != nil {
		return err
	}
	return call(target, config)
}
