/*
---
title: Takes a mode that it does not know for the one that verifies nothing
case: "7etsuo/tetsuo-pulse issue 3453: the verify mode silently falls back to none"
flaw: [no-verification]
---
The switch had a default, and the default was the weakest. A typing error in a configuration was
enough.
*/

package main

import (
	"crypto/tls"
	"errors"
)

func init() { clients["verify-mode-default"] = verifyModeDefault }

func verifyModeDefault(target, ca, name string) error {
	mode := "verify-peer" // meant was "peer"
	if MENDED {
		mode = "peer"
	}
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	switch mode {
	case "peer":
	case "off":
		return errors.New("plaintext is not for this client")
	default:
		config.InsecureSkipVerify = true
	}
	return call(target, config)
}
