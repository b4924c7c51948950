// A real OpenID provider gives tokens to clients that sign with other algorithms than RS256, and to one that changes its own.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';

const ALGORITHMS = ['RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'];

describe('tokens from a real OpenID provider, by other algorithms', () => {
  let provider;
  let deployment;

  before(async () => {
    provider = await OpenIdProvider.start();
    const audiences = [provider.tokenEndpoint];
    deployment = await Deployment.start([
      ...ALGORITHMS.map((algorithm) => ({ client_id: algorithm, algorithm, audiences })),
      { client_id: 'changes', audiences, binding: 'jwks', publish_lead: '10s' },
    ], { http_listen: '127.0.0.1:0', refresh_interval: '1s' });
  });

  after(() => deployment?.close());

  const request = async (client) => {
    const answer = JSON.parse(await deployment.ctl('token', 'request', '--client-id', client,
      '--token-endpoint', provider.tokenEndpoint));
    assert.deepEqual(await provider.decision(), { event: 'grant.success', client_id: client });
    assert.ok(answer.access_token);
  };

  for (const algorithm of ALGORITHMS) {
    it(`client_credentials with ${algorithm}`, async () => {
      await deployment.generateKey(algorithm);
      provider.register([{ client_id: algorithm, jwks: await deployment.jwks(algorithm),
        token_endpoint_auth_signing_alg: algorithm }]);
      await request(algorithm);
    });
  }

  it('one client goes from RS256 to ES256, and on to PS384, by its JWK Set', async () => {
    const client = 'changes';
    const rotate = async (...options) => JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', client, '--json',
      '--sign-from', 'now', '--force', client, ...options)).key;
    const algorithms = async () => (await deployment.jwks(client)).keys.map(({ alg }) => alg);
    const granted = async () => {
      // The set as it is now: the provider fetches one no sooner than after a minute.
      provider.register([{ client_id: client, jwks: await deployment.jwks(client),
        token_endpoint_auth_signing_alg: undefined }]);
      await request(client);
    };
    await deployment.generateKey(client);
    await granted();
    assert.equal((await rotate('--algorithm', 'ES256')).algorithm, 'ES256');
    assert.deepEqual(await algorithms(), ['ES256', 'RS256'], 'both are published: what the old one signed is good');
    await granted();
    const { status, stderr } = await deployment.tryCtl('key', 'rotate', '--client-id', client);
    assert.equal(status, 1, 'the configuration names RS256: another kind of key');
    assert.match(stderr, /algorithm: the client signs with a key for ES256, and its configuration names RS256/);
    assert.ok(stderr.endsWith(`\n  next: for another key of this kind: assertionctl key rotate --client-id ${client} --algorithm ES256\n`), stderr);
    assert.equal((await rotate('--algorithm', 'PS384')).algorithm, 'PS384');
    const [signing, ...others] = await algorithms();
    assert.equal(signing, 'PS384');
    assert.ok(others.includes('ES256'), others.join());
    await granted();
    // Without a word it is the configured one again.
    assert.equal((await rotate()).algorithm, 'RS256');
    await granted();
  });
});
