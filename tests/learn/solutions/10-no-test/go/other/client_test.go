package client

import (
	"testing"

	"exercises/10-no-test/mitm"
)

func TestTakesItsOwnServerAlone(t *testing.T) {
	for _, c := range mitm.Cases(t) {
		if _, err := getUser(c.Target, c.CA); (err == nil) != (c.Expect == "accept") {
			t.Errorf("%s: %v, but %s was right", c.Name, err, c.Expect)
		}
	}
}
