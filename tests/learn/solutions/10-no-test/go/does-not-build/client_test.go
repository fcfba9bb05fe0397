package client

import "testing"

func TestVerifies(t *testing.T) { getUser("localhost:1") }
