/*
---
title: Registers itself with a server that it does not verify
case: "CVE-2025-71261: the registration client of Harvester"
flaw: [no-verification]
---
The first request of all, the one that decides whom the cluster belongs to, was made with an
insecure option of TLS. Every later one is verified.
*/

package main

import (
	"context"
	"crypto/tls"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/emptypb"
)

func init() { clients["harvester-registration"] = harvesterRegistration }

func harvesterRegistration(target, ca, name string) error {
	config := &tls.Config{RootCAs: roots(ca)}
	config.InsecureSkipVerify = !MENDED
	client := &http.Client{Transport: web(target, config), Timeout: limit}
	url := "https://" + urlHost(name) + method
	registration := connect.NewClient[emptypb.Empty, emptypb.Empty](client, url, connect.WithGRPC())
	_, err := registration.CallUnary(
		context.Background(), connect.NewRequest(&emptypb.Empty{}))
	return err
}
