/*
---
title: Verifies the server on one connection, and talks on another
case: "CVE-2013-6418: pywbem 0.7"
flaw: [second-connection]
---
A connection was opened to see the certificate, verified with care, and closed. The next one went to
whoever was there then. Nothing that is shown twice shows this.
*/

package main

import "crypto/tls"

func init() { clients["pywbem-second-look"] = pywbemSecondLook }

func pywbemSecondLook(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	connection, err := tls.Dial("tcp", target, config)
	if err != nil {
		return err
	}
	connection.Close()
	if MENDED {
		return call(target, config)
	}
	return call(target, &tls.Config{InsecureSkipVerify: true})
}
