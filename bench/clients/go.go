// A client that verifies with Go's crypto/tls, and asks over HTTP/2: go CA TARGET
package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
)

func main() {
	pem, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true,
	}
	client := &http.Client{Transport: transport}
	body := strings.NewReader("\x00\x00\x00\x00\x02\x08\x01")
	answer, err := client.Post("https://"+os.Args[2]+"/users.v1.UserService/GetUser", "application/grpc", body)
	if err != nil {
		os.Exit(1)
	}
	answer.Body.Close()
}
