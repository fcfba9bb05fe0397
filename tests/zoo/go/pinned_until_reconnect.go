/*
---
title: Verifies a channel when it is opened, and not when it connects again
case: "CVE-2013-2037: httplib2 0.8, the same in a channel that lives long"
flaw: [unverified-after-reconnect]
---
The channel is opened once, and so is the lock around the verification. What connects again by itself
after a GOAWAY or a reset finds it done.
*/

package main

import (
	"crypto/tls"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

func init() { clients["pinned-until-reconnect"] = pinnedUntilReconnect }

func pinnedUntilReconnect(target, ca, name string) error {
	strict := &tls.Config{RootCAs: roots(ca), ServerName: name}
	config := &tls.Config{InsecureSkipVerify: true}
	var once sync.Once
	var err error
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if MENDED {
			return verified(state, strict)
		}
		once.Do(func() { err = verified(state, strict) })
		return err
	}
	creds := grpc.WithTransportCredentials(credentials.NewTLS(config))
	channel, dialError := grpc.NewClient("passthrough:///"+target, creds, grpc.WithNoProxy())
	if dialError != nil {
		return dialError
	}
	defer channel.Close()
	if err := ask(channel); err != nil {
		return err
	}
	return ask(channel)
}
