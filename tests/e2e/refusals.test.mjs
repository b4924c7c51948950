// What a provider must refuse, and why: the reason is the provider's own, from its grant.error event.
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline } from './process.mjs';

const ELSEWHERE = 'https://elsewhere.example/oauth2/token';

describe('assertions that a real OpenID provider refuses', () => {
  let provider;
  let deployment;

  before(async () => {
    provider = await OpenIdProvider.start();
    const audiences = [provider.tokenEndpoint, ELSEWHERE];
    deployment = await Deployment.start(['orders', 'stranger', 'changed'].map((client) =>
      ({ client_id: client, audiences })));
    for (const client of ['orders', 'stranger', 'changed']) await deployment.generateKey(client);

    const orders = await deployment.jwks('orders');
    const { keys: [{ kid }] } = await deployment.jwks('changed');
    provider.register([
      { client_id: 'orders', jwks: orders },
      // Registered with the key of another client, under that key's own name and under the name of the right one.
      { client_id: 'stranger', jwks: orders },
      { client_id: 'changed', jwks: { keys: [{ ...orders.keys[0], kid }] } },
    ]);
  });

  after(() => deployment?.close());

  beforeEach(() => provider.forgetDecisions());

  // Lets assertionctl make the assertion and the request, which must be refused. Returns the provider's reason.
  async function refusalOf(client, options = [], by = deployment) {
    const { status, stdout, stderr } = await by.tryCtl('token', 'request', '--client-id', client,
      '--token-endpoint', provider.tokenEndpoint, ...options);
    assert.equal(status, 5, stderr);
    assert.equal(JSON.parse(stdout).error, 'invalid_client');
    assert.match(stderr, /^assertionctl: .*invalid_client/);
    return reason(client);
  }

  // Presents an assertion, which must be refused. Returns the provider's reason.
  async function refusalOfAssertion(assertion) {
    const { status, answer } = await provider.requestToken(assertion);
    assert.deepEqual({ status, error: answer.error }, { status: 401, error: 'invalid_client' });
    return reason('orders');
  }

  async function reason(client) {
    const { error_detail: detail, ...decision } = await provider.decision();
    assert.deepEqual(decision, { event: 'grant.error', client_id: client, error: 'invalid_client' });
    return detail;
  }

  it('one sent twice', async () => {
    const assertion = await deployment.createAssertion('orders');
    assert.equal((await provider.requestToken(assertion)).status, 200);
    assert.equal((await provider.decision()).event, 'grant.success');
    assert.equal(await refusalOfAssertion(assertion), 'client assertion tokens must only be used once');
  });

  it('one for another audience', async () => {
    assert.equal(await refusalOf('orders', ['--audience', ELSEWHERE]),
      'audience (aud) must equal the endpoint url, issuer identifier or token endpoint url');
  });

  it('one that has expired', async () => {
    const assertion = await deployment.createAssertion('orders', '--lifetime', '1s');
    const { exp } = decodeJwt(assertion);
    await new Deadline(10, 'the assertion to expire').until(() => Date.now() >= exp * 1000);
    assert.equal(await refusalOfAssertion(assertion), 'jwt expired');
  });

  it('one signed by a key that the provider does not know', async () => {
    assert.equal(await refusalOf('stranger'), 'no applicable key found in the JSON Web Key Set');
  });

  it('one signed by a key other than the one registered under its name', async () => {
    assert.equal(await refusalOf('changed'), 'signature verification failed');
  });

  it('one for the same client, signed in another token', async () => {
    const impostor = await Deployment.start([{ client_id: 'orders', audiences: [provider.tokenEndpoint] }]);
    await impostor.generateKey('orders');
    assert.equal(await refusalOf('orders', [], impostor), 'no applicable key found in the JSON Web Key Set');
    await impostor.close();
  });

  it('one whose claims were changed after signing', async () => {
    const [header, , signature] = (await deployment.createAssertion('orders')).split('.');
    const [, payload] = (await deployment.createAssertion('orders')).split('.');
    assert.equal(await refusalOfAssertion([header, payload, signature].join('.')), 'signature verification failed');
  });
});
