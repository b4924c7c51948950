// clients[].tokens.issuer: assertiond finds the token endpoint by the issuer's metadata, and finds it again where it moved.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline, run } from './process.mjs';

const OAUTH = '/.well-known/oauth-authorization-server';
const OPENID = '/.well-known/openid-configuration';
const GRANTED = [200, { access_token: 'stand-in-token', token_type: 'Bearer', expires_in: 300 }];

describe('the token endpoint of an issuer', () => {
  let provider;
  let deployment;
  let server;
  let origin;
  let caller;
  let answers;   // by path: [status, body]
  let requests;  // paths, in order
  let audiences;

  const metadata = (changed) => [200, { issuer: origin, token_endpoint: `${origin}/token`, ...changed }];
  const buy = (scope) => caller.call('GetAccessToken', { client_id: 'stand-in', scope });
  const refusal = (scope) => buy(scope).then(() => assert.fail('a token was handed out'), (error) => error);
  const purchases = () => deployment.auditLines().filter(({ event, client_id }) => event === 'BuyAccessToken' && client_id === 'stand-in');

  before(async () => {
    server = http.createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        requests.push(request.url);
        const assertion = new URLSearchParams(Buffer.concat(chunks).toString()).get('client_assertion');
        if (assertion) audiences.push(JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url')).aud);
        const [status, body] = answers[request.url] ?? [404, 'nothing here'];
        response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    origin = `http://127.0.0.1:${server.address().port}`;
    provider = await OpenIdProvider.start();
    deployment = await Deployment.start([
      { client_id: 'real', audiences: [provider.issuer], tokens: { issuer: provider.issuer } },
      { client_id: 'stand-in', audiences: ['https://first.example.com', origin],
        tokens: { issuer: origin, scopes: 'abcdefghij'.split('') } },
      { client_id: 'bound', audiences: [origin], purposes: ['client_assertion', 'dpop'],
        tokens: { issuer: origin, ca_file: '/etc/ssl/certs/ca-certificates.crt', dpop_client: 'bound' } },
    ]);
    for (const id of ['real', 'stand-in', 'bound']) await deployment.generateKey(id);
    provider.register([{ client_id: 'real', jwks: await deployment.jwks('real') }]);
    caller = new Caller(AccessTokenService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    server?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    answers = { [OAUTH]: metadata(), '/token': GRANTED };
    requests = [];
    audiences = [];
  });

  // Until the pause after a failure is over.
  const boughtAgain = async (scope) => {
    let token;
    await new Deadline(30, 'the pause to end').until(() => buy(scope).then((bought) => { token = bought; return true; },
      (error) => assert.equal(error.code, grpc.status.UNAVAILABLE, error.details)));
    return token;
  };

  it('is found, at a real provider too, and kept for the next purchase', async () => {
    assert.equal((await caller.call('GetAccessToken', { client_id: 'real' })).token_type, 'Bearer');
    assert.equal((await buy('a')).access_token, 'stand-in-token');
    await buy('b');
    assert.deepEqual(requests, [OAUTH, '/token', '/token']);
    assert.deepEqual(audiences, [origin, origin], 'the audience is not the issuer, which the client lists');
  });

  it('is found again after it moved', async () => {
    answers = { [OPENID]: metadata({ token_endpoint: `${origin}/moved` }), '/moved': GRANTED };
    assert.equal((await refusal('c')).code, grpc.status.UNAVAILABLE);
    assert.deepEqual(requests, ['/token']);
    assert.equal((await boughtAgain('c')).access_token, 'stand-in-token');
    assert.deepEqual(requests, ['/token', OAUTH, OPENID, '/moved']);
  });

  it('is kept when the server refuses in words of OAuth', async () => {
    answers['/moved'] = [400, { error: 'invalid_scope' }];
    assert.equal((await refusal('d')).code, grpc.status.FAILED_PRECONDITION);
    answers['/moved'] = GRANTED;
    await buy('e');
    assert.deepEqual(requests, ['/moved', '/moved']);
  });

  it('of metadata that do not fit gets no assertion, and callers learn when to ask again', async () => {
    answers['/moved'] = [503, ''];
    await refusal('f');
    for (const [published, reason] of [
      [metadata({ issuer: `${origin}/` }), /the server says that its issuer is "http[^"]+\/", and tokens\.issuer is "http/],
      [metadata({ token_endpoint: 'http://is.example.com/token' }), /token_endpoint of the server's metadata must be https/],
      [metadata({ token_endpoint: undefined }), /the server's metadata has no token_endpoint/],
      [[302, ''], /publishes no metadata of tokens\.issuer "http/],
      [[200, { issuer: origin, padding: 'x'.repeat(1 << 20) }], /larger than 1 MiB/],
    ]) {
      answers[OAUTH] = published;
      const before = purchases().length;
      let error;
      await new Deadline(30, 'the next purchase').until(async () => {
        error = await refusal('f');
        return purchases().length > before;
      });
      assert.equal(error.code, grpc.status.UNAVAILABLE, error.details);
      assert.match(error.metadata.get('grpc-status-details-bin')[0].toString('latin1'), /google\.rpc\.RetryInfo/);
      const [line] = purchases().slice(-1);
      assert.equal(line.outcome, 'FAILED');
      assert.match(line.reason, reason);
    }
    assert.deepEqual(audiences, [origin], 'an assertion was made for a server that was not found');
    answers[OAUTH] = metadata();
    assert.equal((await boughtAgain('f')).access_token, 'stand-in-token');
  });

  it('that no DPoP proof can name gets no assertion, and is read again', async () => {
    answers[OAUTH] = metadata({ token_endpoint: `${origin}/to|ken` });
    answers['/token'] = [200, { access_token: 'bound', token_type: 'DPoP', expires_in: 300 }];
    const get = () => caller.call('GetAccessToken', { client_id: 'bound' });
    await assert.rejects(get(), { code: grpc.status.UNAVAILABLE, details: /token_endpoint has a character/ });
    assert.deepEqual(audiences, []);
    answers[OAUTH] = metadata();
    await new Deadline(30, 'the pause to end').until(() => get().then(() => true, () => false));
    assert.deepEqual(audiences, [origin]);
  });

  it('or its issuer: a configuration has one of them', async () => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const file = path.join(deployment.folder, 'other.json');
    requests = [];
    for (const [tokens, message] of [
      [{}, /tokens\.token_endpoint: /],
      [{ issuer: origin, token_endpoint: `${origin}/token` }, /tokens\.issuer: cannot be combined with token_endpoint/],
      [{ issuer: 'http://is.example.com' }, /tokens\.issuer: must be https:/],
      [{ issuer: 'https://is.example.com/?tenant=1' }, /tokens\.issuer: must be .* without query/],
      [{ issuer: 'https://is.example.com/t/acme' }, undefined],
    ]) {
      const clients = [{ ...configuration.clients[1], tokens }];
      writeFileSync(file, JSON.stringify({ ...configuration, clients }));
      const checked = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--check-config', file],
        { env: deployment.environment });
      assert.equal(checked.status === 0, message === undefined, JSON.stringify(tokens) + checked.stderr);
      if (message) assert.match(checked.stdout + checked.stderr, message);
    }
    assert.deepEqual(requests, [], '--check-config asked the issuer');
  });
});
