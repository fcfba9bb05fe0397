/*
---
title: Allows TLS 1.0 still
case: "pingcap/tidb pull request 37479: MinVersion is VersionTLS10"
flaw: [old-protocol]
---
Go's own minimum has been 1.2 for clients since 1.18. A line that named 1.0 in the days of SSL 3 keeps
it there.
*/

package main

import "crypto/tls"

func init() { clients["tls-of-1999"] = tlsOf1999 }

func tlsOf1999(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	if !MENDED {
		config.MinVersion = tls.VersionTLS10
	}
	return post(web(target, config), "https", name)
}
