/*
---
title: Trusts its own CA, and all of the machine's as well
case: "CVE-2024-22030: Rancher's agents with agent-tls-mode system-store"
flaw: [system-roots-too]
---
The private CA is added to what the system trusts. Any of its hundred CAs can then sign for a name
that only the private one was to sign for.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

func init() { clients["rancher-system-store"] = rancherSystemStore }

func rancherSystemStore(target, ca, name string) error {
	pool, err := x509.SystemCertPool()
	if err != nil || MENDED { // agent-tls-mode: strict
		pool = x509.NewCertPool()
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool.AppendCertsFromPEM(pem)
	return call(target, &tls.Config{RootCAs: pool, ServerName: name})
}
