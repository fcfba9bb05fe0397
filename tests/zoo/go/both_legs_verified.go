/*
---
title: Makes a connection of its own for each errand, and verifies each
case: "CVE-2022-31105: what Argo CD does since 2.4.5"
---
A look at the certificate, a token and the call: three connections, each with the same configuration
and none the worse for it.
*/

package main

import "crypto/tls"

func init() { clients["both-legs-verified"] = bothLegsVerified }

func bothLegsVerified(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	look, err := tls.Dial("tcp", target, config)
	if err != nil {
		return err
	}
	look.Close()
	if err := post(web(target, config.Clone()), "https", name); err != nil {
		return err
	}
	return call(target, config)
}
