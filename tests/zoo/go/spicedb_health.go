/*
---
title: Asks for its server's health without looking at whom it asks
case: "authzed/spicedb-operator issue 29: no-verify for the gRPC health check with TLS"
flaw: [first-leg-unverified]
---
The certificate has no name for localhost, so the probe does not verify; the calls that follow do.
A probe that says "serving" says that somebody is.
*/

package main

import "crypto/tls"

func init() { clients["spicedb-health"] = spicedbHealth }

func spicedbHealth(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	probe := config.Clone()
	probe.InsecureSkipVerify = !MENDED
	if err := call(target, probe); err != nil {
		return err
	}
	return call(target, config)
}
