// A gRPC client in Go. How it decides whom to trust is one short function a policy: policies.go.
//
// Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	users "client/users/v1"
)

//go:generate sh -c "python3 -m grpc_tools.protoc --proto_path=../../proto --plugin=$(go tool -n protoc-gen-go) --plugin=$(go tool -n protoc-gen-go-grpc) --go_out=. --go_opt=module=client,Musers/v1/users.proto=client/users/v1 --go-grpc_out=. --go-grpc_opt=module=client,Musers/v1/users.proto=client/users/v1 users/v1/users.proto"

// One line of output: one of these.
type answer struct {
	User  *user    `json:"user,omitempty"`
	Error *failure `json:"error,omitempty"`
	Usage *mistake `json:"usage,omitempty"`
}

type user struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type mistake struct {
	Message string `json:"message"`
}

func main() {
	switch arguments := os.Args[1:]; {
	case len(arguments) == 1 && arguments[0] == "--version":
		fmt.Printf("grpc-go %s, go %s\n", grpc.Version, strings.TrimPrefix(runtime.Version(), "go"))
	case len(arguments) == 1 && arguments[0] == "--batch":
		batch()
	default:
		os.Exit(alone(arguments))
	}
}

// alone makes the call that the command line asks for.
func alone(arguments []string) int {
	options, err := parse(arguments)
	if help := (helpAsked{}); errors.As(err, &help) {
		help.flags.SetOutput(os.Stdout)
		help.flags.PrintDefaults()
		return 0
	}
	made := getUser(options, err)
	if made.Usage != nil {
		fmt.Fprintf(os.Stderr, "client: %s\n", made.Usage.Message)
		return 2
	}
	show(made)
	if made.Error != nil {
		return 1
	}
	return 0
}

// batch makes a call for each line of stdin, one after the other.
func batch() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			show(getUser(parseLine(bytes.TrimSpace(line))))
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintf(os.Stderr, "client: stdin: %s\n", err)
				os.Exit(2)
			}
			return
		}
	}
}

// getUser asks the server for a user, with the token that identifies this client; but not if err
// says that the options were no good.
func getUser(o options, err error) answer {
	if err != nil {
		return answer{Usage: &mistake{err.Error()}}
	}
	trust, err := policies[o.policy](o)
	if err != nil {
		return answer{Usage: &mistake{err.Error()}}
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	// Or a name server is asked for the settings of a channel to localhost.
	channel, err := grpc.NewClient(
		o.target, grpc.WithTransportCredentials(trust), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return answer{Usage: &mistake{err.Error()}}
	}
	defer channel.Close()
	if o.token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+o.token)
	}
	found, err := users.NewUserServiceClient(channel).GetUser(ctx, &users.GetUserRequest{Id: o.id})
	if err != nil {
		told := status.Convert(err)
		// As the specification spells them: NOT_FOUND.
		return answer{Error: &failure{code.Code(told.Code()).String(), told.Message()}}
	}
	return answer{User: &user{found.Id, found.Name, found.Email}}
}

func show(made answer) {
	line := json.NewEncoder(os.Stdout)
	line.SetEscapeHTML(false)
	_ = line.Encode(made) // a reader that is gone ends the program by SIGPIPE
}
