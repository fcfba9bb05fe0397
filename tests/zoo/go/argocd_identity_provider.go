/*
---
title: Verifies the server, and not the one that says who its users are
case: "CVE-2022-31105: Argo CD, when it talks to a provider for OpenID Connect"
flaw: [first-leg-unverified]
---
The connection to the provider, made first, took any certificate. Who stands in between there signs
his own tokens, and is let in by a server that was verified with care.
*/

package main

import "crypto/tls"

func init() { clients["argocd-identity-provider"] = argocdIdentityProvider }

func argocdIdentityProvider(target, ca, name string) error {
	verifying := &tls.Config{RootCAs: roots(ca), ServerName: name}
	provider := &tls.Config{InsecureSkipVerify: true}
	if MENDED {
		provider = verifying.Clone()
	}
	if err := post(web(target, provider), "https", name); err != nil {
		return err
	}
	return call(target, verifying)
}
