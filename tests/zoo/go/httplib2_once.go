/*
---
title: Compares the name when it connects first, and never after
case: "CVE-2013-2037: httplib2 0.8"
flaw: [name-at-first-only]
---
Whether the name fits was noted beside the host. Every later connection to that host found the note,
and was content with any certificate of a CA that it trusts.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["httplib2-once"] = httplib2Once }

func httplib2Once(target, ca, name string) error {
	checked := map[string]bool{}
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{
			Roots:         roots(ca),
			Intermediates: poolOf(state.PeerCertificates[1:]),
		}
		if !checked[name] || MENDED {
			options.DNSName = name
		}
		_, err := state.PeerCertificates[0].Verify(options)
		checked[name] = err == nil
		return err
	}
	if err := call(target, config); err != nil {
		return err
	}
	return call(target, config)
}
