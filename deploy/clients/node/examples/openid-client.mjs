#!/usr/bin/env node
// Makes assertiond the signer of openid-client (version 6): the library does the protocol, and no private key is in this
// process. Prints the identity server's answer to client_credentials.
//
//   node openid-client.mjs CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]      with $ASSERTIOND_SERVER unix:/path
//
// AUDIENCE: one of the client's; default: its first.
import process from 'node:process';
import { AssertiondError, Client } from 'assertiond-client';
import * as openid from 'openid-client';

// openid-client calls this before each request that the client must authenticate, so each has an assertion of its own.
const privateKeyJwt = (assertiond, audience) => async (_server, client, body) => {
  const made = await assertiond.createAssertion({ clientId: client.client_id, audience });
  body.set('client_id', client.client_id);
  body.set('client_assertion_type', made.clientAssertionType);
  body.set('client_assertion', made.assertion);
};

async function buyToken(assertiond, clientId, tokenEndpoint, audience) {
  // With openid.discovery(issuer, …) the endpoints come from the identity server itself.
  const server = { issuer: tokenEndpoint, token_endpoint: tokenEndpoint };
  const configuration = new openid.Configuration(server, clientId, undefined, privateKeyJwt(assertiond, audience));
  if (tokenEndpoint.startsWith('http://127.0.0.1:')) openid.allowInsecureRequests(configuration);  // a server under test
  return openid.clientCredentialsGrant(configuration);
}

async function main([clientId, tokenEndpoint, audience, ...more], server) {
  if (!tokenEndpoint || more.length > 0) throw new Error('usage: openid-client.mjs CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]');
  if (!server) throw new Error("openid-client.mjs: set ASSERTIOND_SERVER to unix:/path of assertiond's socket");
  const assertiond = new Client(server);
  try {
    console.log(JSON.stringify(await buyToken(assertiond, clientId, tokenEndpoint, audience)));
  } finally {
    assertiond.close();
  }
}

try {
  await main(process.argv.slice(2), process.env.ASSERTIOND_SERVER);
} catch (error) {
  const made = [error, error.cause].find((one) => one instanceof AssertiondError);  // openid-client wraps what a signer throws
  const refusal = error.error ? `identity server: ${error.error} ${error.error_description}` : error.message;
  console.error(made ? `assertiond: ${made.code}: ${made.message}` : refusal);
  process.exitCode = 1;
}
