// Asks the server for a user, over mutual TLS.
//
// Run as: client HOST:PORT CA_FILE CERT_FILE KEY_FILE
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	users "client/users/v1"
)

const token = "opens-nothing-5ec4e708"

// trust says whom this client talks to.
func trust(caFile, certFile, keyFile string) (credentials.TransportCredentials, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	return credentials.NewTLS(&tls.Config{
		RootCAs: roots,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own, err := tls.LoadX509KeyPair(certFile, keyFile) // read anew, so that it can be renewed
			return &own, err
		},
	}), nil
}

func main() {
	user, err := getUser(os.Args[1], os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s <%s>\n", user.Name, user.Email)
}

// getUser asks the server for a user, with the token that says who asks.
func getUser(target, caFile, certFile, keyFile string) (*users.User, error) {
	creds, err := trust(caFile, certFile, keyFile)
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
