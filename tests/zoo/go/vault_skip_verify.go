/*
---
title: Does not verify while a variable of the environment says so
case: "the documentation of HashiCorp Vault: VAULT_SKIP_VERIFY"
flaw: [no-verification]
environment: {VAULT_SKIP_VERIFY: "true"}
---
Set once to get a laptop going, and inherited since by everything that is started from that shell,
image or unit file. Nothing in the program says that it is set.
*/

package main

import (
	"crypto/tls"
	"os"
	"strconv"
)

func init() { clients["vault-skip-verify"] = vaultSkipVerify }

func vaultSkipVerify(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: name}
	if value := os.Getenv("VAULT_SKIP_VERIFY"); value != "" && !MENDED {
		skip, err := strconv.ParseBool(value)
		if err != nil {
			return err
		}
		config.InsecureSkipVerify = skip
	}
	return call(target, config)
}
