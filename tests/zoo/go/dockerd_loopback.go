/*
---
title: Ignores a certificate that does not verify, if the address is a local one
case: "the documentation of dockerd: insecure registries, of which all in 127.0.0.0/8 are"
flaw: [fallback-unverified, fallback-plaintext]
---
"If HTTPS is available but the certificate is invalid, ignore the error about the certificate. If
HTTPS is not available, fall back to HTTP." On a machine with other users, or with a forwarded port,
local is not the same as safe.
*/

package main

import (
	"crypto/tls"
	"net"
)

func init() { clients["dockerd-loopback"] = dockerdLoopback }

func dockerdLoopback(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	err := call(target, config)
	address, lookupError := net.ResolveTCPAddr("tcp", target)
	insecure := lookupError == nil && address.IP.IsLoopback()
	if err == nil || !insecure || MENDED {
		return err
	}
	config.InsecureSkipVerify = true
	if err = post(web(target, config), "https", name); err != nil {
		err = post(web(target, config), "http", name)
	}
	return err
}
