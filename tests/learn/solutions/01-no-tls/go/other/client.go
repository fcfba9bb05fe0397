// Asks the server for a user.
//
// Run as: client HOST:PORT CA_FILE
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

	users "client/users/v1"
)

const token = "opens-nothing-5ec4e701"

// bearer is a token that gRPC itself keeps off a connection without TLS.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

func (bearer) RequireTransportSecurity() bool { return true }

// trust says whom this client talks to.
func trust(caFile string) (credentials.TransportCredentials, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	return credentials.NewTLS(&tls.Config{RootCAs: roots}), nil
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
		grpc.WithPerRPCCredentials(bearer(token)),
	)
	if err != nil {
		return nil, err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return users.NewUserServiceClient(channel).GetUser(ctx, &users.GetUserRequest{Id: 1})
}
