/*
---
title: Knows its peer by the serial number and the identifier of the issuer's key
case: "CVE-2024-2048, openbao/openbao pull request 173: certificates that are trusted as they are"
flaw: [serial-number]
arguments: ["{target}", "{pin}", "{name}"]
---
Enough to tell two certificates of honest CAs apart, and nothing that an attacker could not write into
one of his own. There it was the server that knew its clients so.
*/

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
)

func init() { clients["vault-serial-number"] = vaultSerialNumber }

func vaultSerialNumber(target, pin, _ string) error {
	trusted := pinned(pin)
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		leaf := state.PeerCertificates[0]
		same := leaf.SerialNumber.Cmp(trusted.SerialNumber) == 0 &&
			bytes.Equal(leaf.AuthorityKeyId, trusted.AuthorityKeyId)
		if MENDED {
			same = same && bytes.Equal(leaf.RawSubjectPublicKeyInfo, trusted.RawSubjectPublicKeyInfo)
		}
		if !same {
			return errors.New("not the certificate that is trusted")
		}
		return nil
	}
	return call(target, config)
}
