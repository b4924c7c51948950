// Envoy's ext_authz: the token of GetAccessToken in the request that Envoy forwards.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { Envoy } from './envoy.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;
const OTHER = 'uid:4242';
const REASON = /./;

describe('Envoy', () => {
  let deployment;
  let standIn;
  let envoy;

  const auditLines = () => deployment.auditLines().filter(({ event }) => event === 'GetAccessToken');

  before(async () => {
    standIn = await TokenEndpoint.start();
    const endpoint = standIn.url;
    const client = (client_id, more = {}) => ({ client_id, audiences: [endpoint], callers: [ME],
      tokens: { token_endpoint: endpoint, resources: ['https://api.example.com/'],
        scopes: ['read', 'write'] }, ...more });
    deployment = await Deployment.start([
      client('orders'), client('down'), client('limited'), client('odd'), client('long'),
      client('theirs', { callers: [OTHER] }),
    ]);
    for (const id of ['orders', 'down', 'limited', 'odd', 'long']) await deployment.generateKey(id);
    envoy = new Envoy(deployment.socket);
  });

  after(async () => {
    envoy?.close();
    standIn?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    standIn.reset({ access_token: 'a.b-c_d~e+f/g==', token_type: 'Bearer', expires_in: 300 });
  });

  const denied = async (contextExtensions, status, code, message) => {
    const answer = await envoy.forward(contextExtensions, { authorization: 'Bearer mallory' });
    assert.deepEqual([answer.upstream, answer.status, answer.body], [undefined, status, ''], JSON.stringify(answer));
    assert.equal(grpc.status[answer.why.code], code, answer.why.message);
    assert.match(answer.why.message, message);
    return answer;
  };

  it('puts the token in place of what the request brought, and buys it once', async () => {
    const extensions = { client_id: 'orders', scope: 'read', resource: 'https://api.example.com/', minimum_validity: '60' };
    for (const brought of [{}, { authorization: 'Bearer mallory', cookie: 'a=b' }]) {
      const { upstream } = await envoy.forward(extensions, brought);
      assert.deepEqual(upstream, { ...brought, authorization: 'Bearer a.b-c_d~e+f/g==' });
    }
    const caller = new Caller(AccessTokenService, deployment.socket);
    const { access_token: same } = await caller.call('GetAccessToken',
      { client_id: 'orders', scope: 'read', resource: 'https://api.example.com/' });
    caller.close();
    assert.equal(same, 'a.b-c_d~e+f/g==');
    assert.equal(standIn.forms.length, 1);
    assert.deepEqual([standIn.forms[0].get('scope'), standIn.forms[0].get('resource')], ['read', 'https://api.example.com/']);
    const digest = createHash('sha256').update(same).digest('base64url');
    assert.deepEqual(auditLines().map((line) => [line.caller, line.client_id, line.outcome, line.token_sha256]),
      [1, 2, 3].map(() => [ME, 'orders', 'OK', digest]));
    // Versions of Envoy with append_action alone, and with append alone, replace the header.
    const { ok_response: { headers: [option] } } = await envoy.check(extensions);
    assert.deepEqual([option.append, option.append_action], [{}, 'OVERWRITE_IF_EXISTS_OR_ADD'], 'append is there, and false');
  });

  it('gets an answer for a URL of 60 KB, and for one of 30 KB with 60 KB of other headers', async () => {
    for (const [path, cookie] of [[60_000, 10], [30_000, 60_000]]) {
      const brought = { cookie: 'c'.repeat(cookie) };
      const { upstream } = await envoy.forward({ client_id: 'orders', scope: 'write' }, brought, `/${'a'.repeat(path)}`);
      assert.equal(upstream?.authorization, 'Bearer a.b-c_d~e+f/g==');
    }
  });

  it('is denied with 403 what GetAccessToken refuses, and its client learns no reason', async () => {
    await denied({ client_id: 'theirs' }, 403, 'PERMISSION_DENIED', REASON);
    await denied({ client_id: 'orders', scope: 'admin' }, 403, 'PERMISSION_DENIED', REASON);
    await denied({ client_id: 'orders', resource: 'https://other.example/' }, 403, 'PERMISSION_DENIED', REASON);
    await denied({}, 403, 'INVALID_ARGUMENT', /client_id is missing/);
    await denied({ client_id: 'orders', scopes: 'read' }, 403, 'INVALID_ARGUMENT', /only client_id, scope, resource and/);
    for (const minimum of ['', '1s', '0', '3601', '-5', '9'.repeat(30)]) {
      await denied({ client_id: 'orders', minimum_validity: minimum }, 403, 'INVALID_ARGUMENT', /^minimum_validity/);
    }
    await denied({ client_id: 'x'.repeat(100), scopes: 'read' }, 403, 'INVALID_ARGUMENT', REASON);
    assert.equal(standIn.forms.length, 0);
    // Eight checks that could not be read as requests: each line has the client that the check names.
    assert.deepEqual(auditLines().slice(-9).map((line) => [line.client_id, line.outcome]),
      [undefined, ...Array(7).fill('orders'), 'x'.repeat(64)].map((client) => [client, 'INVALID_ARGUMENT']));
  });

  it('is denied with 503 or 429 and Retry-After while the identity server fails', async () => {
    standIn.answer = [503, {}, { 'Retry-After': '2000' }];
    const down = await denied({ client_id: 'down' }, 503, 'UNAVAILABLE', /HTTP 503/);
    assert.ok(down.headers['retry-after'] > 1900 && down.headers['retry-after'] <= 2000, JSON.stringify(down.headers));
    assert.equal(down.why.details[0].type_url, 'type.googleapis.com/google.rpc.RetryInfo');
    standIn.answer = [429, {}, { 'Retry-After': '7' }];
    const { headers } = await denied({ client_id: 'limited' }, 429, 'RESOURCE_EXHAUSTED', /HTTP 429/);
    assert.deepEqual(headers, { 'retry-after': '7' });
  });

  it('gets no token that is not a bearer token or does not fit into the header', async () => {
    for (const [client_id, token, message] of [
      ['odd', { token_type: 'MAC' }, /token_type is "MAC"/],
      ['long', { access_token: 'x'.repeat(16_378) }, /does not fit into a header/],
    ]) {
      standIn.answer = [200, { access_token: 'fine', token_type: 'bearer', expires_in: 300, ...token }];
      await denied({ client_id }, 403, 'FAILED_PRECONDITION', message);
      const { outcome, token_sha256: digest } = auditLines().at(-1);
      assert.deepEqual([outcome, digest], ['FAILED_PRECONDITION', undefined]);
    }
  });
});
