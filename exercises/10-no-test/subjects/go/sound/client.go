// Package client asks the server for a user.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	users "client/users/v1"
)

func getUser(target, caFile string) (*users.User, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New(caFile + " holds no certificate")
	}
	// Never with InsecureSkipVerify, a VerifyConnection of our own, or insecure.NewCredentials again.
	return call(target, credentials.NewTLS(&tls.Config{RootCAs: roots}))
}

func call(target string, trust credentials.TransportCredentials) (*users.User, error) {
	channel, err := grpc.NewClient(
		target, grpc.WithTransportCredentials(trust), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, err
	}
	defer channel.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return users.NewUserServiceClient(channel).GetUser(ctx, &users.GetUserRequest{Id: 1})
}
