// Servers in Go, sound and careless: careless MODE FOLDER
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	method = "/users.v1.UserService/GetUser"
	server = "server.lab.example"
	client = "billing.lab.example"
)

type verify func(sent []*x509.Certificate) error

// How each decides; nil allows everybody who has come so far.
type rules struct {
	auth   tls.ClientAuthType
	verify verify
	allow  func(tls.ConnectionState) bool
	change func(*tls.Config)
}

var (
	roots = x509.NewCertPool()
	root  *x509.Certificate
	good  *x509.Certificate
)

func named(state tls.ConnectionState) bool {
	return slices.Contains(state.PeerCertificates[0].DNSNames, client)
}

func options(sent []*x509.Certificate) x509.VerifyOptions {
	intermediates := x509.NewCertPool()
	for _, each := range sent[1:] {
		intermediates.AddCert(each)
	}
	return x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// Signatures, dates and purpose, by hand; what a CA may do is left out.
func byHand(sent []*x509.Certificate) error {
	now := time.Now()
	for number, each := range sent {
		issuer := root
		if number+1 < len(sent) {
			issuer = sent[number+1]
		}
		if err := issuer.CheckSignature(each.SignatureAlgorithm, each.RawTBSCertificate, each.Signature); err != nil {
			return err
		}
		if now.Before(each.NotBefore) || now.After(each.NotAfter) {
			return errors.New("not now")
		}
	}
	if len(sent[0].ExtKeyUsage) > 0 && !slices.Contains(sent[0].ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return errors.New("not for clients")
	}
	return nil
}

var modes = map[string]rules{
	"verify":       {auth: tls.RequireAndVerifyClientCert},
	"identity":     {auth: tls.RequireAndVerifyClientCert, allow: named},
	"if-given":     {auth: tls.VerifyClientCertIfGiven},
	"asks-only":    {auth: tls.RequestClientCert},
	"any":          {auth: tls.RequireAnyClientCert},
	"any-by-names": {auth: tls.RequireAnyClientCert, allow: named},
	"any-purpose": {auth: tls.RequireAnyClientCert, allow: named, verify: func(sent []*x509.Certificate) error {
		wanted := options(sent)
		wanted.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
		_, err := sent[0].Verify(wanted)
		return err
	}},
	"any-time": {auth: tls.RequireAnyClientCert, allow: named, verify: func(sent []*x509.Certificate) error {
		wanted := options(sent)
		wanted.CurrentTime = sent[0].NotBefore.Add(time.Minute)
		_, err := sent[0].Verify(wanted)
		return err
	}},
	"any-in-the-chain": {auth: tls.RequireAnyClientCert, allow: named, verify: func(sent []*x509.Certificate) error {
		err := errors.New("none")
		for number := range sent {
			if _, failed := sent[number].Verify(options(sent[number:])); failed == nil {
				return nil
			}
		}
		return err
	}},
	"by-hand": {auth: tls.RequireAnyClientCert, allow: named, verify: byHand},
	"by-serial": {auth: tls.RequireAnyClientCert, verify: func(sent []*x509.Certificate) error {
		if sent[0].SerialNumber.Cmp(good.SerialNumber) != 0 || !bytes.Equal(sent[0].RawIssuer, good.RawIssuer) {
			return errors.New("not known")
		}
		return nil
	}},
	"by-key": {auth: tls.RequireAnyClientCert, verify: func(sent []*x509.Certificate) error {
		if !bytes.Equal(sent[0].RawSubjectPublicKeyInfo, good.RawSubjectPublicKeyInfo) {
			return errors.New("not known")
		}
		return nil
	}},
	"by-server-name": {auth: tls.NoClientCert, change: func(config *tls.Config) {
		strict := config.Clone()
		strict.ClientAuth = tls.RequireAndVerifyClientCert
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return map[string]*tls.Config{server: strict}[hello.ServerName], nil
		}
	}},
	"old": {auth: tls.RequireAndVerifyClientCert, allow: named, change: func(config *tls.Config) {
		config.MinVersion = tls.VersionTLS10
		// Those of HTTP/2 are of TLS 1.2, and the default of grpc-go.
		config.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
	}},
}

func main() {
	mode, folder := modes[os.Args[1]], os.Args[2]
	pair := must(tls.LoadX509KeyPair(filepath.Join(folder, "server.pem"), filepath.Join(folder, "server.key")))
	own := must(tls.LoadX509KeyPair(filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key")))
	good = must(x509.ParseCertificate(own.Certificate[0]))
	roots.AppendCertsFromPEM(must(os.ReadFile(filepath.Join(folder, "clients.pem"))))
	ca := must(tls.LoadX509KeyPair(filepath.Join(folder, "clients.pem"), filepath.Join(folder, "clients.key")))
	root = must(x509.ParseCertificate(ca.Certificate[0]))

	config := &tls.Config{
		Certificates: []tls.Certificate{pair},
		ClientAuth:   mode.auth,
		ClientCAs:    roots,
		NextProtos:   []string{"h2"},
	}
	if mode.verify != nil {
		config.VerifyConnection = func(state tls.ConnectionState) error {
			return mode.verify(state.PeerCertificates)
		}
	}
	if mode.change != nil {
		mode.change(config)
	}
	authorise := func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		if !allowed(stream.Context(), mode) {
			return status.Error(codes.PermissionDenied, "not you")
		}
		return next(srv, stream)
	}
	serving := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(config)),
		grpc.StreamInterceptor(authorise),
		grpc.UnknownServiceHandler(answer),
	)
	listening := must(net.Listen("tcp", "127.0.0.1:0"))
	fmt.Println(listening.Addr().(*net.TCPAddr).Port)
	must(0, serving.Serve(listening))
}

func allowed(ctx context.Context, mode rules) bool {
	if mode.allow == nil {
		return true
	}
	from, _ := peer.FromContext(ctx)
	return mode.allow(from.AuthInfo.(credentials.TLSInfo).State)
}

func answer(_ any, stream grpc.ServerStream) error {
	called, _ := grpc.MethodFromServerStream(stream)
	if called != method {
		return status.Error(codes.Unimplemented, "no such method")
	}
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	return stream.SendMsg(&emptypb.Empty{})
}

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}
