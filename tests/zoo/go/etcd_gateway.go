/*
---
title: Authenticates the endpoints that it has looked up, and none of those that it was told
case: "CVE-2020-15136: the gateway of etcd"
flaw: [second-connection]
---
Endpoints from SRV records were verified with the CA. Those of `--endpoints`, which mean the same to
whoever writes them, were just connected to.
*/

package main

import "crypto/tls"

func init() { clients["etcd-gateway"] = etcdGateway }

type endpoint struct {
	address    string
	discovered bool
}

func etcdGateway(target, ca, name string) error {
	for _, endpoint := range []endpoint{{target, true}, {target, false}} {
		config := &tls.Config{RootCAs: roots(ca), ServerName: name}
		if !endpoint.discovered && !MENDED {
			config.InsecureSkipVerify = true
		}
		if err := call(endpoint.address, config); err != nil {
			return err
		}
	}
	return nil
}
