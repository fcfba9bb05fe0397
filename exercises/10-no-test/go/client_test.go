// Tests of the client.
//
// mitm/mitm.go tries forged certificates on it: mitm.Cases(t) gives them, each with a Name, a Target to
// dial and a CA to trust, and each is to Judge what came of the call.
package client
