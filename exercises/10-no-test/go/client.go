// Package client asks the server for a user. Do not trust it: test it.
package client

import (
	"context"
	"crypto/tls"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	users "client/users/v1"
)

func getUser(target, caFile string) (*users.User, error) {
	return call(target, credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))
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
