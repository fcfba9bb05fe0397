package client

import "testing"

func TestVerifies(t *testing.T) { t.Fatal("no client is sound") }
