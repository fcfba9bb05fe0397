/*
---
title: Goes on with the machine's CAs if the file holds no certificate
case: "maximhq/bifrost pull request 2203: RootCAs is set only if something was parsed"
flaw: [unparsed-ca-is-none]
---
AppendCertsFromPEM says whether it has found a certificate. Where it has not, RootCAs stays nil, which
means everything that the machine trusts.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
)

func init() { clients["bifrost-ignored-pem"] = bifrostIgnoredPem }

func bifrostIgnoredPem(target, ca, name string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: name}
	pool := x509.NewCertPool()
	if pool.AppendCertsFromPEM(pem) || MENDED {
		config.RootCAs = pool
	}
	return call(target, config)
}
