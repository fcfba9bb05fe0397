/*
---
title: Tries again without verification if the authority is unknown
case: "genuinetools/certok pull request 1: catch UnknownAuthorityError"
flaw: [fallback-for-unknown-issuer]
---
One kind of error is caught, so that self-signed certificates can be handled. The second attempt
verifies nothing, and the error comes first for whatever an attacker signs himself.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
)

func init() { clients["certok-retry"] = certokRetry }

func certokRetry(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	connection, err := tls.Dial("tcp", target, config)
	if err == nil {
		connection.Close()
	} else if errors.As(err, new(x509.UnknownAuthorityError)) && !MENDED {
		config.InsecureSkipVerify = true
	} else {
		return err
	}
	return call(target, config)
}
