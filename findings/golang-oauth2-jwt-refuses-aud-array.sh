#!/usr/bin/env bash
# golang.org/x/oauth2/jwt 0.3.0 refuses a token answer whose ID token has an array in aud.
#
# Surprise:  the JWT bearer flow decodes an id_token that comes with the access token, for its exp alone, into a struct
#            whose aud is a string. With an aud of ["client"] the whole answer is an error and the access token is lost.
#            With "client" it works, and the access token is then taken to expire when the ID token does, whatever
#            expires_in says.
# Document:  OpenID Connect Core 1.0, section 2, and RFC 7519, section 4.1.3: aud is an array in the general case. The
#            documentation of golang.org/x/oauth2/jwt mentions the ID token for UseIDToken alone, which is off here.
# Matters:   a server that starts to answer with an ID token, since the client has scope openid, breaks the client or
#            makes it buy tokens more often, with an assertion each. Do not ask for openid in this flow.
# Version:   golang.org/x/oauth2 0.3.0 (Debian golang-golang-x-oauth2-dev 0.3.0-1), golang-golang-x-net-dev 0.7.0. Seen
#            2026-11-30.
# Needs:     apt-get (with current package lists), dpkg, openssl, go 1.18 or later. No root. It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

apt-get download golang-golang-x-oauth2-dev=0.3.0-1 golang-golang-x-net-dev=1:0.7.0+dfsg-1 >apt.log 2>&1 ||
  { cat apt.log >&2; exit 2; }
for deb in *.deb; do dpkg -x "$deb" root; done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem

cat >buy.go <<'GO'
package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"golang.org/x/oauth2/jwt"
)

// Buys a token that lasts an hour, with an ID token that lasts 60 s.
func buy(key []byte, audience string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		idToken := ""
		if audience != "" {
			now := time.Now().Unix()
			claims := fmt.Sprintf(`{"iss":"https://as.example","sub":"s","aud":%s,"iat":%d,"exp":%d}`, audience, now, now+60)
			encode := base64.RawURLEncoding.EncodeToString
			idToken = fmt.Sprintf(`,"id_token":"%s.%s.AA"`, encode([]byte(`{"alg":"RS256"}`)), encode([]byte(claims)))
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"t","token_type":"Bearer","expires_in":3600%s}`, idToken)
	}))
	defer server.Close()
	config := jwt.Config{Email: "client", PrivateKey: key, TokenURL: server.URL}
	token, err := config.TokenSource(context.Background()).Token()
	what := "aud " + audience
	if audience == "" {
		what = "no ID token"
	}
	switch {
	case err != nil:
		fmt.Printf("%s: %v\n", what, err)
	case time.Until(token.Expiry) > 10*time.Minute:
		fmt.Printf("%s: access token, for an hour\n", what)
	default:
		fmt.Printf("%s: access token, for a minute\n", what)
	}
}

func main() {
	key, err := os.ReadFile("key.pem")
	if err != nil {
		panic(err)
	}
	buy(key, "")
	buy(key, `"client"`)
	buy(key, `["client"]`)
}
GO
GOFLAGS='' GO111MODULE=off GOPATH=$tmp/root/usr/share/gocode GOCACHE=$tmp/cache go build -o buy buy.go 2>go.log ||
  { cat go.log >&2; exit 2; }

cat >stated <<'S'
no ID token: access token, for an hour
aud "client": access token, for a minute
aud ["client"]: oauth2: error decoding JWT token: json: cannot unmarshal array into Go struct field ClaimSet.aud of type string
S
echo "golang.org/x/oauth2/jwt 0.3.0, expires_in 3600, UseIDToken off:"
echo "expected: an access token for an hour each time"
echo "seen:"
./buy >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: an array in aud of the ID token loses the access token."
