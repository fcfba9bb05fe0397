/*
---
title: Trusts every certificate, since the server is its own
case: "go-gitea/gitea, GHSA-94v3-77j7-vm48: the client of its internal API"
flaw: [no-verification]
---
The internal API is on the same machine, or so it was when the line was written. Where it is on
another, the token goes to whoever is in between. There was no setting that verified.
*/

package main

import (
	"crypto/tls"

	"golang.org/x/net/http2"
)

func init() { clients["gitea-internal"] = giteaInternal }

func giteaInternal(target, ca, name string) error {
	transport := &http2.Transport{
		TLSClientConfig: &tls.Config{
			RootCAs:            roots(ca),
			ServerName:         name,
			InsecureSkipVerify: !MENDED,
		},
	}
	return post(transport, "https", target)
}
