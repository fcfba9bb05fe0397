/*
---
title: Verifies the name of the host that it was sent to, not of the one that it wanted
case: "CVE-2022-24968: mellium.im/xmpp, which asks the DNS for an endpoint"
flaw: [no-name-check]
---
The name to verify came in a TXT record that anybody on the way can forge. Who answers there has a
certificate for himself, and it fits. Here the answer is the name that he has.
*/

package main

import "crypto/tls"

func init() { clients["mellium-endpoint"] = melliumEndpoint }

// lookUp stands for the forged answer: it names the host that has the certificate.
func lookUp(target, name string) string {
	probe := &tls.Config{InsecureSkipVerify: true, ServerName: name}
	connection, err := tls.Dial("tcp", target, probe)
	if err != nil {
		return name
	}
	defer connection.Close()
	leaf := connection.ConnectionState().PeerCertificates[0]
	for _, ip := range leaf.IPAddresses {
		return ip.String()
	}
	return append(leaf.DNSNames, name)[0]
}

func melliumEndpoint(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca), ServerName: lookUp(target, name)}
	if MENDED {
		config.ServerName = name
	}
	return call(target, config)
}
