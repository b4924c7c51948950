#!/usr/bin/env node
// Gets an access token with a client assertion, and prints the identity server's answer.
//
//   node buy-token.mjs CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]      with $ASSERTIOND_SERVER unix:/path
//
// AUDIENCE: one of the client's; default: its first.
import process from 'node:process';
import { AssertiondError, Client } from 'assertiond-client';

async function buyToken(assertiond, clientId, tokenEndpoint, audience) {
  const made = await assertiond.createAssertion({ clientId, audience });
  const form = { grant_type: 'client_credentials', client_id: clientId, client_assertion_type: made.clientAssertionType,
    client_assertion: made.assertion };
  const answer = await fetch(tokenEndpoint,
    { method: 'POST', body: new URLSearchParams(form), redirect: 'error', signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`identity server: ${answer.status} ${text}`);
  return text;
}

async function main([clientId, tokenEndpoint, audience, ...more], server) {
  if (!tokenEndpoint || more.length > 0) throw new Error('usage: buy-token.mjs CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]');
  if (!server) throw new Error("buy-token.mjs: set ASSERTIOND_SERVER to unix:/path of assertiond's socket");
  const assertiond = new Client(server);
  try {
    console.log(await buyToken(assertiond, clientId, tokenEndpoint, audience));
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
