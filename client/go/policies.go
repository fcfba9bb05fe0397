package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// How each policy decides whom to trust: the credentials of the channel, made of the options.
var policies = map[string]func(options) (credentials.TransportCredentials, error){
	"insecure":      plaintext,
	"skip-verify":   skipVerify,
	"no-ca":         noCA,
	"ca-file":       caFile,
	"system-roots":  systemRoots,
	"pinned":        pinned,
	"skip-hostname": skipHostname,
	"pinned-key":    pinnedKey,
}

// No encryption: everybody on the way reads along.
func plaintext(options) (credentials.TransportCredentials, error) {
	return insecure.NewCredentials(), nil
}

// Encryption with whoever answers: neither issuer, nor name, nor dates are looked at.
func skipVerify(o options) (credentials.TransportCredentials, error) {
	return credentials.NewTLS(&tls.Config{ServerName: o.serverName, InsecureSkipVerify: true}), nil
}

// Verification, with nothing said about trust: Go takes the machine's roots.
func noCA(o options) (credentials.TransportCredentials, error) {
	return credentials.NewTLS(&tls.Config{ServerName: o.serverName}), nil
}

// Verification with a CA file: trust what this CA has signed, and nothing else.
func caFile(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--ca", o.ca)
	return credentials.NewTLS(&tls.Config{ServerName: o.serverName, RootCAs: roots}), err
}

// Verification with the machine's roots, by name. It is what no-ca comes to.
func systemRoots(o options) (credentials.TransportCredentials, error) {
	roots, err := x509.SystemCertPool()
	return credentials.NewTLS(&tls.Config{ServerName: o.serverName, RootCAs: roots}), err
}

// Verification with the server's own certificate as the only root: trust this server, nobody else.
func pinned(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--pin", o.pin)
	return credentials.NewTLS(&tls.Config{ServerName: o.serverName, RootCAs: roots}), err
}

// Half right: the chain is verified, but not for whom it is. Any server of that CA will do.
func skipHostname(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--ca", o.ca)
	return credentials.NewTLS(&tls.Config{
		ServerName:         o.serverName,
		InsecureSkipVerify: true, // or Go checks the name; what it skips is done here:
		VerifyConnection: func(state tls.ConnectionState) error {
			intermediates := x509.NewCertPool()
			for _, each := range state.PeerCertificates[1:] {
				intermediates.AddCert(each)
			}
			// No DNSName among the options.
			_, err := state.PeerCertificates[0].Verify(
				x509.VerifyOptions{Roots: roots, Intermediates: intermediates},
			)
			return err
		},
	}), err
}

// The server's key is pinned, whatever certificate it stands in. That the server has the key is
// proved by the handshake. VerifyConnection is asked on resumption, too; VerifyPeerCertificate is not.
func pinnedKey(o options) (credentials.TransportCredentials, error) {
	expected, err := keyHash("--pin", o.pin)
	return credentials.NewTLS(&tls.Config{
		ServerName:         o.serverName,
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if !bytes.Equal(shown[:], expected) {
				return fmt.Errorf("the server's key has the SHA-256 %x, pinned is %x", shown, expected)
			}
			return nil
		},
	}), err
}

// pool makes roots of a PEM file.
func pool(option, path string) (*x509.CertPool, error) {
	text, err := read(option, path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", option, path)
	}
	return roots, nil
}

// keyHash is the SHA-256 of the SubjectPublicKeyInfo of the first certificate in a PEM file.
func keyHash(option, path string) ([]byte, error) {
	text, err := read(option, path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", option, path)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", option, path, err)
	}
	hash := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
	return hash[:], nil
}

func read(option, path string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("this policy needs %s FILE", option)
	}
	text, err := os.ReadFile(path)
	if reason := (*os.PathError)(nil); errors.As(err, &reason) {
		return nil, fmt.Errorf("%s: cannot read %s: %w", option, path, reason.Err)
	}
	return text, err
}
