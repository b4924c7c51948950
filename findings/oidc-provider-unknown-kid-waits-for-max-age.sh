#!/usr/bin/env bash
# oidc-provider 9.13.3 does not fetch a client's jwks_uri for an unknown kid while the cached JWK Set is fresh.
#
# Surprise:  a client adds a key to its JWK Set and signs its client assertion with it. The provider refuses the
#            assertion (invalid_client) and does not fetch the set again until the max-age of its last answer is over.
#            `Cache-Control: no-store` shortens this to 60 seconds, not to zero.
# Document:  OpenID Connect Core 1.0, section 10.1.1: an unfamiliar kid makes the verifier fetch the keys again.
#            oidc-provider's documentation does not mention how long it keeps a client's JWK Set.
# Matters:   the max-age on your JWK Set is the time for which this provider refuses a new key. Publish a key at least
#            max-age, and never less than a minute, before the first assertion that it signs.
# Version:   oidc-provider 9.13.3 (npm), jose 6.2.18 to sign. Seen 2026-11-27.
# Needs:     npm, node 20 or later. No root. It listens on 127.0.0.1 and fetches the JWK Set from memory.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

npm install --prefix "$tmp" --cache "$tmp/cache" --no-audit --no-fund --ignore-scripts \
  --fetch-retries 1 --fetch-timeout 20000 oidc-provider@9.13.3 jose@6.2.18 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }

cat >rotate.mjs <<'JS'
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const issuer = 'http://op.example';
const realNow = Date.now;

async function rotate(cacheControl, waits) {
  const keys = {};
  for (const kid of ['first', 'second']) {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    keys[kid] = { privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } };
  }
  let published = ['first'];
  let fetches = 0;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'client',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks_uri: 'https://client.example/jwks',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    }],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    fetch: async () => {
      fetches += 1;
      return Response.json({ keys: published.map((kid) => keys[kid].jwk) }, { headers: { 'cache-control': cacheControl } });
    },
  });
  const server = createServer(provider.callback()).listen(0, '127.0.0.1');
  await once(server, 'listening');

  async function authenticate(kid) {
    const now = Math.floor(Date.now() / 1000);
    const assertion = await new SignJWT()
      .setProtectedHeader({ alg: 'ES256', kid })
      .setIssuer('client').setSubject('client').setAudience(issuer)
      .setJti(randomUUID()).setIssuedAt(now).setExpirationTime(now + 30)
      .sign(keys[kid].privateKey);
    const response = await fetch(`http://127.0.0.1:${server.address().port}/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        client_assertion: assertion,
      }),
    });
    const body = await response.json();
    return `${response.ok ? 'accepted' : body.error}, fetches: ${fetches}`;
  }

  console.log(`Cache-Control: ${cacheControl}`);
  console.log(`  first key: ${await authenticate('first')}`);
  published = ['first', 'second'];
  for (const seconds of waits) {
    Date.now = () => realNow() + seconds * 1000;
    console.log(`  second key, published, after ${seconds} s: ${await authenticate('second')}`);
  }
  Date.now = realNow;
  server.close();
}

await rotate('max-age=3600', [1, 1800, 3601]);
await rotate('no-store', [1, 30, 61]);
JS

cat >stated <<'S'
Cache-Control: max-age=3600
  first key: accepted, fetches: 1
  second key, published, after 1 s: invalid_client, fetches: 1
  second key, published, after 1800 s: invalid_client, fetches: 1
  second key, published, after 3601 s: accepted, fetches: 2
Cache-Control: no-store
  first key: accepted, fetches: 1
  second key, published, after 1 s: invalid_client, fetches: 1
  second key, published, after 30 s: invalid_client, fetches: 1
  second key, published, after 61 s: accepted, fetches: 2
S
echo "oidc-provider 9.13.3, private_key_jwt with a jwks_uri (the clock is moved, not waited for):"
echo "expected: the second key is accepted after 1 s, with a second fetch"
echo "seen:"
node rotate.mjs >seen 2>node.log || { cat seen node.log; exit 2; }
grep -v '^oidc-provider NOTICE' seen >lines
sed 's/^/  /' lines
cmp -s lines stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: an unknown kid does not make the provider fetch the JWK Set again."
