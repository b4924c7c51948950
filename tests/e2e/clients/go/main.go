// Uses the module assertiond/client as a program would: client_contract.mjs describes the verbs.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/ioutil"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	assertiond "assertiond/client"
)

var (
	server  = os.Getenv("ASSERTIOND_SERVER")
	orders  = &assertiond.CreateAssertionRequest{ClientId: "orders"}
	foreign = &assertiond.CreateAssertionRequest{ClientId: "foreign"}
	always  = context.Background()
)

type object map[string]interface{}

// or panics with an error, which main reports.
func or[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func seconds(text string) time.Duration {
	return time.Duration(or(strconv.ParseFloat(text, 64)) * float64(time.Second))
}

func dial(timeout string) *assertiond.Client {
	return or(assertiond.Dial(server, assertiond.Options{Timeout: seconds(timeout)}))
}

func codeOf(err error) string {
	var refusal *assertiond.Error
	if errors.As(err, &refusal) {
		return refusal.CodeName()
	}
	return err.Error()
}

func stream(arguments []string) object {
	client := dial("60")
	defer client.Close()
	stream := client.Stream()
	var (
		all     sync.WaitGroup
		mu      sync.Mutex
		jtis    = map[string]bool{}
		refused = [][]interface{}{}
	)
	for i := 0; i < or(strconv.Atoi(arguments[0])); i++ {
		request := orders
		if i%10 == 0 {
			request = foreign
		}
		all.Add(1)
		go func(i int) {
			defer all.Done()
			reply, err := stream.Submit(always, request)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				refused = append(refused, []interface{}{i, codeOf(err)})
			} else {
				jtis[reply.Jti] = true
			}
		}(i)
	}
	all.Wait()
	stream.Close()
	return object{"jtis": len(jtis), "refused": refused}
}

func rate(arguments []string) object {
	client := dial("20")
	defer client.Close()
	started := time.Now()
	or(client.CreateAssertion(always, orders))
	for i := 1; i < or(strconv.Atoi(arguments[0])); i++ {
		ctx, cancel := context.WithTimeout(always, seconds(arguments[1]))
		or(client.CreateAssertion(ctx, orders))
		cancel()
	}
	return object{"seconds": time.Since(started).Seconds()}
}

func patience(arguments []string) object {
	client := dial(arguments[1])
	defer client.Close()
	stream := client.Stream()
	count := or(strconv.Atoi(arguments[0]))
	failures := make(chan error, count)
	started := time.Now()
	for i := 0; i < count; i++ {
		go func() {
			_, err := stream.Submit(always, orders)
			failures <- err
		}()
	}
	for i := 0; i < count; i++ {
		or(0, <-failures)
	}
	stream.Close()
	return object{"seconds": time.Since(started).Seconds()}
}

func restart([]string) object {
	client := dial("20")
	defer client.Close()
	stream := client.Stream()
	jtis := map[string]bool{}
	both := func() {
		jtis[or(client.CreateAssertion(always, orders)).Jti] = true
		jtis[or(stream.Submit(always, orders)).Jti] = true
	}
	both()
	fmt.Println("called")
	or(bufio.NewReader(os.Stdin).ReadString('\n'))
	both()
	stream.Close()
	return object{"jtis": len(jtis)}
}

func down(arguments []string) object {
	client := dial(arguments[0])
	defer client.Close()
	started := time.Now()
	_, err := client.CreateAssertion(always, orders)
	var refusal *assertiond.Error
	if !errors.As(err, &refusal) {
		panic(err)
	}
	return object{"code": refusal.CodeName(), "retryable": refusal.Retryable(), "seconds": time.Since(started).Seconds()}
}

func token([]string) object {
	client := dial("5")
	defer client.Close()
	request := &assertiond.GetAccessTokenRequest{ClientId: "orders"}
	first, second := or(client.GetAccessToken(always, request)), or(client.GetAccessToken(always, request))
	return object{"type": first.TokenType, "same": first.AccessToken == second.AccessToken,
		"validFor": float64(first.ExpiresAt.Seconds) - float64(time.Now().UnixMilli())/1000}
}

func others([]string) object {
	client := dial("5")
	defer client.Close()
	proof := &assertiond.CreateDpopProofRequest{ClientId: "shop", Htm: "POST", Htu: "https://as.example.org/"}
	return object{
		"proof":       or(client.CreateDpopProof(always, proof)).Proof,
		"object":      or(client.CreateRequestObject(always, &assertiond.CreateRequestObjectRequest{ClientId: "shop"})).RequestObject,
		"certificate": or(client.GetCertificate(always, &assertiond.GetCertificateRequest{ClientId: "shop"})).Pem,
		"keys":        or(client.GetJwks(always, &assertiond.GetJwksRequest{ClientId: "shop"})).Jwks,
	}
}

func misuse([]string) object {
	_, plaintext := assertiond.Dial("localhost:1", assertiond.Options{})
	_, timeout := assertiond.Dial(server, assertiond.Options{Timeout: -1})
	_, anonymous := assertiond.Dial("localhost:1", assertiond.Options{TLS: &tls.Config{}})
	return object{"plaintext": plaintext.Error(), "timeout": timeout.Error(), "anonymous": anonymous.Error()}
}

func overTLS(arguments []string) object {
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(or(ioutil.ReadFile(arguments[2])))
	identity := or(tls.LoadX509KeyPair(arguments[3], arguments[4]))
	config := &tls.Config{RootCAs: authorities, Certificates: []tls.Certificate{identity}}
	client := or(assertiond.Dial(arguments[0], assertiond.Options{TLS: config, Timeout: seconds(arguments[1])}))
	defer client.Close()
	return object{"jti": or(client.CreateAssertion(always, orders)).Jti}
}

// ---- for clients_go.test.mjs ----

// abandoned ends calls in three ways against a server that does not answer: by the caller's context, and by Close.
func abandoned([]string) object {
	socket := strings.TrimPrefix(server, "unix:") + ".silent"
	listener := or(net.Listen("unix", socket))
	defer listener.Close()
	client := or(assertiond.Dial("unix:"+socket, assertiond.Options{}))
	ctx, cancel := context.WithCancel(always)
	failures := make(chan string, 2)
	go func() {
		_, err := client.CreateAssertion(ctx, orders)
		failures <- codeOf(err)
	}()
	or(listener.Accept())
	cancel()
	cancelled := <-failures

	stream := client.Stream()
	go func() {
		_, err := stream.Submit(always, orders)
		failures <- codeOf(err)
	}()
	short, stop := context.WithTimeout(always, 100*time.Millisecond)
	defer stop()
	_, late := stream.Submit(short, orders)
	client.Close()
	closed := <-failures
	_, after := stream.Submit(always, orders)
	return object{"cancelled": cancelled, "late": codeOf(late), "closed": closed, "after": after.Error()}
}

// wrong asks with what Protobuf cannot encode; other requests of the stream go on.
func wrong([]string) object {
	client := dial("5")
	defer client.Close()
	stream := client.Stream()
	defer stream.Close()
	var failures []string
	for _, request := range []*assertiond.CreateAssertionRequest{nil, {ClientId: "orders", Audience: "\xff"}} {
		_, call := client.CreateAssertion(always, request)
		_, streamed := stream.Submit(always, request)
		failures = append(failures, call.Error(), streamed.Error())
	}
	return object{"failures": failures, "jti": or(stream.Submit(always, orders)).Jti}
}

func main() {
	defer func() {
		var refusal *assertiond.Error
		if caught, ok := recover().(error); ok && errors.As(caught, &refusal) {
			fmt.Fprintf(os.Stderr, "%s, retry after %v\n", refusal.CodeName(), refusal.RetryAfter.Seconds())
			os.Exit(1)
		} else if caught != nil {
			panic(caught)
		}
	}()
	verbs := map[string]func([]string) object{"stream": stream, "rate": rate, "patience": patience, "restart": restart, "down": down, "token": token,
		"others": others, "misuse": misuse, "tls": overTLS, "abandoned": abandoned, "wrong": wrong}
	fmt.Println(string(or(json.Marshal(verbs[os.Args[1]](os.Args[2:])))))
}
