/*
---
title: Is content if the domain is the right one
case: "Mbed-TLS/mbedtls pull request 10646: domain suffix matching of the common name"
flaw: [common-name-suffix]
---
The first label of the name is cut off, and the rest is compared with the end of what stands in the
certificate. Every other host of the domain fits, and so does whatever ends in it.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

func init() { clients["domain-suffix"] = domainSuffix }

func domainSuffix(target, ca, name string) error {
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		options := x509.VerifyOptions{
			Roots:         roots(ca),
			Intermediates: poolOf(state.PeerCertificates[1:]),
		}
		if MENDED {
			options.DNSName = name
		}
		if _, err := leaf.Verify(options); err != nil {
			return err
		}
		_, domain, _ := strings.Cut(name, ".")
		if MENDED || strings.HasSuffix(strings.ToLower(leaf.Subject.CommonName), domain) {
			return nil
		}
		return errors.New("another domain")
	}
	return call(target, config)
}
