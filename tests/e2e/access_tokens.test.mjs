// GetAccessToken: bought once for all who ask, from a real OpenID provider and from a stand-in that counts and fails.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;
const OTHER = 'uid:4242';

describe('access tokens', () => {
  let provider;
  let deployment;
  let standIn;
  let caller;

  const refusal = (request) => caller.call('GetAccessToken', request).then(
    ({ scope }) => assert.fail(`a token with scope "${scope}" was handed out`), (error) => error);
  const auditLines = (event) => readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').trim().split('\n')
    .map((line) => JSON.parse(line)).filter((line) => line.event === event);

  before(async () => {
    standIn = await TokenEndpoint.start();
    const endpoint = standIn.url;
    provider = await OpenIdProvider.start();
    const client = (client_id, tokens) => ({ client_id, audiences: [endpoint], callers: [ME, OTHER],
      tokens: { token_endpoint: endpoint, ...tokens } });
    deployment = await Deployment.start([
      { client_id: 'real', audiences: [provider.issuer], tokens: { token_endpoint: provider.tokenEndpoint } },
      client('many'),
      client('scoped', { scopes: ['read', 'write', { scope: 'admin', callers: [OTHER] }], resources: ['https://api.example.com/'] }),
      client('failing'),
      client('limited'),
      { client_id: 'without', audiences: [endpoint] },
    ]);
    for (const id of ['real', 'many', 'scoped', 'failing', 'limited']) await deployment.generateKey(id);
    provider.register([{ client_id: 'real', jwks: await deployment.jwks('real') }]);
    caller = new Caller(AccessTokenService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    standIn?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    standIn.reset({ access_token: 'stand-in-token', token_type: 'Bearer', expires_in: 300, refresh_token: 'r' });
  });

  it('come from a real provider, and the audit log has their digests alone', async () => {
    const first = await caller.call('GetAccessToken', { client_id: 'real' });
    assert.equal(first.token_type, 'Bearer');
    assert.ok(first.expires_at.seconds > Date.now() / 1000 + 30);
    assert.equal((await caller.call('GetAccessToken', { client_id: 'real' })).access_token, first.access_token);
    const digest = createHash('sha256').update(first.access_token).digest('base64url');
    assert.deepEqual(auditLines('BuyAccessToken').map((line) => [line.outcome, line.token_sha256]), [['OK', digest]]);
    assert.deepEqual(auditLines('GetAccessToken').map((line) => [line.caller, line.token_sha256]), [[ME, digest], [ME, digest]]);
    for (const name of ['audit.log', 'assertiond.log']) {
      assert.ok(!readFileSync(path.join(deployment.folder, name), 'utf8').includes(first.access_token), name);
    }
  });

  it('1,000 callers at once, cold, are one token request', async () => {
    let release;
    standIn.held = new Promise((resolve) => { release = resolve; });
    const callers = Array.from({ length: 20 }, () => new Caller(AccessTokenService, deployment.socket));
    const calls = callers.flatMap((one) => Array.from({ length: 50 }, () => one.call('GetAccessToken', { client_id: 'many' })));
    const others = Promise.all(calls);
    while (standIn.forms.length === 0) await once(standIn, 'form');
    release();
    const tokens = new Set((await others).map(({ access_token }) => access_token));
    for (const one of callers) one.close();
    assert.deepEqual([...tokens], ['stand-in-token']);
    assert.equal(standIn.forms.length, 1);
    assert.equal(standIn.forms[0].get('grant_type'), 'client_credentials');
  });

  it('without the scope nothing is asked', async () => {
    for (const request of [{ scope: 'admin' }, { scope: 'read admin' }, { scope: 'nope' }, { resource: 'https://other.example.com/' }]) {
      const { code, details } = await refusal({ client_id: 'scoped', ...request });
      assert.equal(code, grpc.status.PERMISSION_DENIED, details);
    }
    assert.equal((await refusal({ client_id: 'without' })).code, grpc.status.FAILED_PRECONDITION);
    assert.equal(standIn.forms.length, 0);
    await caller.call('GetAccessToken', { client_id: 'scoped', resource: 'https://api.example.com/' });
    assert.deepEqual([standIn.forms[0].get('scope'), standIn.forms[0].get('resource')], ['read write', 'https://api.example.com/']);
    await caller.call('GetAccessToken', { client_id: 'scoped', scope: 'write read', resource: 'https://api.example.com/' });
    assert.equal(standIn.forms.length, 1, 'the order of scopes matters');
  });

  it('a failing server is left alone, and callers are told until when', async () => {
    standIn.answer = [503, { error: 'temporarily_unavailable' }, { 'Retry-After': '2000' }];
    const first = await refusal({ client_id: 'failing' });
    assert.equal(first.code, grpc.status.UNAVAILABLE, first.details);
    assert.match(first.metadata.get('grpc-status-details-bin')[0].toString('latin1'), /google\.rpc\.RetryInfo/);
    assert.equal((await refusal({ client_id: 'failing' })).code, grpc.status.UNAVAILABLE);
    assert.equal(standIn.forms.length, 1);
    standIn.answer = [429, {}, { 'Retry-After': new Date(Date.now() + 2e6).toUTCString() }];
    assert.equal((await refusal({ client_id: 'limited' })).code, grpc.status.RESOURCE_EXHAUSTED);
    assert.equal((await refusal({ client_id: 'limited' })).code, grpc.status.RESOURCE_EXHAUSTED);
    assert.equal(standIn.forms.length, 2);
    const log = readFileSync(deployment.log, 'utf8');
    assert.equal(log.match(/'failing' cannot be bought/g).length, 1);
  });
});
