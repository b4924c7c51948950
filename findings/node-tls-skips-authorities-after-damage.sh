#!/usr/bin/env bash
# Node.js 24.21.0 drops the authorities that stand behind a damaged certificate, without an error.
#
# Surprise:  tls.connect({ ca }) takes a bundle whose second certificate is damaged. The first one counts, the second and
#            all behind it do not, and nothing says so. If the first one is damaged, the bundle counts as empty.
# Document:  the page on tls says of `ca` that it may hold several certificates in one PEM text, and nothing of one that
#            cannot be read. Python's ssl.create_default_context refuses the same bundle ("[X509] PEM lib").
# Matters:   after a bundle was damaged (a lost line, a wrong copy), peers of the later authorities fail with
#            errors such as DEPTH_ZERO_SELF_SIGNED_CERT, which point at the peer. Read each certificate of a bundle with
#            new X509Certificate() before you use it.
# Version:   Node.js 24.21.0 (npm package node). Seen 2026-11-30.
# Needs:     npm, openssl 3. No root. It listens on 127.0.0.1.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

npm install --no-audit --no-fund --loglevel=error node@24.21.0 >npm.log 2>&1 || { cat npm.log >&2; exit 2; }
node=$tmp/node_modules/node/bin/node

for name in one two; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -out $name.pem \
    -subj /CN=$name -addext subjectAltName=DNS:$name -days 2 2>openssl.log || { cat openssl.log >&2; exit 2; }
done
sed '2s/^..../AAAA/' one.pem >damaged.pem

cat >connect.mjs <<'JS'
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';

const pem = (name) => readFileSync(`${name}.pem`, 'utf8');

async function connect(server, bundle) {
  const listener = tls.createServer({ key: readFileSync(`${server}.key`), cert: pem(server) }, (socket) => socket.end());
  listener.on('tlsClientError', () => {}).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  try {
    const ca = bundle.map(pem).join('');
    const socket = tls.connect({ port: listener.address().port, host: '127.0.0.1', servername: server, ca });
    await once(socket, 'secureConnect');
    socket.destroy();
    return 'accepted';
  } catch (error) {
    return error.code ?? error.message;
  } finally {
    listener.close();
  }
}

for (const bundle of [['one', 'two'], ['one', 'damaged', 'two'], ['damaged', 'one', 'two']]) {
  console.log(`${bundle.join(' + ')}: the server of one is ${await connect('one', bundle)}, of two ${await connect('two', bundle)}`);
}
JS

cat >stated <<'S'
one + two: the server of one is accepted, of two accepted
one + damaged + two: the server of one is accepted, of two DEPTH_ZERO_SELF_SIGNED_CERT
damaged + one + two: the server of one is DEPTH_ZERO_SELF_SIGNED_CERT, of two DEPTH_ZERO_SELF_SIGNED_CERT
S
echo "Node.js 24.21.0, bundles of authorities:"
echo 'expected: one + damaged + two is refused, or two is accepted'
echo "seen:"
"$node" connect.mjs >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: what stands behind the damaged certificate is left out in silence."
