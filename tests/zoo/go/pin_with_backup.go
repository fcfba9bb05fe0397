/*
---
title: Trusts a key that it knows, or the one that is kept in the drawer
case: "RFC 7469 section 4.3: a pin, and a backup pin"
arguments: ["{target}", "{pin}", "{name}"]
---
No CA, no name, no dates: one of two keys, as Syncthing does it with its device identities. Whoever
has not got one of them is nobody.
*/

package main

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"slices"
)

func init() { clients["pin-with-backup"] = pinWithBackup }

func pinWithBackup(target, pin, _ string) error {
	backup := sha256.Sum256([]byte("the key in the drawer"))
	pins := [][32]byte{backup, sha256.Sum256(pinned(pin).RawSubjectPublicKeyInfo)}
	config := &tls.Config{InsecureSkipVerify: true}
	config.VerifyConnection = func(state tls.ConnectionState) error {
		key := state.PeerCertificates[0].RawSubjectPublicKeyInfo
		if !slices.Contains(pins, sha256.Sum256(key)) {
			return errors.New("neither of the two keys")
		}
		return nil
	}
	return call(target, config)
}
