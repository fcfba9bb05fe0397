/*
---
title: Verifies names, and takes any certificate where it dials an address
case: "CVE-2023-31421: Beats, Elastic Agent, APM Server and Fleet Server"
flaw: [ip-not-checked]
---
The name to verify is that of the connection's state. An address is no server name indication
(RFC 6066 section 3), so that it is empty there, and an empty DNSName verifies none.
*/

package main

import (
	"crypto/tls"
	"crypto/x509"
)

func init() { clients["beats-address"] = beatsAddress }

func beatsAddress(target, ca, name string) error {
	return call(target, &tls.Config{
		ServerName:         name,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			options := x509.VerifyOptions{
				DNSName:       state.ServerName,
				Roots:         roots(ca),
				Intermediates: poolOf(state.PeerCertificates[1:]),
			}
			if MENDED {
				options.DNSName = name
			}
			_, err := state.PeerCertificates[0].Verify(options)
			return err
		},
	})
}
