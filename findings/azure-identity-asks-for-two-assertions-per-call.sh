#!/usr/bin/env bash
# @azure/identity 4.13.1 asks for two client assertions for every getToken, also when the token comes from its cache.
#
# Surprise:  ClientAssertionCredential calls its getAssertion twice for each getToken. One assertion of the two is sent
#            when a token is bought; none is when the cache has one, and getAssertion is called twice all the same. If
#            it fails then, getToken fails too and does not give the token that it has. Callers at the same time are not
#            brought together: five of them buy five tokens with ten assertions.
# Document:  the reference of ClientAssertionCredential says that getAssertion "retrieves the assertion for the
#            credential to use". The page of the same class for Python: it is called when a new token is acquired.
# Matters:   a program that calls getToken for each of its requests, since it has a cache, costs the HSM or key server
#            behind getAssertion two signatures a request, and stops when that is away though its token lasts an hour.
#            Keep what getToken returns until shortly before its expiresOnTimestamp, and let callers share one promise.
# Version:   @azure/identity 4.13.1 (npm) with @azure/msal-node 5.6.0, @azure/msal-common 16.17.0. Seen 2026-11-30.
# Needs:     node 20 or later, npm. No root. It connects to npm's registry only; the answers come from memory.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

echo '{"private":true,"overrides":{"@azure/msal-node":"5.6.0","@azure/msal-common":"16.17.0"}}' >package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @azure/identity@4.13.1 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }

cat >tokens.mjs <<'JS'
import { ClientAssertionCredential } from '@azure/identity';

const tenant = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const authority = `https://login.microsoftonline.com/${tenant}`;
let asked = 0;
let sent = [];
let away = false;

// Answers as Microsoft Entra does, and notes the assertion of each token request.
async function sendRequest(request) {
  let body;
  if (new URL(request.url).pathname.endsWith('/token')) {
    sent.push(new URLSearchParams(request.body).get('client_assertion'));
    body = { access_token: 'x', token_type: 'Bearer', expires_in: 3600 };
  } else if (request.url.includes('/discovery/instance')) {
    const name = 'login.microsoftonline.com';
    body = { tenant_discovery_endpoint: `${authority}/v2.0/.well-known/openid-configuration`,
      metadata: [{ preferred_network: name, preferred_cache: name, aliases: [name] }] };
  } else {
    body = { issuer: `${authority}/v2.0`, token_endpoint: `${authority}/oauth2/v2.0/token`,
      authorization_endpoint: `${authority}/oauth2/v2.0/authorize`, jwks_uri: `${authority}/discovery/v2.0/keys` };
  }
  return { status: 200, headers: { get() {}, toJSON: () => ({}) }, bodyAsText: JSON.stringify(body), request };
}

const newCredential = () => new ClientAssertionCredential(tenant, '6731de76-14a6-49ae-97bc-6eba6914391e', async () => {
  asked += 1;
  if (away) throw new Error('the key server is away');
  return `assertion-${asked}`;
}, { httpClient: { sendRequest } });

async function count(what, calls) {
  asked = 0;
  sent = [];
  await calls();
  console.log(`${what}: assertions asked for: ${asked}, token requests: ${sent.length}`);
}

const scope = 'https://graph.microsoft.com/.default';
const credential = newCredential();
await count('first getToken', () => credential.getToken(scope));
await count('ten more, from the cache', async () => {
  for (let i = 0; i < 10; i += 1) await credential.getToken(scope);
});
away = true;
await count('one more, getAssertion fails', () => credential.getToken(scope).then(
  () => console.log('the token in the cache is given'), () => console.log('getToken fails with a token in the cache')));
away = false;
const another = newCredential();
await count('five at once, new credential', () => Promise.all([1, 2, 3, 4, 5].map(() => another.getToken(scope))));
JS

cat >stated <<'S'
first getToken: assertions asked for: 2, token requests: 1
ten more, from the cache: assertions asked for: 20, token requests: 0
getToken fails with a token in the cache
one more, getAssertion fails: assertions asked for: 1, token requests: 0
five at once, new credential: assertions asked for: 10, token requests: 5
S
echo "@azure/identity 4.13.1, ClientAssertionCredential:"
echo "expected: one assertion for each token request, none for a token from the cache, one request for callers at once"
echo "seen:"
node tokens.mjs >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: every getToken asks for two assertions."
