// A client as guides to gRPC and TLS have it: seven ways to connect, one compiled in for each number.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

const (
	local      = "localhost:50051"
	public     = "api.users.example:50051"
	caFile     = "cert/ca.cert"
	serverFile = "cert/service.pem"
)

func main() {
	mode := flag.Int("mode", 4, "how to connect, 1 to 7")
	flag.Parse()

	address := local
	var creds credentials.TransportCredentials
	switch *mode {
	case 1: // no encryption
		creds = insecure.NewCredentials()
	case 2: // encrypted, with whoever answers
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	case 3: // the server's own certificate is what is trusted
		creds = fromFile(serverFile)
	case 4: // the CA
		creds = fromFile(caFile)
	case 5: // the CA, and a callback that looks at the chain, but not at the name
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, VerifyConnection: signedByCA})
	case 6: // whom the machine trusts
		creds = credentials.NewTLS(&tls.Config{})
	case 7: // the same, on the internet
		address = public
		creds = credentials.NewTLS(&tls.Config{})
	default:
		log.Fatalf("no such mode: %d", *mode)
	}

	// Without the second option DNS is asked about localhost, too.
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(creds), grpc.WithDisableServiceConfig())
	if err != nil {
		log.Fatalf("did not connect: %v", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer a-secret-token-of-the-lab")
	answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		log.Fatalf("server says: %v", err)
	}
	fmt.Println("the server is", answer.GetStatus())
}

func fromFile(path string) credentials.TransportCredentials {
	creds, err := credentials.NewClientTLSFromFile(path, "")
	if err != nil {
		log.Fatalf("could not load %s: %v", path, err)
	}
	return creds
}

func signedByCA(state tls.ConnectionState) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	intermediates := x509.NewCertPool()
	for _, certificate := range state.PeerCertificates[1:] {
		intermediates.AddCert(certificate)
	}
	_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates})
	return err
}
