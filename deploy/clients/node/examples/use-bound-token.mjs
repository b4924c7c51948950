#!/usr/bin/env node
// Gets URL with an access token of CLIENT_ID that DPoP binds to the key of DPOP_CLIENT_ID (tokens.dpop_client).
//
//   node use-bound-token.mjs CLIENT_ID DPOP_CLIENT_ID URL      with $ASSERTIOND_SERVER unix:/path
import { createHash } from 'node:crypto';
import process from 'node:process';
import { AssertiondError, Client } from 'assertiond-client';

async function get(assertiond, clientId, dpopClientId, url) {
  const { accessToken, kid } = await assertiond.getAccessToken({ clientId });
  const ath = createHash('sha256').update(accessToken).digest('base64url');
  const { origin, pathname } = new URL(url);
  for (let nonce; ;) {   // a program that runs on keeps the last nonce for its next request
    const made = await assertiond.createDpopProof(
      { clientId: dpopClientId, htm: 'GET', htu: origin + pathname, ath, nonce });
    if (made.kid !== kid) {
      throw new Error('the token is bound to another key: name tokens.dpop_client, or try again after a rotation');
    }
    const answer = await fetch(url, { headers: { authorization: `DPoP ${accessToken}`, dpop: made.proof },
      redirect: 'error', signal: AbortSignal.timeout(10_000) });   // another URL needs a proof of its own
    const text = await answer.text();
    if (answer.ok) return text;
    const challenge = answer.headers.get('WWW-Authenticate') ?? '';
    if (nonce !== undefined || !challenge.includes('use_dpop_nonce')) {
      throw new Error(`resource: ${answer.status} ${challenge} ${text}`);
    }
    nonce = answer.headers.get('DPoP-Nonce') ?? '';   // RFC 9449 section 9: once more, with the server's nonce
  }
}

async function main([clientId, dpopClientId, url, ...more], server) {
  if (!url || more.length > 0) throw new Error('usage: use-bound-token.mjs CLIENT_ID DPOP_CLIENT_ID URL');
  if (!server) throw new Error("use-bound-token.mjs: set ASSERTIOND_SERVER to unix:/path of assertiond's socket");
  const assertiond = new Client(server);
  try {
    console.log(await get(assertiond, clientId, dpopClientId, url));
  } finally {
    assertiond.close();
  }
}

try {
  await main(process.argv.slice(2), process.env.ASSERTIOND_SERVER);
} catch (error) {
  const cause = error.cause ? `: ${error.cause.message}` : '';
  console.error(error instanceof AssertiondError ? `assertiond: ${error.code}: ${error.message}` : `${error.message}${cause}`);
  process.exitCode = 1;
}
