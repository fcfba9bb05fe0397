/*
---
title: Goes on without its CA file if there is none
case: "CVE-2026-27586: Caddy, which dropped the error when the file could not be read"
flaw: [unusable-ca-is-none]
---
Errors were dropped while the configuration was read, and with them the CAs that it named. There it
was the server, which then let every client in. Here it is the client, and nil means the machine's.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

func init() { clients["caddy-missing-ca"] = caddyMissingCa }

func provision(ca string) *x509.CertPool {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil
	}
	return pool
}

func caddyMissingCa(target, ca, name string) error {
	pool := provision(ca)
	if MENDED && pool == nil {
		pool = x509.NewCertPool()
	}
	return call(target, &tls.Config{RootCAs: pool, ServerName: name})
}
