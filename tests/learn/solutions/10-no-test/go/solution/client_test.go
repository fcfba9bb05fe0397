package client

import (
	"testing"

	"exercises/10-no-test/mitm"
)

func TestVerifies(t *testing.T) {
	for _, c := range mitm.Cases(t) {
		t.Run(c.Name, func(t *testing.T) {
			_, err := getUser(c.Target, c.CA)
			c.Judge(t, err)
		})
	}
}
