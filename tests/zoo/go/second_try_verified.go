/*
---
title: Tries again over an older version, and verifies there too
case: "RFC 8446 appendix D: a client that falls back to an earlier version"
---
It does fall back if the first handshake fails, and it would be wrong to take that for the fault: the
second attempt is as strict as the first.
*/

package main

import "crypto/tls"

func init() { clients["second-try-verified"] = secondTryVerified }

func secondTryVerified(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	err := call(target, config)
	if err != nil {
		config.MaxVersion = tls.VersionTLS12
		err = call(target, config)
	}
	return err
}
