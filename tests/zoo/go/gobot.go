/*
---
title: Is given the CA to trust, and switches verification off all the same
case: "CVE-2019-12496: the MQTT client of Gobot"
flaw: [no-verification]
---
The CA file went into RootCAs, where it looked well; InsecureSkipVerify, set by default, saw to it
that nobody looked there.
*/

package main

import "crypto/tls"

func init() { clients["gobot"] = gobot }

func gobot(target, ca, name string) error {
	return call(target, &tls.Config{
		RootCAs:            roots(ca),
		ServerName:         name,
		ClientAuth:         tls.NoClientCert,
		InsecureSkipVerify: !MENDED,
	})
}
