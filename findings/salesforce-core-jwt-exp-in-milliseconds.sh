#!/usr/bin/env bash
# @salesforce/core 8.32.5 writes exp of its JWT bearer assertion in milliseconds.
#
# Surprise:  the assertion with which @salesforce/core logs in by JWT has an exp of Date.now() + 300: milliseconds, where
#            iat counts seconds. Read as the standard says, it expires some 55,000 years from now.
# Document:  RFC 7519, section 4.1.4: exp counts seconds. Salesforce's help page of the JWT bearer flow asks for an exp
#            within 3 minutes.
# Matters:   a proxy or test double that applies the documented limit refuses the library's own assertion. Do not use it as
#            the model for one of your own: sign with seconds, and at most 3 minutes.
# Version:   @salesforce/core 8.32.5 with @jsforce/jsforce-node 3.10.16 (npm). Seen 2026-11-28.
# Needs:     node 18 or later, npm, openssl. No root. It listens on 127.0.0.1 and connects to npm's registry only.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

echo '{"private":true,"overrides":{"@jsforce/jsforce-node":"3.10.16"}}' >package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @salesforce/core@8.32.5 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem 2>openssl.log || { cat openssl.log >&2; exit 2; }

cat >login.cjs <<'JS'
const http = require('node:http');
const { AuthInfo } = require('@salesforce/core');

// Takes the token request and tells what its assertion says.
const server = http.createServer((request, reply) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    reply.statusCode = 400;
    reply.end('{}');
    if (!request.url.endsWith('/services/oauth2/token')) return;
    const assertion = new URLSearchParams(Buffer.concat(chunks).toString()).get('assertion');
    const { iat, exp } = JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url'));
    const now = Date.now() / 1000;
    const unit = (time) => (Math.abs(time - now) < 86400 ? 'seconds' : Math.abs(time / 1000 - now) < 86400 ? 'milliseconds' : time);
    console.log(`iat in ${unit(iat)}, exp in ${unit(exp)}`);
    process.exit(0);
  });
}).listen(0, '127.0.0.1', () => {
  AuthInfo.create({ username: 'ann@shop.example', oauth2Options: { clientId: 'consumer', privateKeyFile: 'key.pem',
    loginUrl: `http://127.0.0.1:${server.address().port}` } }).catch((error) => { console.error(error); process.exit(2); });
});
JS

cat >stated <<'S'
iat in seconds, exp in milliseconds
S
echo "@salesforce/core 8.32.5, login by JWT:"
echo "expected: iat in seconds, exp in seconds"
echo "seen:"
HOME=$tmp SF_DISABLE_LOG_FILE=true SF_DISABLE_TELEMETRY=true timeout 60 node login.cjs >output 2>&1 || { cat output; exit 2; }
grep '^iat in' output >seen || { cat output; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: exp counts milliseconds."
