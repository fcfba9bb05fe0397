package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// What one call is told.
type options struct {
	target, policy, ca, pin, cert, key, serverName, token string
	id                                                    int64
	timeout                                               time.Duration
}

const longest = 24 * time.Hour

// parse reads the options of a call; what is wrong with them is for the user to read.
func parse(arguments []string) (options, error) {
	o := options{id: 1, timeout: 5 * time.Second}
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.target, "target", "", "what to dial: `HOST:PORT`")
	flags.StringVar(&o.policy, "policy", "", "whom to trust: `POLICY`")
	flags.StringVar(&o.ca, "ca", "", "for ca-file, skip-hostname, mutual-tls: the CA, a PEM `FILE`")
	flags.StringVar(&o.pin, "pin", "", "for pinned, pinned-key: certificates, a PEM `FILE`")
	flags.StringVar(&o.cert, "cert", "", "what to present to a server that asks, a PEM `FILE`, leaf first")
	flags.StringVar(&o.key, "key", "", "the key of its leaf, a PEM `FILE`")
	flags.StringVar(&o.serverName, "server-name", "", "`NAME` to check, if not the target's")
	flags.StringVar(&o.token, "token", "", "sent as authorization: Bearer `T`")
	flags.Int64Var(&o.id, "id", o.id, "user `N` is asked for")
	flags.Func("timeout", "`SECONDS`, in all (default 5)", func(text string) (err error) {
		o.timeout, err = seconds(text)
		return err
	})
	if err := flags.Parse(arguments); errors.Is(err, flag.ErrHelp) {
		return o, helpAsked{flags}
	} else if err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("what is %q?", flags.Arg(0))
	}
	if host, port, err := net.SplitHostPort(o.target); err != nil || host == "" || !digits(port) {
		return o, fmt.Errorf("--target: %q is not HOST:PORT", o.target)
	}
	if _, known := policies[o.policy]; !known {
		return o, fmt.Errorf("--policy: there is no policy %q", o.policy)
	}
	if (o.cert == "") != (o.key == "") {
		return o, errors.New("--cert and --key are given together, or neither")
	}
	return o, nil
}

// parseLine reads the same options from a line of a batch: {"target": "localhost:1", "id": 3, …}.
func parseLine(line []byte) (options, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(line, &given); err != nil || given == nil {
		return options{}, errors.New("a line is one JSON object")
	}
	var arguments []string
	for name, raw := range given {
		text := string(raw) // a number stands for itself
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				return options{}, err
			}
		} else if _, err := strconv.ParseFloat(text, 64); err != nil {
			return options{}, fmt.Errorf("%s: neither text nor a number", name)
		}
		arguments = append(arguments, "--"+name+"="+text)
	}
	return parse(arguments)
}

func seconds(text string) (time.Duration, error) {
	number, err := strconv.ParseFloat(text, 64)
	if limit := longest.Seconds(); err != nil || !(number > 0 && number <= limit) {
		return 0, errors.New("no number of seconds")
	}
	return time.Duration(number * float64(time.Second)), nil
}

func digits(port string) bool {
	_, err := strconv.ParseUint(port, 10, 16)
	return err == nil
}

// helpAsked is no mistake: --help was among the options.
type helpAsked struct{ flags *flag.FlagSet }

func (helpAsked) Error() string { return "--help stands alone" }
