// Profiles on a live server: every preset's assertion has the header and claims of tests/vectors/profiles.json, verifies with
// its key, and a real OpenID provider with strict rules takes those that are meant for it.
import assert from 'node:assert/strict';
import { X509Certificate, createHash, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { createLocalJWKSet, decodeJwt, decodeProtectedHeader, importJWK, compactVerify } from 'jose';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline } from './process.mjs';

const VECTORS = JSON.parse(readFileSync(new URL('./profiles.json', import.meta.url), 'utf8'));
// The keys of the vectors.
const THUMBPRINTS = ['NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs', 'oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U'];
const digest = (algorithm, octets, form) => createHash(algorithm).update(octets).digest(form);

// Each client id once: two presets of the vectors may have the same.
const clientOf = ({ profile, client }, index) => ({
  ...client, profile, client_id: ['entra-id', 'snowflake', 'github-app', 'google', 'docusign'].includes(profile)
    ? client.client_id.replace('6731de76', `6731de${index}0`) : `client-${index}`,
  ...client.kids ? { kids: {} } : {},
});

describe('profiles', () => {
  const clients = VECTORS.map(clientOf);
  let deployment;

  before(async () => {
    deployment = await Deployment.start(clients);
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    for (const [index, client] of clients.entries()) {
      const { kid } = await deployment.generateKey(client.client_id);
      for (const assigned of Object.values(VECTORS[index].client.kids ?? {})) {
        configuration.clients[index].kids = { [kid]: assigned };
      }
    }
    // Before the other party's kids are in the configuration, their clients cannot sign.
    const apple = clients[VECTORS.findIndex(({ profile }) => profile === 'apple')].client_id;
    const refused = await deployment.tryCtl('assertion', 'create', '--client-id', apple);
    assert.match(refused.stderr, /has no kid of the other party: add it to the client's field kids/);
    await reload(configuration);
  });

  after(() => deployment?.close());

  async function reload(configuration) {
    const log = () => readFileSync(deployment.log, 'utf8');
    const from = log().length;
    writeFileSync(deployment.configuration, JSON.stringify(configuration, null, 2));
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, `a reload; assertiond's log is ${deployment.log}`).until(() => /SIGHUP: (?!another reload follows)/.test(log().slice(from)));
  }

  // The vector with this deployment's key, certificate and client id in place of the vectors'.
  async function expected(vector, client, { kid, chain, publicKey }, claims) {
    const der = chain[0].raw;
    const header = { ...vector.header };
    if (THUMBPRINTS.includes(header.kid)) header.kid = kid;
    if (header.x5t) header.x5t = digest('sha1', der, 'base64url');
    if (header.x5c) header.x5c = chain.map(({ raw }) => raw.toString('base64'));
    if (header.jwk) {
      const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
      header.jwk = { crv, kty, x, y };
    }
    const fingerprint = digest('sha256', publicKey.export({ format: 'der', type: 'spki' }), 'base64');
    const own = (text) => text === vector.client.client_id ? client.client_id : text;
    const wanted = { ...vector.claims, iat: claims.iat, exp: claims.iat + vector.claims.exp - vector.claims.iat };
    wanted.iss = vector.profile === 'snowflake' ? `${client.client_id}.SHA256:${fingerprint}` : own(wanted.iss);
    if (wanted.sub) wanted.sub = own(wanted.sub);
    if (wanted.nbf) wanted.nbf = claims.iat;
    if (wanted.jti) wanted.jti = claims.jti;
    return { header, claims: wanted };
  }

  for (const [index, vector] of VECTORS.entries()) {
    it(`${vector.profile}: header and claims are its party's`, async () => {
      const client = clients[index];
      const options = vector.request ? ['--subject', vector.request.subject] : [];
      const before_ = Math.floor(Date.now() / 1000);
      const assertion = await deployment.createAssertion(client.client_id, ...options);
      const header = decodeProtectedHeader(assertion);
      const claims = decodeJwt(assertion);
      const pem = await deployment.ctl('certificate', 'get', '--client-id', client.client_id);
      const chain = pem.match(/-----BEGIN[^]*?END CERTIFICATE-----/g).map((one) => new X509Certificate(one));
      const { kid } = await deployment.key(client.client_id);
      const wanted = await expected(vector, client, { kid, chain, publicKey: createPublicKey(pem) }, claims);
      assert.deepEqual({ header, claims }, wanted);
      assert.deepEqual(Object.keys(header), Object.keys(wanted.header));
      const backdate = vector.claims.iat - 1_700_000_000;
      assert.ok(claims.iat >= before_ + backdate && claims.iat <= Date.now() / 1000 + backdate, 'iat is now, or backdated');
      if (claims.jti) assert.equal(claims.jti.length, vector.claims.jti.length);
      await compactVerify(assertion, createPublicKey(pem));
      if (header.jwk) await compactVerify(assertion, await importJWK(header.jwk, header.alg));
      if (header.kid === kid) await compactVerify(assertion, createLocalJWKSet(await deployment.jwks(client.client_id)));
    });
  }

  it('the audit log has the profile, the purpose and the subject that the caller named', async () => {
    const index = VECTORS.findIndex(({ profile }) => profile === 'salesforce');
    const { client_id: client } = clients[index];
    const assertion = await deployment.createAssertion(client, '--subject', 'ann@shop.example');
    const lines = deployment.auditLines();
    const { jti } = decodeJwt(assertion);
    const { profile, purpose, subject } = lines.find((line) => line.jti === jti);
    assert.deepEqual({ profile, purpose, subject },
      { profile: 'salesforce', purpose: 'jwt-bearer', subject: 'ann@shop.example' });
    await deployment.createAssertion(clients[0].client_id);
    const last = deployment.auditLines()
      .findLast(({ client_id: id }) => id === clients[0].client_id);
    for (const field of ['profile', 'purpose', 'subject', 'scope']) assert.ok(!(field in last), field);
  });

  it('a subject that is not configured is refused, and the log says who asked for it', async () => {
    const { client_id: client } = clients[VECTORS.findIndex(({ profile }) => profile === 'salesforce')];
    for (const [options, message] of [
      [['--subject', 'mallory@shop.example'], /subject: "mallory@shop.example" is not among the subjects configured/],
      [[], /subject: must be set/],
      [['--subject', 'ann@shop.example', '--scope', 'api'], /scope: "api" is not among the scopes configured/],
    ]) {
      const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', client, ...options);
      assert.equal(status, 1);
      assert.match(stderr, message);
    }
  });

  it('a reload changes header and claims together', async () => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    configuration.clients[0] = { ...configuration.clients[0], typ: 'client-authentication+jwt', nbf: true };
    await reload(configuration);
    const assertion = await deployment.createAssertion(clients[0].client_id);
    assert.equal(decodeProtectedHeader(assertion).typ, 'client-authentication+jwt');
    assert.ok(decodeJwt(assertion).nbf);
  });
});

describe('a provider with strict rules', () => {
  let provider;
  let deployment;

  before(async () => {
    provider = await OpenIdProvider.start({ strict: true });
    const strict = (profile, changed) => ({ client_id: profile, profile, audiences: [provider.issuer], ...changed });
    deployment = await Deployment.start([
      strict('rfc7523bis'), strict('fapi2'), { client_id: 'wso2', audiences: [provider.issuer] },
      { client_id: 'endpoint', audiences: [provider.tokenEndpoint], typ: 'client-authentication+jwt' },
      { client_id: 'list', audiences: [provider.issuer], typ: 'client-authentication+jwt', audience_as_list: true },
    ]);
    const clients = [];
    for (const client of ['rfc7523bis', 'fapi2', 'wso2', 'endpoint', 'list']) {
      await deployment.generateKey(client);
      clients.push({ client_id: client, jwks: await deployment.jwks(client), scope: 'reports',
        token_endpoint_auth_signing_alg: client === 'fapi2' ? 'PS256' : 'RS256' });
    }
    provider.register(clients);
  });

  after(() => deployment?.close());

  for (const client of ['rfc7523bis', 'fapi2']) {
    it(`accepts ${client}`, async () => {
      const { status, answer } = await provider.requestToken(await deployment.createAssertion(client));
      assert.equal(status, 200, JSON.stringify(answer));
      assert.equal((await provider.decision()).event, 'grant.success');
    });
  }

  for (const [client, why] of [['wso2', /typ JWT is refused/], ['endpoint', /aud .* is refused/], ['list', /aud \[.* is refused/]]) {
    it(`refuses the near miss ${client}`, async () => {
      const { status } = await provider.requestToken(await deployment.createAssertion(client));
      assert.equal(status, 401);
      assert.match((await provider.decision()).error_detail, why);
    });
  }
});
