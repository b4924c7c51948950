// FAPI 2.0 end to end with a real OpenID provider: a pushed request object, private_key_jwt, an access token that DPoP binds to
// a key, and a resource. Three entries of one client have a key for each purpose. Each near miss is refused.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import grpc from '@grpc/grpc-js';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider, REDIRECT_URI } from './openid_provider.mjs';
import { run } from './process.mjs';

const digest = (text) => createHash('sha256').update(text).digest('base64url');

describe('FAPI 2.0', () => {
  let provider;
  let endpoints;
  let deployment;
  let caller;
  let bound;   // an access token
  let nonce;   // the provider's last

  before(async () => {
    provider = await OpenIdProvider.start({ strict: true, signedRequests: true });
    endpoints = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json();
    const audiences = [provider.issuer];
    const requests = { issuer: 'shop', audiences, purposes: ['request_object'], request_object: { redirect_uris: [REDIRECT_URI] } };
    const clients = [
      { client_id: 'shop', profile: 'fapi2', audiences },
      { client_id: 'shop-requests', ...requests }, { client_id: 'unregistered-requests', ...requests },
      { client_id: 'shop-dpop', purposes: ['dpop'] }, { client_id: 'other-dpop', purposes: ['dpop'] },
    ].map((client) => ({ ...client, algorithm: 'ES256' }));
    deployment = await Deployment.start(clients);
    for (const { client_id: client } of clients) await deployment.generateKey(client);
    const { keys } = await deployment.jwks('shop');
    keys.push(...(await deployment.jwks('shop-requests')).keys);
    provider.register([{
      client_id: 'shop', jwks: { keys }, token_endpoint_auth_signing_alg: 'ES256', request_object_signing_alg: 'ES256',
      dpop_bound_access_tokens: true, grant_types: ['authorization_code'],
    }]);
    caller = new Caller(AssertionService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    await deployment?.close();
  });

  // A request object. Returns { object, state, verifier }.
  async function requestObject(client = 'shop-requests') {
    const verifier = randomBytes(32).toString('base64url');
    const state = randomBytes(8).toString('hex');
    const { kid } = await deployment.key('shop-dpop');
    const parameters = {
      response_type: 'code', redirect_uri: REDIRECT_URI, scope: 'openid', state, code_challenge: digest(verifier),
      code_challenge_method: 'S256', dpop_jkt: kid,
    };
    const answer = await caller.call('CreateRequestObject', { client_id: client, claims_json: JSON.stringify(parameters) });
    return { object: answer.request_object, state, verifier };
  }

  const proof = async (request, client = 'shop-dpop') =>
    (await caller.call('CreateDpopProof', { client_id: client, ...request })).proof;

  // Posts a form as the client; `headers` besides. Returns { status, answer }, and remembers the nonce.
  async function post(url, form, headers = {}) {
    const { assertion, client_assertion_type: type } = await caller.call('CreateAssertion', { client_id: 'shop' });
    const body = new URLSearchParams({ client_assertion_type: type, client_assertion: assertion, ...form });
    const reply = await fetch(url, { method: 'POST', headers, body });
    nonce = reply.headers.get('DPoP-Nonce') ?? nonce;
    return { status: reply.status, answer: await reply.json() };
  }

  const push = (object) => post(endpoints.pushed_authorization_request_endpoint, { request: object });

  // Asks for the resource. Returns { status, answer, challenge }.
  async function resource(dpop) {
    const headers = { authorization: `DPoP ${bound}`, dpop };
    const reply = await fetch(endpoints.userinfo_endpoint, { headers });
    nonce = reply.headers.get('DPoP-Nonce') ?? nonce;
    return { status: reply.status, answer: await reply.json(), challenge: reply.headers.get('WWW-Authenticate') };
  }

  const toResource = (changed = {}) => ({ htm: 'GET', htu: endpoints.userinfo_endpoint, ath: digest(bound), nonce, ...changed });

  it('a code from a pushed request object buys a token that is bound to the DPoP key', async () => {
    const { object, state, verifier } = await requestObject();
    assert.equal(decodeProtectedHeader(object).typ, 'oauth-authz-req+jwt');
    const { status, answer: { request_uri: uri } } = await push(object);
    assert.equal(status, 201);
    const code = await provider.authorizeAt(
      `${provider.issuer}/auth?${new URLSearchParams({ client_id: 'shop', request_uri: uri })}`, state);
    const form = { grant_type: 'authorization_code', code, redirect_uri: REDIRECT_URI, code_verifier: verifier };
    const request = { htm: 'POST', htu: provider.tokenEndpoint };

    nonce = undefined;
    const refused = await post(provider.tokenEndpoint, form, { dpop: await proof(request) });
    assert.deepEqual([refused.status, refused.answer.error], [400, 'use_dpop_nonce']);
    assert.ok(nonce, 'the provider asks for its nonce');
    const granted = await post(provider.tokenEndpoint, form, { dpop: await proof({ ...request, nonce }) });
    assert.deepEqual([granted.status, granted.answer.token_type], [200, 'DPoP'], JSON.stringify(granted.answer));
    bound = granted.answer.access_token;
  });

  it('the resource takes the token with a proof', async () => {
    const { status, answer } = await resource(await proof(toResource()));
    assert.deepEqual([status, answer], [200, { sub: 'somebody' }]);
  });

  it('assertionctl makes the same proof, and hashes the token itself', async () => {
    const { stdout, status } = await run(path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ['dpop', 'create', '--client-id',
      'shop-dpop', '--htm', 'GET', '--htu', endpoints.userinfo_endpoint, '--nonce', nonce, '--access-token-fd', '0'],
    { env: deployment.environment, input: `${bound}\n` });
    assert.equal(status, 0);
    assert.equal(decodeJwt(stdout).ath, digest(bound));
    assert.equal((await resource(stdout.trim())).status, 200);
  });

  it('assertionctl makes a request object', async () => {
    const object = await deployment.ctl('request-object', 'create', '--client-id', 'shop-requests', '--lifetime', '60s',
      '--claim', 'response_type="code"', '--claim', `redirect_uri="${REDIRECT_URI}"`, '--claim', 'scope="openid"',
      '--claim', `code_challenge="${digest('verifier')}"`, '--claim', 'code_challenge_method="S256"');
    const { iss, client_id: client, aud, exp, nbf, sub } = decodeJwt(object);
    assert.deepEqual([iss, client, aud, exp - nbf, sub], ['shop', 'shop', provider.issuer, 60, undefined]);
    assert.equal((await push(object.trim())).status, 201);
  });

  describe('refuses', () => {
    for (const [what, changed, client, why] of [
      ['a proof for another URL', { htu: 'https://api.example/me' }, 'shop-dpop', /htu mismatch/],
      ['a proof for another method', { htm: 'POST' }, 'shop-dpop', /htm mismatch/],
      ['a proof without the hash of the token', { ath: '' }, 'shop-dpop', /ath mismatch/],
      ['a proof for another token', { ath: digest('another') }, 'shop-dpop', /ath mismatch/],
      ['a proof without nonce', { nonce: '' }, 'shop-dpop', /use_dpop_nonce/],
      ['a proof of another key', {}, 'other-dpop', /invalid_token/],
    ]) {
      it(what, async () => {
        const { status, challenge } = await resource(await proof(toResource(changed), client));
        assert.equal(status, 401);
        assert.match(challenge, why);
      });
    }

    it('a proof with a stale nonce', async () => {
      const { status, challenge } = await resource(await proof(toResource({ nonce: provider.staleNonce })));
      assert.equal(status, 401);
      assert.match(challenge, /use_dpop_nonce/);
    });

    it('a proof that was used', async () => {
      const used = await proof(toResource());
      assert.equal((await resource(used)).status, 200);
      const { status, challenge } = await resource(used);
      assert.equal(status, 401);
      assert.match(challenge, /invalid_token/);
    });

    it('a request object of a key that is not registered', async () => {
      const { status, answer } = await push((await requestObject('unregistered-requests')).object);
      assert.deepEqual([status, answer.error], [400, 'invalid_request_object']);
    });

    it('a request object as client assertion, and the other way round', async () => {
      const { object } = await requestObject();
      const refused = await post(endpoints.pushed_authorization_request_endpoint, { request: object, client_assertion: object });
      assert.deepEqual([refused.status, refused.answer.error], [401, 'invalid_client']);
      const { assertion } = await caller.call('CreateAssertion', { client_id: 'shop' });
      const { status, answer } = await push(assertion);
      assert.deepEqual([status, answer.error], [400, 'invalid_request_object']);
    });
  });

  for (const [method, purpose, client, request] of [
    ['CreateAssertion', 'client_assertion', 'shop-dpop', {}],
    ['CreateAssertion', 'client_assertion', 'shop-requests', {}],
    ['CreateDpopProof', 'dpop', 'shop', { htm: 'GET', htu: 'https://api.example/' }],
    ['CreateDpopProof', 'dpop', 'shop-requests', { htm: 'GET', htu: 'https://api.example/' }],
    ['CreateRequestObject', 'request_object', 'shop', {}],
    ['CreateRequestObject', 'request_object', 'shop-dpop', {}],
  ]) {
    it(`${method}: the key of ${client} is not for it`, async () => {
      await assert.rejects(caller.call(method, { client_id: client, ...request }), (error) => {
        assert.equal(error.code, grpc.status.PERMISSION_DENIED);
        assert.match(error.details, new RegExp(`its configured purposes do not include "${purpose}"`));
        return true;
      });
    });
  }

  it('the audit log has purpose, method and URL', async () => {
    const lines = deployment.auditLines();
    const good = (event) => lines.findLast((line) => line.event === event && line.outcome === 'OK');
    const { client_id: client, purpose, htm, htu, jti, kid } = good('CreateDpopProof');
    assert.deepEqual([client, purpose, htm, htu], ['shop-dpop', 'dpop', 'GET', endpoints.userinfo_endpoint]);
    assert.ok(jti && kid);
    const object = good('CreateRequestObject');
    assert.deepEqual([object.client_id, object.purpose, object.audience, object.lifetime_s],
      ['shop-requests', 'request_object', provider.issuer, 300]);
    assert.ok(!('purpose' in good('CreateAssertion')));
  });
});
