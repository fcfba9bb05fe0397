/*
---
title: Skips verification, and makes all of it in VerifyConnection
case: "the documentation of Go's crypto/tls: the example of VerifyConnection"
---
InsecureSkipVerify is what a scanner sees. What is verified instead is the same: chain, name, dates
and purpose, on resumed connections too. The name is the one that was dialled, not that of the
connection's state, which is empty for an address.
*/

package main

import "crypto/tls"

func init() { clients["connection-verified"] = connectionVerified }

func connectionVerified(target, ca, name string) error {
	strict := &tls.Config{RootCAs: roots(ca), ServerName: name}
	return call(target, &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verified(state, strict)
		},
	})
}
