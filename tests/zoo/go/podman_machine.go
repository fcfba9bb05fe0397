/*
---
title: Does not verify unless it is asked to, and takes plaintext as well
case: "CVE-2025-6032: podman machine init, which fetches images of virtual machines"
flaw: [no-verification, fallback-plaintext]
---
The option's zero value was false, and false meant "do not verify". A registry that is not to be
verified is asked over plaintext too, if it does not speak TLS.
*/

package main

import "crypto/tls"

func init() { clients["podman-machine"] = podmanMachine }

type pullOptions struct {
	tlsVerify bool
}

func podmanMachine(target, ca, name string) error {
	options := pullOptions{}
	if MENDED {
		options.tlsVerify = true
	}
	config := &tls.Config{RootCAs: roots(ca), InsecureSkipVerify: !options.tlsVerify}
	err := post(web(target, config), "https", name)
	if err != nil && !options.tlsVerify {
		return post(web(target, config), "http", name)
	}
	return err
}
