#!/usr/bin/env bash
# @azure/identity 4.13.1 sends an assertion that its file no longer has, for up to five minutes.
#
# Surprise:  WorkloadIdentityCredential keeps what it read from its token file for five minutes, whatever the exp of the
#            assertion and whatever the file says by then. A token request after the file was written again carries the
#            old assertion, also when that has expired. The file need not exist for a request in these minutes.
# Document:  the reference of WorkloadIdentityCredential, its options (tokenFilePath, the path of the file with the
#            token) and the package's README name no cache of the file.
# Matters:   Microsoft Entra refuses an expired assertion. A program that asks for a token of a second scope, or tries
#            again after a refusal, fails for minutes although the file is fresh. Let an assertion in such a file last
#            more than five minutes longer than the time between two writes, or give ClientAssertionCredential a
#            function that reads the file.
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
import { rmSync, writeFileSync } from 'node:fs';
import { WorkloadIdentityCredential } from '@azure/identity';

const tenant = '72f988bf-86f1-41af-91ab-2d7cd011db47';
const authority = `https://login.microsoftonline.com/${tenant}`;
const start = Date.now();
let seconds = 0;
Date.now = () => start + seconds * 1000;
let sent;

// The claims are all that is read of an assertion here.
function assertion(jti) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  return `${encode({ alg: 'RS256', typ: 'JWT' })}.${encode({ jti, iat: now, exp: now + 60 })}.c2lnbmF0dXJl`;
}

// Answers as Microsoft Entra does, and notes the assertion of the token request.
async function sendRequest(request) {
  let body;
  if (new URL(request.url).pathname.endsWith('/token')) {
    sent = new URLSearchParams(request.body).get('client_assertion');
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

const credential = new WorkloadIdentityCredential({
  tenantId: tenant, clientId: '6731de76-14a6-49ae-97bc-6eba6914391e', tokenFilePath: 'assertion.jwt',
  httpClient: { sendRequest },
});

// Each scope is another one, so that each call is a token request.
async function buy(at, file) {
  seconds = at;
  if (file) writeFileSync('assertion.jwt', `${assertion(file)}\n`);
  else rmSync('assertion.jwt');
  await credential.getToken(`https://api-${at}.example/.default`);
  const claims = JSON.parse(Buffer.from(sent.split('.')[1], 'base64url'));
  const expired = claims.exp * 1000 <= Date.now() ? ', expired' : '';
  console.log(`after ${at} s, ${file ? `file written with ${file}` : 'file removed'}: sent ${claims.jti}${expired}`);
}

await buy(0, 'first');
await buy(30, 'second');
await buy(120, 'third');
await buy(290);
await buy(301, 'fourth');
JS

cat >stated <<'S'
after 0 s, file written with first: sent first
after 30 s, file written with second: sent first
after 120 s, file written with third: sent first, expired
after 290 s, file removed: sent first, expired
after 301 s, file written with fourth: sent fourth
S
echo "@azure/identity 4.13.1, WorkloadIdentityCredential, assertions of 60 s (the clock is moved, not waited for):"
echo "expected: each token request sends the assertion that the file has"
echo "seen:"
node tokens.mjs >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the assertion of the first read is sent for five minutes."
