#!/usr/bin/env bash
# simple-oauth2 5.1.0 loses the refresh token when the server does not send a new one.
#
# Surprise:  refresh() answers with a token whose refresh_token is undefined if the token response has none. The
#            refresh after that sends an empty refresh_token.
# Document:  RFC 6749, section 6: the server may issue a new refresh token; without one the old one stays in use. The
#            README shows `accessToken = await accessToken.refresh()` for programs that run long. Version 5.1.0 was made
#            to keep the old one (pull request 434 of lelylan/simple-oauth2, where a comment says that it does not).
# Matters:   the first renewal works, the second is refused (invalid_request or invalid_grant), so the user has to log
#            in again after two lives of an access token. Google and others send no new refresh token. Keep the first
#            refresh_token yourself, and make the next token with createToken({ ...token, refresh_token }).
# Version:   simple-oauth2 5.1.0 (npm). Seen 2026-11-30.
# Needs:     node 20 or later, npm. No root. It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

npm install --ignore-scripts --no-audit --no-fund --loglevel=error simple-oauth2@5.1.0 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }

cat >refresh.mjs <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';
import { AuthorizationCode } from 'simple-oauth2';

async function refreshTwice(what, inAnswer) {
  const sent = [];
  const server = createServer(async (request, response) => {
    sent.push(new URLSearchParams(await text(request)).get('refresh_token'));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ access_token: 'x', token_type: 'Bearer', expires_in: 3600, ...inAnswer }));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new AuthorizationCode({
    client: { id: 'client', secret: 'secret' },
    auth: { tokenHost: `http://127.0.0.1:${server.address().port}` },
  });
  let token = client.createToken({ access_token: 'x', expires_in: 3600, refresh_token: 'first' });
  token = await token.refresh();
  token = await token.refresh();
  server.close();
  console.log(`${what}: refresh tokens sent: ${sent.map((value) => JSON.stringify(value)).join(', ')}`);
}

await refreshTwice('answers with a new refresh token', { refresh_token: 'second' });
await refreshTwice('answers without one', {});
JS

cat >stated <<'S'
answers with a new refresh token: refresh tokens sent: "first", "second"
answers without one: refresh tokens sent: "first", ""
S
echo "simple-oauth2 5.1.0, two refreshes:"
echo 'expected: without a new refresh token "first" is sent both times'
echo "seen:"
node refresh.mjs >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: the second refresh has no refresh token."
