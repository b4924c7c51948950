#!/usr/bin/env bash
# @okta/okta-sdk-nodejs 8.1.0 sends no request with an EC key: it signs a DPoP proof with RS256 in any case.
#
# Surprise:  with authorizationMode PrivateKey and an EC key, as PEM or JWK, every call fails with "unsupported
#            algorithm" before a token request is sent. The client assertion is not the reason: the SDK signs that with
#            ES256. It also makes a DPoP proof for every token request, whether the application asks for DPoP or not,
#            and the alg of the proof is always RS256.
# Document:  the README lists the private key as PEM or JWK and names no type of key; a proof is said to be made if the
#            SDK detects that the application has DPoP. Okta's documentation accepts ES256 for client assertions.
# Matters:   an EC key registered at Okta works with curl and not with this SDK, and the message points at the key. Use
#            an RSA key with this version, or get the token elsewhere and give it as `accessToken`.
# Version:   @okta/okta-sdk-nodejs 8.1.0 (npm) with node-jose 2.2.0, njwt 2.0.1. Seen 2026-11-30.
# Needs:     node 20 or later, npm, openssl. No root. It listens on 127.0.0.1 and connects to npm's registry only.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

echo '{"private":true,"overrides":{"node-jose":"2.2.0","njwt":"2.0.1"}}' >package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @okta/okta-sdk-nodejs@8.1.0 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out RSA.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out EC.pem

cat >call.cjs <<'JS'
const { createPrivateKey } = require('node:crypto');
const { readFileSync } = require('node:fs');
const http = require('node:http');
const { Client } = require('@okta/okta-sdk-nodejs');

const algorithm = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url')).alg;
let sent;

// Gives a bearer token to who asks, without a word of DPoP, and any user.
const server = http.createServer((request, reply) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    reply.setHeader('Content-Type', 'application/json');
    if (!request.url.endsWith('/token')) return reply.end('{"id":"1","profile":{}}');
    const assertion = new URLSearchParams(Buffer.concat(chunks).toString()).get('client_assertion');
    const { dpop } = request.headers;
    sent = `client assertion ${algorithm(assertion)}, DPoP proof ${dpop ? algorithm(dpop) : 'none'}`;
    return reply.end('{"access_token":"t","token_type":"Bearer","expires_in":3600,"scope":"okta.users.read"}');
  });
}).listen(0, '127.0.0.1', async () => {
  for (const type of ['RSA', 'EC']) {
    const pem = readFileSync(`${type}.pem`, 'utf8');
    for (const [format, privateKey] of [['PEM', pem], ['JWK', createPrivateKey(pem).export({ format: 'jwk' })]]) {
      sent = 'no token request';
      const orgUrl = `http://127.0.0.1:${server.address().port}`;
      const client = new Client({ orgUrl, authorizationMode: 'PrivateKey', clientId: 'client', keyId: '1', privateKey,
        scopes: ['okta.users.read'], testing: { disableHttpsCheck: true } });
      const result = await client.userApi.getUser({ userId: 'me' }).then(() => 'answered', ({ message }) => message);
      console.log(`${type} key as ${format}: ${result} (${sent})`);
    }
  }
  process.exit(0);
});
JS

cat >stated <<'S'
RSA key as PEM: answered (client assertion RS256, DPoP proof RS256)
RSA key as JWK: answered (client assertion RS256, DPoP proof RS256)
EC key as PEM: unsupported algorithm (no token request)
EC key as JWK: unsupported algorithm (no token request)
S
echo "@okta/okta-sdk-nodejs 8.1.0, authorizationMode PrivateKey, a server without DPoP:"
echo "expected: answered (client assertion RS256 or ES256, DPoP proof none), four times"
echo "seen:"
HOME=$tmp node call.cjs >seen 2>node.log || { cat seen node.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: no request is sent with an EC key."
