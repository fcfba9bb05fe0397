// The server of that client: it answers health checks, and nothing else.
package main

import (
	"log"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const address = ":50051"

func main() {
	creds, err := credentials.NewServerTLSFromFile("cert/service.pem", "cert/service.key")
	if err != nil {
		log.Fatalf("could not load the certificate: %v", err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatalf("could not listen: %v", err)
	}
	server := grpc.NewServer(grpc.Creds(creds))
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	log.Println("listening on", address)
	log.Fatal(server.Serve(listener))
}
