package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"

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
	"mutual-tls":    mutualTLS,
}

// No encryption: everybody on the way reads along.
func plaintext(options) (credentials.TransportCredentials, error) {
	return insecure.NewCredentials(), nil
}

// Encryption with whoever answers: neither issuer, nor name, nor dates are looked at.
func skipVerify(o options) (credentials.TransportCredentials, error) {
	return overTLS(o, &tls.Config{InsecureSkipVerify: true})
}

// Verification, with nothing said about trust: Go takes the machine's roots.
func noCA(o options) (credentials.TransportCredentials, error) {
	return overTLS(o, &tls.Config{})
}

// Verification with a CA file: trust what this CA has signed, and nothing else.
func caFile(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--ca", o.ca)
	if err != nil {
		return nil, err
	}
	return overTLS(o, &tls.Config{RootCAs: roots})
}

// Verification with the machine's roots, by name. It is what no-ca comes to.
func systemRoots(o options) (credentials.TransportCredentials, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	return overTLS(o, &tls.Config{RootCAs: roots})
}

// Verification with the server's own certificates as the only roots: trust this server, nobody else.
func pinned(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--pin", o.pin)
	if err != nil {
		return nil, err
	}
	return overTLS(o, &tls.Config{RootCAs: roots})
}

// Half right: the chain is verified, but not for whom it is. Any server of that CA will do.
func skipHostname(o options) (credentials.TransportCredentials, error) {
	roots, err := pool("--ca", o.ca)
	if err != nil {
		return nil, err
	}
	return overTLS(o, &tls.Config{
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
	})
}

// The server's key is pinned, whatever certificate it stands in. That the server has the key is
// proved by the handshake. VerifyConnection is asked on resumption, too; VerifyPeerCertificate is not.
func pinnedKey(o options) (credentials.TransportCredentials, error) {
	expected, err := keyHashes("--pin", o.pin)
	if err != nil {
		return nil, err
	}
	return overTLS(o, &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			shown := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if !slices.Contains(expected, shown) {
				return fmt.Errorf("the server's key has the SHA-256 %x, pinned is %x", shown, expected)
			}
			return nil
		},
	})
}

// Verification both ways: the server must be the CA's, and sees who this client is.
func mutualTLS(o options) (credentials.TransportCredentials, error) {
	if o.cert == "" {
		return nil, errors.New("this policy needs --cert FILE and --key FILE")
	}
	return caFile(o)
}

// overTLS makes credentials of what a policy says, with the name that the server must prove, and
// with what is shown to a server that asks, whomever the client trusts.
func overTLS(o options, config *tls.Config) (credentials.TransportCredentials, error) {
	config.ServerName = o.serverName
	if o.cert != "" {
		own, err := keyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{own}
	}
	return credentials.NewTLS(config), nil
}

// keyPair makes what the client presents of two PEM files.
func keyPair(cert, key string) (tls.Certificate, error) {
	chain, err := read("--cert", cert)
	if err != nil {
		return tls.Certificate{}, err
	}
	private, err := read("--key", key)
	if err != nil {
		return tls.Certificate{}, err
	}
	own, err := tls.X509KeyPair(chain, private)
	if err != nil {
		return own, fmt.Errorf("--cert and --key: %w", err)
	}
	return own, nil
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

// keyHashes are the SHA-256 of the SubjectPublicKeyInfo of each certificate in a PEM file.
func keyHashes(option, path string) ([][sha256.Size]byte, error) {
	text, err := read(option, path)
	if err != nil {
		return nil, err
	}
	var hashes [][sha256.Size]byte
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", option, path, err)
		}
		hashes = append(hashes, sha256.Sum256(certificate.RawSubjectPublicKeyInfo))
	}
	if hashes == nil {
		return nil, fmt.Errorf("%s: %s holds no PEM certificate", option, path)
	}
	return hashes, nil
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
