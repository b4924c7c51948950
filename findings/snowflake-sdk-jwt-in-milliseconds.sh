#!/usr/bin/env bash
# snowflake-sdk 2.4.3 writes iat and exp of its key-pair JWT in milliseconds.
#
# Surprise:  with authenticator SNOWFLAKE_JWT the driver sends a JWT whose iat and exp count milliseconds. Read as the
#            standard says, it is issued some 55,000 years from now.
# Document:  RFC 7519, sections 2 and 4.1: NumericDate counts seconds. The driver's README does not mention the unit.
# Matters:   a proxy, test double or log that reads the driver's JWT by the standard refuses it as not yet valid, or shows
#            absurd times. Do not use this JWT as the model for one of your own: sign with seconds.
# Version:   snowflake-sdk 2.4.3 (npm). Seen 2026-11-28.
# Needs:     node 18 or later, npm. No root. It listens on 127.0.0.1 and connects to npm's registry only.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

npm install --prefix "$tmp" --ignore-scripts --no-audit --no-fund --loglevel=error snowflake-sdk@2.4.3 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }

cat >connect.cjs <<'JS'
const { generateKeyPairSync } = require('node:crypto');
const http = require('node:http');
const snowflake = require('snowflake-sdk');

snowflake.configure({ logLevel: 'OFF', logFilePath: 'STDOUT' });
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048, publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });

// Takes the login request, tells what its JWT says, and refuses it.
const server = http.createServer((request, reply) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    reply.setHeader('content-type', 'application/json');
    reply.end(JSON.stringify({ success: false, code: '390144', message: 'refused', data: {} }));
    if (!request.url.startsWith('/session/v1/login-request')) return;
    const { data } = JSON.parse(Buffer.concat(chunks));
    const { iat, exp } = JSON.parse(Buffer.from(data.TOKEN.split('.')[1], 'base64url'));
    const now = Date.now() / 1000;
    const unit = (time) => (Math.abs(time - now) < 86400 ? 'seconds' : Math.abs(time / 1000 - now) < 86400 ? 'milliseconds' : time);
    console.log(`iat in ${unit(iat)}, exp in ${unit(exp)}`);
    process.exit(0);
  });
}).listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  snowflake.createConnection({ account: 'myaccount', username: 'orders', authenticator: 'SNOWFLAKE_JWT', privateKey,
    accessUrl: `http://127.0.0.1:${port}`, retryTimeout: 0 }).connect(() => {});
});
JS

cat >stated <<'S'
iat in milliseconds, exp in milliseconds
S
echo "snowflake-sdk 2.4.3, authenticator SNOWFLAKE_JWT:"
echo "expected: iat in seconds, exp in seconds"
echo "seen:"
timeout 60 node connect.cjs >output 2>&1 || { cat output; exit 2; }
grep '^iat in' output >seen || { cat output; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: both count milliseconds."
