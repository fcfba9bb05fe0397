// Package mitm tries forged certificates on the client of your own tests, one sub-test for each.
//
// Copy this file into your module, and let mitm-demo run its tests; without it they are skipped:
//
//	mitm-demo audit --session -- go test ./...
package mitm

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

const command = "mitm-demo audit --session -- go test ./..."

// No proxy of the environment: the session is on this machine.
var client = http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// Case is one certificate, or one attack, that is presented on a port of its own.
type Case struct {
	Name       string
	Title      string
	Target     string // host:port to dial
	CA         string // file of the CA to trust, PEM
	Pin        string // file of the genuine certificate, for a client that trusts that alone
	ServerName string `json:"server_name"` // the name to expect in the certificate
	Expect     string // what a correct client does: accept or reject
	Severity   string // must, should or info
}

// Cases returns what is presented. Let the client make one call to each, and judge it:
//
//	for _, c := range mitm.Cases(t) {
//		t.Run(c.Name, func(t *testing.T) { c.Judge(t, getUser(c.Target, c.CA)) })
//	}
func Cases(t testing.TB) []Case {
	t.Helper()
	if os.Getenv("MITM_SESSION") == "" {
		t.Skip("no certificates are presented to this test: run it by " + command)
	}
	answer := ask(t, http.MethodGet, "/cases", nil)
	var index struct{ Cases []Case }
	if err := json.Unmarshal([]byte(answer), &index); err != nil || len(index.Cases) == 0 {
		t.Fatalf("the session lists no cases (%v): %.200s", err, answer)
	}
	return index.Cases
}

// Judge fails the test if the client should have behaved otherwise, and skips it if that cannot be
// said. It goes by what the client sent; err, nil if its call succeeded, is only quoted.
func (c Case) Judge(t testing.TB, err error) {
	t.Helper()
	said := map[string]any{"error": nil}
	if err != nil {
		said["error"] = err.Error()
	}
	body, _ := json.Marshal(said)
	answer := ask(t, http.MethodPost, "/cases/"+url.PathEscape(c.Name)+"/judge", body)
	outcome, message, _ := strings.Cut(answer, "\n")
	switch outcome {
	case "ok":
	case "skip":
		t.Skip(message)
	default:
		t.Fatal("\n" + message)
	}
}

// ask makes a request of the session, and fails the test if that is gone.
func ask(t testing.TB, method, path string, body []byte) string {
	t.Helper()
	request, err := http.NewRequest(method, os.Getenv("MITM_SESSION")+path, bytes.NewReader(body))
	if err != nil {
		t.Fatalf("MITM_SESSION is no address (%v): run the test by %s", err, command)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/plain")
	if method == http.MethodPost {
		request.Header.Set("Accept", "text/plain")
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("mitm-demo does not answer (%v): run the test by %s", err, command)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("mitm-demo answers %s (%v): %.500s", response.Status, err, answer)
	}
	return string(answer)
}
