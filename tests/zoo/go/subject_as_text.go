/*
---
title: Searches the subject's text for the name
case: "CVE-2014-3577: Apache HttpClient, which looked for CN= anywhere in the subject"
flaw: [subject-as-text]
---
A subject whose organisation is called "x,CN=the-name" contains what was searched for. The CA has
checked neither.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
)

func init() { clients["subject-as-text"] = subjectAsText }

func subjectAsText(target, ca, name string) error {
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
		if MENDED || strings.Contains(leaf.Subject.String(), "CN="+name) {
			return nil
		}
		return errors.New("another server's certificate")
	}
	return call(target, config)
}
