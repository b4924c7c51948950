// Access tokens that DPoP binds to a client's key (RFC 9449): bought from a real OpenID provider that wants a nonce of its own
// in each proof, and from a stand-in that does not bind.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose';
import { AccessTokenService, AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { run } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;
const ONE_KEY = ['sparing', 'held', 'free', 'refused', 'endless', 'odd', 'fresh'];  // clients whose key signs assertions and proofs
const RESOURCES = ['https://api.example/', 'https://other.example/'];

describe('DPoP-bound access tokens', () => {
  let provider;
  let standIn;
  let deployment;
  let tokens;
  let proofs;

  const get = (request) => tokens.call('GetAccessToken', request);
  const refusal = (request) => get(request).then(() => assert.fail('a token was handed out'), (error) => error);
  const auditLines = (event) => deployment.auditLines().filter((line) => line.event === event);

  before(async () => {
    provider = await OpenIdProvider.start({ signedRequests: true });
    standIn = await TokenEndpoint.start();
    standIn.reset({ access_token: 'stand-in-token', token_type: 'dpop', expires_in: 300 });
    const shop = { audiences: [provider.issuer], tokens: { token_endpoint: provider.tokenEndpoint, resources: RESOURCES, dpop_client: 'shop-dpop' } };
    const clients = [
      { client_id: 'shop', ...shop },
      { client_id: 'shop-dpop', purposes: ['dpop'], algorithm: 'ES256' },
      ...ONE_KEY.map((id) => ({ client_id: id, purposes: ['client_assertion', 'dpop'], audiences: [standIn.url],
        tokens: { token_endpoint: `${standIn.url}?tenant=1`, dpop_client: id } })),
      { client_id: 'keyless', ...shop, tokens: { ...shop.tokens, dpop_client: 'without' } },
      { client_id: 'without', purposes: ['dpop'] },
      { client_id: 'bearer', audiences: [standIn.url], tokens: { token_endpoint: standIn.url } },
    ];
    deployment = await Deployment.start(clients, (folder) => ({ token_listen: `unix:${folder}/tokens.sock` }));
    for (const id of ['shop', 'shop-dpop', 'keyless', 'bearer', ...ONE_KEY]) await deployment.generateKey(id);
    provider.register([{ client_id: 'shop', jwks: await deployment.jwks('shop'), dpop_bound_access_tokens: true }]);
    tokens = new Caller(AccessTokenService, deployment.socket);
    proofs = new Caller(AssertionService, deployment.socket);
  });

  after(async () => {
    tokens?.close();
    proofs?.close();
    standIn?.close();
    await deployment?.close();
  });

  it('a real provider binds the token to the key that signs the proofs of its users', async () => {
    const { access_token: token, token_type: type, kid } = await get({ client_id: 'shop', resource: RESOURCES[0] });
    assert.equal(type, 'DPoP');
    assert.equal(decodeJwt(token).cnf.jkt, kid);
    const htu = 'https://api.example/orders';
    const proof = await proofs.call('CreateDpopProof', { client_id: 'shop-dpop', htm: 'GET', htu,
      ath: createHash('sha256').update(token).digest('base64url') });
    assert.equal(proof.kid, kid);
    assert.equal(await calculateJwkThumbprint(decodeProtectedHeader(proof.proof).jwk), kid);
    assert.equal((await get({ client_id: 'shop', resource: RESOURCES[0] })).access_token, token, 'it is shared');
    assert.deepEqual(auditLines('BuyAccessToken').map((line) => [line.outcome, line.kid]), [['OK', kid]]);
    assert.deepEqual(auditLines('GetAccessToken').map((line) => [line.caller, line.kid]), [[ME, kid], [ME, kid]]);
    const [first, second] = auditLines('CreateDpopProof').filter((line) => line.caller === 'assertiond');
    for (const line of [first, second]) {
      assert.deepEqual([line.outcome, line.client_id, line.purpose, line.htm, line.htu, line.kid],
        ['OK', 'shop-dpop', 'dpop', 'POST', provider.tokenEndpoint, kid]);
    }
    assert.equal(auditLines('CreateAssertion').length, 2, 'the second try has an assertion of its own');
    assert.equal((await provider.decision()).error, 'use_dpop_nonce');
    assert.equal((await provider.decision()).event, 'grant.success');
  });

  it("the provider's nonce is kept for the next purchase", async () => {
    const proven = auditLines('CreateDpopProof').filter((line) => line.caller === 'assertiond').length;
    await get({ client_id: 'shop', resource: RESOURCES[1] });
    assert.equal((await provider.decision()).event, 'grant.success');
    assert.equal(auditLines('CreateDpopProof').filter((line) => line.caller === 'assertiond').length, proven + 1);
  });

  it('when the key is replaced the next token is bound to the new one, and the old one is not handed out', async () => {
    const before = await get({ client_id: 'shop', resource: RESOURCES[0] });
    await deployment.ctl('key', 'rotate', '--client-id', 'shop-dpop', '--sign-from', 'now', '--force', 'shop-dpop');
    const after = await get({ client_id: 'shop', resource: RESOURCES[0] });
    assert.notEqual(after.kid, before.kid);
    assert.notEqual(after.access_token, before.access_token);
    assert.equal(decodeJwt(after.access_token).cnf.jkt, after.kid);
    const { kid } = await proofs.call('CreateDpopProof', { client_id: 'shop-dpop', htm: 'GET', htu: 'https://api.example/' });
    assert.equal(kid, after.kid);
  });

  it('the proof names the endpoint without its query', async () => {
    const { token_type: type, kid } = await get({ client_id: 'sparing' });
    assert.deepEqual([type, kid], ['dpop', (await deployment.key('sparing')).kid]);
    const proof = standIn.headers.at(-1).dpop;
    assert.deepEqual([decodeProtectedHeader(proof).typ, decodeJwt(proof).htm, decodeJwt(proof).htu], ['dpop+jwt', 'POST', standIn.url]);
    assert.equal('nonce' in decodeJwt(proof), false);
  });

  it('a token whose key was replaced while it was bought is not handed out', async () => {
    let release;
    standIn.reset({ access_token: 'of-the-old-key', token_type: 'DPoP', expires_in: 300 });
    standIn.held = new Promise((resolve) => { release = resolve; });
    const refused = refusal({ client_id: 'held' });
    while (standIn.forms.length === 0) await once(standIn, 'form');
    await deployment.ctl('key', 'rotate', '--client-id', 'held', '--sign-from', 'now', '--force', 'held');
    standIn.answer = [200, { access_token: 'of-the-new-key', token_type: 'DPoP', expires_in: 300 }];
    const other = get({ client_id: 'held' });  // does not wait for the first purchase
    while (standIn.forms.length === 1) await once(standIn, 'form');
    release();
    const { code, details } = await refused;
    assert.equal(code, grpc.status.UNAVAILABLE, details);
    assert.match(details, /signs no more; try again/);
    assert.equal((await other).kid, (await proofs.call('CreateDpopProof', { client_id: 'held', htm: 'GET', htu: 'https://api.example/' })).kid);
  });

  it('is told over HTTP, too', async () => {
    const { kid, ...rest } = await get({ client_id: 'shop', resource: RESOURCES[0] });
    const { stdout } = await run('curl', ['-sS', '--fail', '--unix-socket', path.join(deployment.folder, 'tokens.sock'),
      `http://assertiond/clients/shop/token?resource=${encodeURIComponent(RESOURCES[0])}`]);
    const answer = JSON.parse(stdout);
    assert.deepEqual([answer.kid, answer.token_type, answer.access_token], [kid, 'DPoP', rest.access_token]);
  });

  it('a bound token that was not asked for is not handed out', async () => {
    standIn.reset({ access_token: 'bound', token_type: 'DPoP', expires_in: 300 });
    const { code, details } = await refusal({ client_id: 'bearer' });
    assert.equal(code, grpc.status.FAILED_PRECONDITION, details);
    assert.match(details, /token_type is "DPoP", .* configure tokens\.dpop_client/);
  });

  it('what a server answers that does not bind, or does not take the proof, is told', async () => {
    for (const [client_id, answer, code, message, nonces] of [
      ['free', [200, { access_token: 'free', token_type: 'Bearer', expires_in: 300 }], grpc.status.FAILED_PRECONDITION,
        /token_type is "Bearer", not DPoP/, [undefined]],
      ['refused', [400, { error: 'invalid_dpop_proof', error_description: 'description of the server' }], grpc.status.UNAVAILABLE, /invalid_dpop_proof/, [undefined]],
      ['endless', [400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'again' }], grpc.status.UNAVAILABLE, /use_dpop_nonce/,
        [undefined, 'again']],
      ['odd', [400, { error: 'use_dpop_nonce' }, { 'DPoP-Nonce': 'a "quoted" one' }], grpc.status.UNAVAILABLE, /use_dpop_nonce/, ['again']],
      ['fresh', [400, { error: 'invalid_dpop_proof' }], grpc.status.UNAVAILABLE, /invalid_dpop_proof/, [undefined]],  // the nonce may be why
    ]) {
      standIn.reset();
      standIn.answer = answer;
      const { code: got, details } = await refusal({ client_id });
      assert.equal(got, code, details);
      assert.match(details, message);
      assert.deepEqual(standIn.headers.map(({ dpop }) => decodeJwt(dpop).nonce), nonces);
      assert.equal(new Set(standIn.forms.map((form) => form.get('client_assertion'))).size, nonces.length);
    }
    const lines = auditLines('BuyAccessToken').slice(-5);
    assert.deepEqual(lines.map(({ outcome }) => outcome), Array(5).fill('FAILED'));
    assert.deepEqual(lines.map(({ error }) => error),
      [undefined, 'invalid_dpop_proof', 'use_dpop_nonce', 'use_dpop_nonce', 'invalid_dpop_proof']);
    assert.doesNotMatch(JSON.stringify(deployment.auditLines()), /description of the server/);
  });

  it('without a key for the proofs nothing is asked', async () => {
    const { code, details } = await refusal({ client_id: 'keyless', resource: RESOURCES[0] });
    assert.equal(code, grpc.status.FAILED_PRECONDITION, details);
    assert.match(details, /without/);
  });

  it('a hint for a key that makes proofs alone has no word of certificate or JWK Set', async () => {
    const staged = await deployment.ctl('key', 'rotate', '--client-id', 'shop-dpop');
    const [, kid] = /^ {2}next: assertionctl key schedule --client-id shop-dpop --kid=(\S+) --sign-from now$/m.exec(staged);
    assert.doesNotMatch(staged, /certificate get|JWK Set/);
    const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json'));
    const purposes = (id) => keys.find(({ client_id }) => client_id === id).purposes;
    assert.deepEqual([purposes('shop-dpop'), purposes('free'), purposes('shop')],
      [['dpop'], ['client_assertion', 'dpop'], ['client_assertion']]);
    const { attention } = JSON.parse((await deployment.tryCtl('status', '--json')).stdout);
    assert.deepEqual(attention.filter((one) => one.kid === kid).map(({ next }) => next),
      [`assertionctl key schedule --client-id shop-dpop --kid=${kid} --sign-from now`]);
    const another = await deployment.ctl('key', 'generate', '--client-id', 'shop-dpop');
    assert.match(another, /^ {2}next: assertionctl key schedule --client-id shop-dpop --kid=\S+ --sign-from now$/m);
    const scheduled = await deployment.ctl('key', 'rotate', '--client-id', 'shop-dpop', '--sign-from', '+1h', '--force', 'shop-dpop');
    assert.match(scheduled, /^ {2}next: nothing: each DPoP proof carries its key$/m);
  });

  it('dpop create for a client without the purpose is told so, not of callers', async () => {
    const { status, stderr } = await deployment.tryCtl('dpop', 'create', '--client-id', 'shop', '--htm', 'GET', '--htu', 'https://api.example/');
    assert.equal(status, 1);
    assert.match(stderr, /purposes do not include "dpop"/);
    assert.match(stderr, /^ {2}next: name a client with this purpose, or add it to clients\[\]\.purposes /m);
  });

  it('--check-config names the callers who could not use their tokens', async () => {
    const checked = async (bought, proven) => {
      const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
      const clients = configuration.clients.map((client) => ({ ...client,
        callers: client.client_id === 'shop' ? bought : client.client_id === 'shop-dpop' ? proven : client.callers }));
      const file = path.join(deployment.folder, 'other.json');
      writeFileSync(file, JSON.stringify({ ...configuration, clients }));
      const { status, stderr } = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--check-config', file], { env: deployment.environment });
      assert.equal(status, 0, stderr);
      return stderr.split('\n').filter((line) => line.includes('dpop_client'));
    };
    const lacking = await checked([ME, 'uid:4001', 'uid:4002', 'uid:4003', 'uid:4004'], [ME]);
    assert.equal(lacking.length, 1);
    assert.match(lacking[0], /: warning: clients\[\d+\]\.tokens\.dpop_client: client 'shop-dpop' .* client 'shop', .*: uid:4001, uid:4002, uid:4003 and 1 more$/);
    assert.deepEqual(await checked([ME], [ME, 'uid:4001']), []);
    assert.deepEqual(await checked(['spiffe://td/ns/a/x', 'spiffe://td/ns/b/*'], ['spiffe://td/ns/*']), []);
    assert.match((await checked(['spiffe://td/other'], ['spiffe://td/ns/*'])).join(), /: spiffe:\/\/td\/other$/);
    assert.deepEqual(await checked(['dns:a.example'], ['spiffe://td/ns/*']), [], 'a certificate may have both names');
    assert.match((await checked(['dns:a.example', 'uid:4001'], ['dns:a.example'])).join(), /: uid:4001$/);
  });
});
