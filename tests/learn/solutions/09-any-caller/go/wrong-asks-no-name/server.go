// Serves users.
//
// Run as: server HOST:PORT CERT_FILE KEY_FILE CLIENTS_CA_FILE ALLOWED
// ALLOWED is the DNS name in the certificate of the one client that may call. The CA signs for the
// clients of other servers as well.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	users "client/users/v1"
)

type service struct {
	users.UnimplementedUserServiceServer
	allowed string
}

func (s service) GetUser(ctx context.Context, request *users.GetUserRequest) (*users.User, error) {
	return &users.User{Id: request.Id, Name: "Nicolas", Email: "nicolas@example.com"}, nil
}

func main() {
	listen, certFile, keyFile, clientsFile, allowed := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		log.Fatal(err)
	}
	pem, err := os.ReadFile(clientsFile)
	if err != nil {
		log.Fatal(err)
	}
	clients := x509.NewCertPool()
	if !clients.AppendCertsFromPEM(pem) {
		log.Fatal(clientsFile, " holds no certificate")
	}
	creds := credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientCAs:    clients,
		ClientAuth:   tls.RequireAndVerifyClientCert,
	})
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(creds))
	users.RegisterUserServiceServer(server, service{allowed: allowed})
	log.Fatal(server.Serve(listener))
}
