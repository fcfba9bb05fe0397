// One call of gRPC, over what the clients of the zoo have checked: with grpc-go, net/http or connect.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/types/known/emptypb"
)

const limit = 10 * time.Second

const method = "/users.v1.UserService/GetUser"

// MENDED is whether a client is to do without its flaw.
var MENDED = os.Getenv("MENDED") != ""

// Clients by their names. Each is told where to connect, the file of the CA to trust, and whom to
// expect.
var clients = map[string]func(target, ca, name string) error{}

func main() {
	if err := clients[os.Args[1]](os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// call makes one with grpc-go.
func call(target string, config *tls.Config) error {
	return callWith(target, credentials.NewTLS(config))
}

func callWith(
	target string, creds credentials.TransportCredentials, options ...grpc.DialOption,
) error {
	options = append(options, grpc.WithTransportCredentials(creds), grpc.WithNoProxy())
	channel, err := grpc.NewClient("passthrough:///"+target, options...)
	if err != nil {
		return err
	}
	defer channel.Close()
	return ask(channel)
}

func ask(channel grpc.ClientConnInterface) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return channel.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
}

// post makes one with net/http, as a client that has no library for gRPC would.
func post(transport http.RoundTripper, scheme, name string) error {
	client := &http.Client{Transport: transport, Timeout: limit}
	body := bytes.NewReader(make([]byte, 5))
	request, err := http.NewRequest("POST", scheme+"://"+urlHost(name)+method, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.ReadAll(response.Body); err != nil {
		return err
	}
	if status := response.Trailer.Get("grpc-status"); status != "0" {
		return errors.New("status " + status)
	}
	return nil
}

// urlHost is a name as it stands in a URL: an IPv6 address in brackets.
func urlHost(name string) string {
	if ip := net.ParseIP(name); ip != nil && ip.To4() == nil {
		return "[" + name + "]"
	}
	return name
}

// web is a transport that goes to the target, whatever stands in the URL.
func web(target string, config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: limit}).DialContext(ctx, network, target)
		},
		TLSClientConfig:   config,
		ForceAttemptHTTP2: true,
	}
}

// roots are the CAs in a file, and nothing else.
func roots(file string) *x509.CertPool {
	pool := x509.NewCertPool()
	text, err := os.ReadFile(file)
	if err != nil || !pool.AppendCertsFromPEM(text) {
		fmt.Fprintln(os.Stderr, file, "holds no certificate:", err)
		os.Exit(1)
	}
	return pool
}

// pinned is the one certificate in a file.
func pinned(file string) *x509.Certificate {
	text, err := os.ReadFile(file)
	block, _ := pem.Decode(text)
	if err != nil || block == nil {
		fmt.Fprintln(os.Stderr, file, "holds no certificate:", err)
		os.Exit(1)
	}
	return parsed([][]byte{block.Bytes})[0]
}

// parsed are the certificates that the server has sent, leaf first.
func parsed(raw [][]byte) []*x509.Certificate {
	var certificates []*x509.Certificate
	for _, der := range raw {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		certificates = append(certificates, certificate)
	}
	return certificates
}

func poolOf(certificates []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, certificate := range certificates {
		pool.AddCert(certificate)
	}
	return pool
}

// verified is what crypto/tls does by itself, unless it is told not to.
func verified(state tls.ConnectionState, config *tls.Config) error {
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{
		DNSName:       config.ServerName,
		Roots:         config.RootCAs,
		Intermediates: poolOf(state.PeerCertificates[1:]),
	})
	return err
}
