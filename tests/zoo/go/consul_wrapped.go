/*
---
title: Wraps its own connection, and verifies that a known CA has signed
case: "the documentation of Consul and Nomad, package tlsutil: WrapTLSClient"
flaw: [no-name-check]
---
Nodes have no DNS names, so only the CA is verified, after the handshake and by hand, unless
`verify_server_hostname` is set. Any agent with a certificate can play the server.
*/

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func init() { clients["consul-wrapped"] = consulWrapped }

func consulWrapped(target, ca, name string) error {
	wrap := func(_ context.Context, address string) (net.Conn, error) {
		config := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
		connection, err := tls.Dial("tcp", address, config)
		if err != nil {
			return nil, err
		}
		sent := connection.ConnectionState().PeerCertificates
		options := x509.VerifyOptions{Roots: roots(ca), Intermediates: poolOf(sent[1:])}
		if MENDED { // verify_server_hostname
			options.DNSName = name
		}
		if _, err := sent[0].Verify(options); err != nil {
			connection.Close()
			return nil, err
		}
		return connection, nil
	}
	return callWith(target, insecure.NewCredentials(), grpc.WithContextDialer(wrap))
}
