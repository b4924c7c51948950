// Gets an access token with a client assertion, and prints the identity server's answer.
//
//	buy_token CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]      with $ASSERTIOND_SERVER unix:/path
//
// AUDIENCE: one of the client's; default: its first.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	assertiond "assertiond/client"
)

func buyToken(client *assertiond.Client, clientID, tokenEndpoint, audience string) (string, error) {
	made, err := client.CreateAssertion(context.Background(),
		&assertiond.CreateAssertionRequest{ClientId: clientID, Audience: audience})
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {clientID},
		"client_assertion_type": {made.ClientAssertionType}, "client_assertion": {made.Assertion}}
	// A redirect would take the assertion to another server.
	identityServer := http.Client{Timeout: 10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := identityServer.PostForm(tokenEndpoint, form)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("identity server: %d %s", answer.StatusCode, text)
	}
	return string(text), nil
}

func run(arguments []string, server string) error {
	if len(arguments) != 2 && len(arguments) != 3 {
		return fmt.Errorf("usage: buy_token CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]")
	}
	if server == "" {
		return fmt.Errorf("buy_token: set ASSERTIOND_SERVER to unix:/path of assertiond's socket")
	}
	client, err := assertiond.Dial(server, assertiond.Options{})
	if err != nil {
		return err
	}
	defer client.Close()
	token, err := buyToken(client, arguments[0], arguments[1], strings.Join(arguments[2:], ""))
	if err == nil {
		fmt.Println(token)
	}
	return err
}

func main() {
	if err := run(os.Args[1:], os.Getenv("ASSERTIOND_SERVER")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
