/*
---
title: Takes an empty CA file for none, and none for all
case: "kubernetes/kubernetes pull request 14063: enable system CAs"
flaw: [empty-ca-is-none]
---
"What is this set to if a CA file is specified which is empty?", asked the reviewer. To nil, which
means the system's.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
)

func init() { clients["kubernetes-empty-ca"] = kubernetesEmptyCa }

func kubernetesEmptyCa(target, ca, name string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	config := &tls.Config{ServerName: name}
	if len(pem) > 0 || MENDED {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return errors.New("no certificate in " + ca)
		}
	}
	return call(target, config)
}
