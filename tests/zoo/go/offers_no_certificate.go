/*
---
title: Is asked for a certificate, has none, and allows what it does not need
case: "the documentation of Go's crypto/tls: GetClientCertificate, Renegotiation, KeyLogWriter"
---
A callback that answers with an empty certificate, renegotiation, a cache for sessions, a log for
keys: each looks as if something was switched off, and the server is verified all the same.
*/

package main

import (
	"crypto/tls"
	"io"
)

func init() { clients["offers-no-certificate"] = offersNoCertificate }

func offersNoCertificate(target, ca, name string) error {
	return call(target, &tls.Config{
		RootCAs:    roots(ca),
		ServerName: name,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &tls.Certificate{}, nil
		},
		Renegotiation:          tls.RenegotiateFreelyAsClient,
		ClientSessionCache:     tls.NewLRUClientSessionCache(1),
		KeyLogWriter:           io.Discard,
		SessionTicketsDisabled: true,
	})
}
