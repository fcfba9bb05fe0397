package client

import (
	"os"
	"strings"
	"testing"
)

func TestHasNoDangerousOption(t *testing.T) {
	source, err := os.ReadFile("client.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"InsecureSkipVerify", "insecure"} {
		if strings.Contains(string(source), word) {
			t.Error(word)
		}
	}
}
