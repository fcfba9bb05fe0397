/*
---
title: Adds the last certificate of the chain to the roots
case: "microsoft/didx509cpp pull request 32: honor the provided roots"
flaw: [leaf-as-root]
---
The loop went over the roots, and what it added each time was the end of the chain that was to be
verified. Whoever sends his CA along is trusted.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["last-of-the-chain"] = lastOfTheChain }

func lastOfTheChain(target, ca, name string) error {
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		chain := state.PeerCertificates
		pool := roots(ca)
		if !MENDED {
			pool.AddCert(chain[len(chain)-1])
		}
		_, err := chain[0].Verify(x509.VerifyOptions{
			DNSName:       name,
			Roots:         pool,
			Intermediates: poolOf(chain[1:]),
		})
		return err
	}
	return call(target, config)
}
