// The server that a Go programmer writes for the same job: gRPC's and crypto11's usual ways, no policy, no audit log, no
// verification of signatures. peers.sh measures assertiond beside it.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"github.com/ThalesIgnite/crypto11"
	"github.com/golang/protobuf/ptypes/timestamp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	v1 "assertiond/proto/assertion/v1"
)

const (
	lifetime   = time.Minute
	coordinate = 32 // octets of a P-256 number
	audience   = "https://localhost:9443/oauth2/token"
)

type server struct {
	v1.UnimplementedAssertionServiceServer
	keys map[string]crypto11.Signer
}

func encode(part interface{}) (string, error) {
	text, err := json.Marshal(part)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// jose turns the DER form of an ECDSA signature into that of RFC 7518 section 3.4.
func jose(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &pair); err != nil {
		return nil, err
	}
	signature := make([]byte, 2*coordinate)
	pair.R.FillBytes(signature[:coordinate])
	pair.S.FillBytes(signature[coordinate:])
	return signature, nil
}

func (s *server) assertion(clientID string) (string, error) {
	key, known := s.keys[clientID]
	if !known {
		return "", status.Error(codes.NotFound, "no such client")
	}
	_, isEC := key.Public().(*ecdsa.PublicKey)
	algorithm := "RS256"
	if isEC {
		algorithm = "ES256"
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return "", err
	}
	now := time.Now()
	header, err := encode(map[string]interface{}{"alg": algorithm, "kid": clientID, "typ": "JWT"})
	if err != nil {
		return "", err
	}
	claims, err := encode(map[string]interface{}{
		"iss": clientID, "sub": clientID, "aud": audience, "iat": now.Unix(), "exp": now.Add(lifetime).Unix(),
		"jti": base64.RawURLEncoding.EncodeToString(id)})
	if err != nil {
		return "", err
	}
	input := header + "." + claims
	digest := sha256.Sum256([]byte(input))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil && isEC {
		signature, err = jose(signature)
	}
	if err != nil {
		return "", err
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

func (s *server) CreateAssertion(_ context.Context, request *v1.CreateAssertionRequest) (
	*v1.CreateAssertionResponse, error) {
	assertion, err := s.assertion(request.GetClientId())
	if err != nil {
		return nil, err
	}
	expires := timestamp.Timestamp{Seconds: time.Now().Add(lifetime).Unix()}
	return &v1.CreateAssertionResponse{Assertion: assertion, ExpiresAt: &expires}, nil
}

func run(module, token, pinFile, socket string, clients []string) error {
	pin, err := os.ReadFile(pinFile)
	if err != nil {
		return err
	}
	hsm, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: strings.TrimSpace(string(pin))})
	if err != nil {
		return err
	}
	peer := &server{keys: map[string]crypto11.Signer{}}
	for _, client := range clients {
		key, err := hsm.FindKeyPair(nil, []byte(client))
		if err != nil || key == nil {
			return fmt.Errorf("no key pair is labelled %s: %v", client, err)
		}
		peer.keys[client] = key
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	service := grpc.NewServer()
	v1.RegisterAssertionServiceServer(service, peer)
	fmt.Println("serving")
	return service.Serve(listener)
}

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: go_peer MODULE TOKEN PIN_FILE SOCKET CLIENT[,CLIENT]")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4], strings.Split(os.Args[5], ",")); err != nil {
		fmt.Fprintln(os.Stderr, "go_peer:", err)
		os.Exit(1)
	}
}
