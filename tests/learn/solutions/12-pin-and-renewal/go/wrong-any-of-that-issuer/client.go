// Asks the server for a user.
//
// Run as: client HOST:PORT PIN_FILE NEXT_FILE
// PIN_FILE is the server's certificate. NEXT_FILE is the one that it will have after its renewal; the
// operators have made it already, and keep it in a safe.
package main

import (
	"bytes"
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

const token = "opens-nothing-5ec4e70c"

// read gives the certificate in a file, as it is sent.
func read(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New(file + " holds no certificate")
	}
	return block.Bytes, nil
}

// trust says whom this client talks to.
func trust(pinFile, nextFile string) (credentials.TransportCredentials, error) {
	der, err := read(pinFile)
	if err != nil {
		return nil, err
	}
	pin, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		InsecureSkipVerify: true, // the pin decides
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := state.PeerCertificates[0]
			if !bytes.Equal(shown.RawIssuer, pin.RawIssuer) {
				return errors.New("not of the CA that was pinned")
			}
			return shown.VerifyHostname(state.ServerName)
		},
	}), nil
}

func main() {
	user, err := getUser(os.Args[1], os.Args[2], os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%s <%s>\n", user.Name, user.Email)
}

// getUser asks the server for a user, with the token that says who asks.
func getUser(target, pinFile, nextFile string) (*users.User, error) {
	creds, err := trust(pinFile, nextFile)
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
