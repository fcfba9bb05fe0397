/*
---
title: Is content if one of the certificates that were sent is the pinned one
case: "CVE-2016-2402: the pins of OkHttp"
flaw: [pin-anywhere]
arguments: ["{target}", "{pin}", "{name}"]
---
The pin is looked for in the chain as it was sent. Whoever has connected to the server once has its
certificate, and sends it behind his own; only the first one's key is proved.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
)

func init() { clients["okhttp-pin-anywhere"] = okhttpPinAnywhere }

func okhttpPinAnywhere(target, pin, _ string) error {
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		sent := parsed(raw)
		if MENDED {
			sent = sent[:1]
		}
		if !slices.ContainsFunc(sent, pinned(pin).Equal) {
			return errors.New("the pinned certificate is not among these")
		}
		return nil
	}
	return call(target, config)
}
