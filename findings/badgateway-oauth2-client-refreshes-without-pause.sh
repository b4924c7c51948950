#!/usr/bin/env bash
# @badgateway/oauth2-client 3.3.1 refreshes a token that lasts 25 days or more again and again, without a pause.
#
# Surprise:  OAuth2Fetch sets a timer for a minute before the access token expires. A token with expires_in 2592000 (30
#            days) and a refresh token is refreshed at once, so is the token that comes back, and so on: one request to
#            the token endpoint after another, for as long as the program runs. With 20 days the timer waits. The cause:
#            a timer of Node.js takes at most 2147483647 ms, and fires after 1 ms if it is given more.
# Document:  the types say that a refresh is scheduled unless scheduleRefresh is false. Neither they nor the README name
#            a longest life of a token.
# Matters:   a program that needs a token a month uses up the token endpoint's quota within seconds, and a server that
#            rotates refresh tokens stores each of them. Give scheduleRefresh: false; the token is then renewed when a
#            request finds it expired.
# Version:   @badgateway/oauth2-client 3.3.1 (npm), node 20. Seen 2026-11-30.
# Needs:     node 20 or later, npm. No root. It connects to npm's registry only; the answers come from memory.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

npm install --ignore-scripts --no-audit --no-fund --loglevel=error @badgateway/oauth2-client@3.3.1 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }

cat >refresh.mjs <<'JS'
import { OAuth2Client, OAuth2Fetch } from '@badgateway/oauth2-client';

const enough = 10; // the server stops the run with this request

// Uses a token with so many days to live, and calls seen for each token request that comes after.
async function use(days, seen) {
  const client = new OAuth2Client({
    server: 'https://as.example/', tokenEndpoint: '/token', clientId: 'client',
    fetch: async () => {
      seen();
      return Response.json({ access_token: 'x', token_type: 'Bearer', expires_in: days * 86400, refresh_token: 'y' });
    },
  });
  const session = new OAuth2Fetch({
    client,
    getNewToken: () => ({ accessToken: 'x', expiresAt: Date.now() + days * 86400000, refreshToken: 'y' }),
  });
  await session.getAccessToken();
}

let requests20 = 0;
let requests30 = 0;
await use(20, () => { requests20 += 1; });
setTimeout(end, 20000); // ends the run if the refreshes stay away
await use(30, () => {
  requests30 += 1;
  if (requests30 === enough) end();
});

function end() {
  console.log(`token of 20 days: token requests: ${requests20}`);
  console.log(`token of 30 days: token requests: ${requests30}`);
  process.exit(0);
}
JS

cat >stated <<'S'
token of 20 days: token requests: 0
token of 30 days: token requests: 10
S
echo "@badgateway/oauth2-client 3.3.1, OAuth2Fetch, the run ends at 10 token requests, or after 20 s:"
echo "expected: no token request, since both tokens are new"
echo "seen:"
node refresh.mjs >seen 2>node.log || { cat seen node.log; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: a token of 30 days is refreshed without a pause."
