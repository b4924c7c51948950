// A real OpenID provider gives tokens to clients that authenticate with our assertions.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider, REDIRECT_URI } from './openid_provider.mjs';
import { run } from './process.mjs';

// One client is registered by its JWK Set, the other by its certificate's public key.
const CLIENTS = ['by-jwks', 'by-certificate'];

describe('tokens from a real OpenID provider', () => {
  const providers = {};
  let deployment;

  before(async () => {
    providers.http = await OpenIdProvider.start();
    providers.https = await OpenIdProvider.start({ tls: true });
    const audiences = [providers.http.tokenEndpoint, providers.https.tokenEndpoint];
    deployment = await Deployment.start(CLIENTS.map((client) => ({ client_id: client, audiences })));
    for (const client of CLIENTS) await deployment.generateKey(client);

    const pem = await deployment.ctl('certificate', 'get', '--client-id', 'by-certificate');
    const jwk = new X509Certificate(pem).publicKey.export({ format: 'jwk' });
    // The provider picks keys by kid; that ours is the RFC 7638 thumbprint is for us to show.
    const byCertificate = { keys: [{ ...jwk, kid: await calculateJwkThumbprint(jwk) }] };
    for (const provider of Object.values(providers)) {
      provider.register([
        { client_id: 'by-jwks', jwks: await deployment.jwks('by-jwks') },
        { client_id: 'by-certificate', jwks: byCertificate },
      ]);
    }
  });

  after(() => deployment?.close());

  beforeEach(() => {
    for (const provider of Object.values(providers)) provider.forgetDecisions();
  });

  function requestOptions(provider, client) {
    return ['token', 'request', '--client-id', client, '--token-endpoint', provider.tokenEndpoint,
      '--audience', provider.tokenEndpoint, ...provider.caFile ? ['--ca-file', provider.caFile] : []];
  }

  // Requests a token, which the provider must give. Returns its answer.
  async function token(provider, client, ...options) {
    const answer = JSON.parse(await deployment.ctl(...requestOptions(provider, client), ...options));
    assert.deepEqual(await provider.decision(), { event: 'grant.success', client_id: client });
    assert.ok(answer.access_token, JSON.stringify(answer));
    return answer;
  }

  // A request to a server that is not trusted: nothing of it may arrive. The provider tells its decisions in order, so
  // the first that it tells must be the one on the trusted request made afterwards.
  async function assertNothingSent(...options) {
    const { status, stdout, stderr } = await deployment.tryCtl('token', 'request', '--client-id', 'by-jwks',
      '--audience', providers.https.tokenEndpoint, ...options);
    assert.equal(status, 4, stderr);
    assert.equal(stdout, '');
    await token(providers.https, 'by-certificate');
  }

  for (const scheme of ['http', 'https']) {
    for (const client of CLIENTS) {
      it(`client_credentials over ${scheme}, key registered ${client}`, async () => {
        const answer = await token(providers[scheme], client, '--scope', 'reports');
        assert.equal(answer.token_type, 'Bearer');
        assert.equal(answer.scope, 'reports');
      });

      it(`authorization_code with PKCE over ${scheme}, key registered ${client}`, async () => {
        const { code, verifier } = await providers[scheme].authorize(client);
        const answer = await token(providers[scheme], client, '--grant', 'authorization_code', '--code', code,
          '--redirect-uri', REDIRECT_URI, '--code-verifier', verifier);
        assert.ok(answer.id_token, JSON.stringify(answer));
      });
    }
  }

  it('a code with another code_verifier is refused: PKCE is in force', async () => {
    const provider = providers.http;
    const { code } = await provider.authorize('by-jwks');
    const { status, stdout, stderr } = await deployment.tryCtl(...requestOptions(provider, 'by-jwks'),
      '--grant', 'authorization_code', '--code', code, '--redirect-uri', REDIRECT_URI,
      '--code-verifier', 'a'.repeat(43));
    assert.equal(status, 5, stderr);
    assert.equal(JSON.parse(stdout).error, 'invalid_grant');
    assert.match((await provider.decision()).error_detail, /PKCE verification failed/);
  });

  it('a server whose certificate nobody vouches for gets nothing', () =>
    assertNothingSent('--token-endpoint', providers.https.tokenEndpoint));

  // The system's authorities are this file here; --ca-file stands for them, not beside them.
  it('a server for which only the system vouches gets nothing when there is a --ca-file', async () => {
    const other = await CertificateAuthority.found('other');
    deployment.environment.SSL_CERT_FILE = providers.https.caFile;
    try {
      const { tokenEndpoint } = providers.https;
      const asked = ['token', 'request', '--client-id', 'by-jwks', '--audience', tokenEndpoint, '--token-endpoint', tokenEndpoint];
      assert.match((await deployment.tryCtl(...asked)).stdout, /access_token/);
      await providers.https.decision();
      await assertNothingSent('--token-endpoint', tokenEndpoint, '--ca-file', path.join(other.folder, 'ca.pem'));
    } finally {
      delete deployment.environment.SSL_CERT_FILE;
    }
  });

  it('a file of authorities that is none is named, and not waited for', async () => {
    const fifo = path.join(deployment.folder, 'fifo.pem');
    await run('mkfifo', [fifo]);
    for (const file of [fifo, deployment.folder, '/nonexistent/ca.pem', '/etc/hostname']) {
      const { status, stderr } = await deployment.tryCtl('token', 'request', '--client-id', 'by-jwks',
        '--audience', providers.https.tokenEndpoint, '--token-endpoint', providers.https.tokenEndpoint, '--ca-file', file);
      assert.notEqual(status, 0);
      assert.ok(stderr.includes(file), stderr);
    }
  });

  it('a server whose certificate is for another name gets nothing', () =>
    assertNothingSent('--token-endpoint', providers.https.tokenEndpoint.replace('127.0.0.1', 'localhost'),
      '--ca-file', providers.https.caFile));
});
