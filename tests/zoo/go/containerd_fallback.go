/*
---
title: Goes over to plaintext if the answer looks like it
case: "containerd/containerd pull request 10109: HTTP fallback"
flaw: [fallback-to-http-1]
---
"Server gave HTTP response to HTTPS client": who wrote that may be a registry without TLS, or
whoever stands before one that has it. The request is made again, in plaintext.
*/

package main

import (
	"crypto/tls"
	"errors"
	"strings"
)

func init() { clients["containerd-fallback"] = containerdFallback }

func containerdFallback(target, ca, name string) error {
	transport := web(target, &tls.Config{RootCAs: roots(ca)})
	err := post(transport, "https", name)
	if err != nil && isTLSError(err) && !MENDED {
		return post(transport, "http", name)
	}
	return err
}

func isTLSError(err error) bool {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		return true
	}
	return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}
