// Asks the server for a user.
//
// Run as: client HOST:PORT CA_FILE
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	users "client/users/v1"
)

const token = "opens-nothing-5ec4e705"

// trust says whom this client talks to.
func trust(caFile string) (credentials.TransportCredentials, error) {
	return credentials.NewClientTLSFromFile(caFile, "")
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
