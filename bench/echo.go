// A server that echoes, with the content type and the trailer of gRPC, which nghttpd cannot send.
//
//	echo PORT CERT KEY
package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		io.Copy(w, r.Body)
		w.Header().Set("Grpc-Status", "0")
	})
	server := &http.Server{
		Addr:  "127.0.0.1:" + os.Args[1],
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000},
	}
	if err := server.ListenAndServeTLS(os.Args[2], os.Args[3]); err != nil {
		panic(err)
	}
}
