/*
---
title: Makes its own handshake beneath credentials that are called insecure
case: "the documentation of grpc-go: WithContextDialer"
---
To grpc-go the connection is plaintext. The dialer has made TLS of it, with the CA and the name, and
gives nothing away that was not verified.
*/

package main

import (
	"context"
	"crypto/tls"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func init() { clients["own-dialer"] = ownDialer }

func ownDialer(target, ca, name string) error {
	dialer := &tls.Dialer{Config: &tls.Config{
		RootCAs:    roots(ca),
		ServerName: name,
		NextProtos: []string{"h2"},
	}}
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return callWith(target, insecure.NewCredentials(), grpc.WithContextDialer(dial))
}
