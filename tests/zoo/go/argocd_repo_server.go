/*
---
title: Verifies only if it is told to be strict, and is not strict by default
case: "the documentation of Argo CD, operator manual, TLS: connections to the repo server"
flaw: [no-verification]
---
`--repo-server-strict-tls` is off unless somebody sets it. Until then the connection is TLS, and the
server is whoever answers.
*/

package main

import "crypto/tls"

func init() { clients["argocd-repo-server"] = argocdRepoServer }

type tlsConfiguration struct {
	disableTLS       bool
	strictValidation bool
}

func argocdRepoServer(target, ca, name string) error {
	options := tlsConfiguration{strictValidation: MENDED}
	config := &tls.Config{}
	if !options.strictValidation {
		config.InsecureSkipVerify = true
	} else {
		config.RootCAs = roots(ca)
		config.ServerName = name
	}
	return call(target, config)
}
