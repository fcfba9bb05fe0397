/*
---
title: Tries again without TLS if TLS fails
case: "CVE-2014-5277: Docker before 1.3.1, when it talks to a registry"
flaw: [fallback-plaintext]
---
Whatever became of the first attempt, a second went to port 80 in plaintext, with the same
credentials. Whoever could disturb the first one had the second.
*/

package main

import "crypto/tls"

func init() { clients["docker-registry"] = dockerRegistry }

func dockerRegistry(target, ca, name string) error {
	transport := web(target, &tls.Config{RootCAs: roots(ca)})
	err := post(transport, "https", name)
	if err != nil && !MENDED {
		return post(transport, "http", name)
	}
	return err
}
