/*
---
title: Prefers TLS to whomever, and does without it if there is none
case: "the documentation of pgx: sslmode=prefer, the default"
flaw: [no-verification, fallback-plaintext]
---
A list of configurations is tried in turn: TLS that verifies nothing, then none at all. It keeps
out those who only listen, and nobody else.
*/

package main

import (
	"crypto/tls"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

func init() { clients["pgx-prefer"] = pgxPrefer }

func pgxPrefer(target, ca, name string) error {
	sslmode := "prefer"
	if MENDED {
		sslmode = "verify-full"
	}
	verified := credentials.NewTLS(&tls.Config{RootCAs: roots(ca), ServerName: name})
	unverified := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	configurations := map[string][]credentials.TransportCredentials{
		"verify-full": {verified},
		"prefer":      {unverified, insecure.NewCredentials()},
	}
	var err error
	for _, creds := range configurations[sslmode] {
		if err = callWith(target, creds); err == nil {
			break
		}
	}
	return err
}
