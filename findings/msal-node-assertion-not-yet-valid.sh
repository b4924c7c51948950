#!/usr/bin/env bash
# @azure/msal-node 3.8.9 signs client assertions that are not valid yet, in every second half of a second.
#
# Surprise:  the nbf and exp of the assertion that msal-node makes from a certificate are the present time rounded to the
#            nearest second. In the second half of a second nbf lies up to 0.5 s in the future, while iat is rounded down,
#            so exp - iat is 601 s in place of 600 s.
# Document:  RFC 7519, section 4.1.5: a JWT must not be accepted before nbf; leeway is the verifier's choice. msal-node's
#            README does not tell that leeway is needed.
# Matters:   a stand-in, proxy or server that checks without leeway, or that limits lifetimes to 10 minutes by iat, refuses
#            about half of the requests for no visible reason. Allow a second, or pass clientAssertion.
# Version:   @azure/msal-node 3.8.9 (npm) with @azure/msal-common 15.16.1. Seen 2026-11-28.
# Needs:     node 18 or later, npm, openssl. No root. It connects to npm's registry only.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"

echo '{"private":true,"overrides":{"@azure/msal-common":"15.16.1"}}' >package.json
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @azure/msal-node@3.8.9 >npm.log 2>&1 ||
  { cat npm.log >&2; exit 2; }
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=finding -keyout key.pem -out cert.pem 2>openssl.log ||
  { cat openssl.log >&2; exit 2; }

cat >sign.mjs <<'JS'
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { ConfidentialClientApplication } from '@azure/msal-node';

const authority = 'https://login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47';
const thumbprintSha256 = new X509Certificate(readFileSync('cert.pem')).fingerprint256.replaceAll(':', '');

// Has msal-node sign an assertion in one part of a second, and catches it before it is sent.
async function claimsBetween(from, to) {
  const part = () => Date.now() % 1000;
  while (part() < from || part() > (from + to) / 2) await new Promise((resolve) => { setTimeout(resolve, 5); });
  const before = Date.now();
  let assertion;
  const application = new ConfidentialClientApplication({
    auth: { clientId: '6731de76-14a6-49ae-97bc-6eba6914391e', authority, knownAuthorities: ['login.microsoftonline.com'],
      clientCertificate: { thumbprintSha256, privateKey: readFileSync('key.pem', 'utf8') },
      authorityMetadata: JSON.stringify({ issuer: `${authority}/v2.0`, token_endpoint: `${authority}/oauth2/v2.0/token`,
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`, jwks_uri: `${authority}/discovery/v2.0/keys` }) },
    system: { networkClient: {
      async sendGetRequestAsync() { throw new Error('not expected'); },
      async sendPostRequestAsync(url, { body }) {
        assertion = new URLSearchParams(body).get('client_assertion');
        return { status: 200, headers: {}, body: { access_token: 'x', token_type: 'Bearer', expires_in: 3600 } };
      },
    } },
  });
  await application.acquireTokenByClientCredential({ scopes: ['https://graph.microsoft.com/.default'] });
  const after = Date.now();
  if (after - before > (to - from) / 2) return claimsBetween(from, to);  // too slow to tell
  const { iat, nbf, exp } = JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url'));
  return `${nbf > after / 1000 ? 'nbf is in the future' : 'nbf is not in the future'}, exp - iat is ${exp - iat} s`;
}

console.log(`first half of a second: ${await claimsBetween(0, 500)}`);
console.log(`second half: ${await claimsBetween(500, 1000)}`);
JS

cat >stated <<'S'
first half of a second: nbf is not in the future, exp - iat is 600 s
second half: nbf is in the future, exp - iat is 601 s
S
echo "@azure/msal-node 3.8.9, clientCertificate:"
echo "expected: nbf is not in the future, exp - iat is 600 s, at any time"
echo "seen:"
node sign.mjs >seen || { cat seen; exit 2; }
sed 's/^/  /' seen
cmp -s seen stated || { echo "CHANGED: it used to be"; sed 's/^/  /' stated; exit 1; }
echo "As stated: nbf is rounded up in the second half of a second."
