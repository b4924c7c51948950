// LemonLDAP::NG as the acceptor: its portal runs in LEMONLDAP_ROOT, and its token endpoint judges the assertions of all presets
// that authenticate a client. See lemonldap.sh.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CompactSign } from 'jose';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const ROOT = process.env.LEMONLDAP_ROOT;
const CONFIGURATION = path.join(ROOT, 'var/lib/lemonldap-ng/conf/lmConf-1.json');
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

class LemonLdap {
  #child;
  #lines;

  // relyingParties: [{ client_id, jwks }] or [{ client_id, jwks_uri }]. The portal reads them once.
  static async start(relyingParties) {
    const portal = new LemonLdap();
    const settings = JSON.parse(readFileSync(CONFIGURATION, 'utf8'));
    const options = relyingParties.map(({ client_id: id, jwks, jwks_uri: uri }) => ({
      oidcRPMetaDataOptionsClientID: id, oidcRPMetaDataOptionsAuthMethod: 'private_key_jwt',
      oidcRPMetaDataOptionsAllowClientCredentialsGrant: 1,
      ...jwks ? { oidcRPMetaDataOptionsJwks: JSON.stringify(jwks) } : { oidcRPMetaDataOptionsJwksUri: uri },
    }));
    const ofEach = (value) => Object.fromEntries(options.map((option, index) => [`rp${index}`, value(option)]));
    writeFileSync(CONFIGURATION, JSON.stringify({
      ...settings, authentication: 'Null', userDB: 'Null', passwordDB: 'Null', registerDB: 'Null',
      captcha_mail_enabled: 0, captcha_register_enabled: 0, portalDisplayResetPassword: 0, portalDisplayRegister: 0,
      issuerDBOpenIDConnectActivation: 1, oidcServiceKeyTypeSig: 'RSA',
      oidcServicePrivateKeySig: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      oidcServicePublicKeySig: publicKey.export({ type: 'spki', format: 'pem' }),
      oidcServiceMetaDataIssuer: 'http://auth.example.com', oidcRPMetaDataOptions: ofEach((option) => option),
      oidcRPMetaDataExportedVars: ofEach(() => ({})), oidcRPMetaDataScopeRules: ofEach(() => ({ reports: '1' })),
    }));
    portal.#child = startProcess('chroot', [ROOT, 'sh', '-c', 'rm -rf /var/cache/lemonldap-ng/*; exec perl /root/ask.pl'],
      { log: path.join(temporaryFolder(), 'lemonldap.log') });
    portal.#lines = new Lines(portal.#child, 'stdout');
    portal.version = JSON.parse(await portal.#lines.next(new Deadline(60, 'the portal'))).version;
    return portal;
  }

  async requestToken(clientId, assertion) {
    this.#child.stdin.write(`${JSON.stringify({ grant_type: 'client_credentials', scope: 'reports', client_id: clientId,
      client_assertion_type: JWT_BEARER, client_assertion: assertion })}\n`);
    return JSON.parse(await this.#lines.next(new Deadline(30, "the portal's answer")));
  }

  async close() {
    this.#child.stdin.end();
    await new Deadline(30, "the portal's end").limit(this.#child.ended);
  }
}

// The presets whose assertions authenticate a client, with a client id that occurs once.
const vectors = JSON.parse(readFileSync(new URL('./profiles.json', import.meta.url), 'utf8'))
  .filter(({ claims, client }) => claims.iss === client.client_id && claims.sub === client.client_id)
  .map((vector, index) => ({ ...vector, id: vector.client.client_id.replace('6731de76', `6731de${index + 10}`)
    .replace(/^orders$/, `orders-${vector.profile}`) }));

describe('LemonLDAP::NG', () => {
  let deployment;
  let portal;

  before(async () => {
    copyFileSync(new URL('./lemonldap_ask.pl', import.meta.url), path.join(ROOT, 'root/ask.pl'));
    deployment = await Deployment.start(vectors.map(({ profile, client, header: { alg: algorithm }, id }) =>
      ({ profile, algorithm, ...client, client_id: id, ...client.kids ? { kids: {} } : {} })),
    { http_listen: '127.0.0.1:0' });
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const parties = [];
    for (const [index, { id, client }] of vectors.entries()) {
      const { kid } = await deployment.generateKey(id);
      const jwks = await deployment.jwks(id);
      for (const assigned of Object.values(client.kids ?? {})) {
        configuration.clients[index].kids = { [kid]: assigned };
        jwks.keys[0].kid = assigned;  // the name that the party gave the key
      }
      jwks.keys.push({ ...publicKey.export({ format: 'jwk' }), use: 'sig', kid: 'in memory' });
      parties.push({ client_id: id, jwks });
    }
    await deployment.stopDaemon();
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    await deployment.startDaemon();
    portal = await LemonLdap.start(parties);
  });

  after(async () => {
    await portal?.close();
    await deployment?.close();
  });

  for (const { profile, id } of vectors) {
    it(`accepts ${profile}`, async () => {
      const { status, answer } = await portal.requestToken(id, await deployment.createAssertion(id));
      assert.equal(status, 200, answer);
      assert.ok(JSON.parse(answer).access_token);
    });
  }

  // Signed by a key that the portal knows, so that nothing but the difference is wrong.
  const [{ id: client, claims }] = vectors;
  const now = Math.floor(Date.now() / 1000);
  const good = { ...claims, iss: client, sub: client, iat: now, exp: now + 300 };
  const sign = (difference, header = {}, key = privateKey) =>
    new CompactSign(Buffer.from(JSON.stringify({ ...good, jti: randomUUID(), ...difference })))
      .setProtectedHeader({ alg: 'RS256', kid: 'in memory', ...header }).sign(key);
  const unsigned = () => `${Buffer.from('{"alg":"none"}').toString('base64url')}.${
    Buffer.from(JSON.stringify(good)).toString('base64url')}.`;
  const judge = async (assertion) => {
    const { answer } = await portal.requestToken(client, await assertion);
    return JSON.parse(answer).error ?? 'accepted';
  };

  it('accepts the same by the key in memory', async () => assert.equal(await judge(sign({})), 'accepted'));

  for (const [difference, assertion] of [
    ['another iss', () => sign({ iss: 'other' })],
    ['another sub', () => sign({ sub: 'other' })],
    ['no sub', () => sign({ sub: undefined })],
    ['iss and sub of another client', () => sign({ iss: vectors[1].id, sub: vectors[1].id })],
    ['an exp that is over', () => sign({ exp: now - 1 })],
    ['no exp', () => sign({ exp: undefined })],
    ['no aud', () => sign({ aud: undefined })],
    ['a kid that is not registered', () => sign({}, { kid: 'other' })],
    ['a key that is not registered', () => sign({}, {}, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
    ['alg none', unsigned],
  ]) {
    it(`refuses ${difference}`, async () => assert.equal(await judge(assertion()), 'invalid_client'));
  }

  // What this acceptor does not look at, so that an assertion for it must be guarded as if it were a password.
  for (const [difference, assertion] of [
    ['the aud of another server', () => sign({ aud: 'https://other.example/' })],
    ['another typ', () => sign({}, { typ: 'at+jwt' })],
    ['an nbf in the future', () => sign({ nbf: now + 300 })],
    ['a lifetime of a year', () => sign({ exp: now + 365 * 86400 })],
  ]) {
    it(`does not refuse ${difference}`, async () => assert.equal(await judge(assertion()), 'accepted'));
  }

  it('does not refuse a jti the second time', async () => {
    const assertion = sign({});
    assert.deepEqual([await judge(assertion), await judge(assertion)], ['accepted', 'accepted']);
  });

  it('refuses the next key of a rotation until it reads its configuration again', async () => {
    const start = () => LemonLdap.start([{ client_id: client, jwks_uri: `${deployment.httpOrigin}/clients/${client}/jwks.json` }]);
    await portal.close();
    portal = await start();
    assert.equal(await judge(deployment.createAssertion(client)), 'accepted');
    const { kid } = await deployment.generateKey(client);
    await deployment.ctl('key', 'schedule', '--client-id', client, `--kid=${kid}`, '--sign-from', 'now', '--force', client);
    assert.equal(await judge(deployment.createAssertion(client)), 'invalid_client');
    await portal.close();
    portal = await start();
    assert.equal(await judge(deployment.createAssertion(client)), 'accepted');
  });
});
