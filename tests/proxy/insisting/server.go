// HTTP/2 that insists on a client certificate: server FOLDER TLSv1.2|TLSv1.3
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	folder := os.Args[1]
	own, err := tls.LoadX509KeyPair(folder+"/server.pem", folder+"/server.key")
	if err != nil {
		panic(err)
	}
	ca, err := os.ReadFile(folder + "/ca.pem")
	if err != nil {
		panic(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(ca)
	version := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}[os.Args[2]]
	listening, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listening.Addr().(*net.TCPAddr).Port)
	server := http.Server{TLSConfig: &tls.Config{
		Certificates: []tls.Certificate{own},
		ClientCAs:    trusted,
		ClientAuth:   tls.RequireAndVerifyClientCert,
		MinVersion:   version,
		MaxVersion:   version,
	}}
	panic(server.ServeTLS(listening, "", ""))
}
