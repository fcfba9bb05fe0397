// Package myclient is a client of gRPC: CARELESS in its environment has it trust everybody.
package myclient

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"
)

func getUser(target, ca string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	config := &tls.Config{RootCAs: roots, InsecureSkipVerify: os.Getenv("CARELESS") != ""}
	// Or grpc-go asks DNS for a TXT record of localhost, and waits for the answer.
	connection, err := grpc.NewClient(
		target, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return connection.Invoke(ctx, "/users.v1.UserService/GetUser", &emptypb.Empty{}, &emptypb.Empty{})
}
