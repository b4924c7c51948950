// Verifiers that share no code with assertiond accept its assertions, and agree on which key signed them.
import assert from 'node:assert/strict';
import { X509Certificate, createHash, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { calculateJwkThumbprint, createLocalJWKSet, jwtVerify } from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import { Deployment } from './deployment.mjs';
import { output, run } from './process.mjs';

const PYJWT = fileURLToPath(new URL('./verify_with_pyjwt.py', import.meta.url));
const AUDIENCE = 'https://localhost:9443/oauth2/token';
const REGISTERED = ['aud', 'exp', 'iat', 'iss', 'jti', 'sub'];

describe('an assertion before independent verifiers', () => {
  let deployment;
  let certificate;
  let certificateFile;
  let jwks;

  before(async () => {
    deployment = await Deployment.start(['orders', 'other'].map((client) =>
      ({ client_id: client, audiences: [AUDIENCE], extra_claims: ['tenant'] })));
    await deployment.generateKey('orders');
    await deployment.generateKey('other');
    certificateFile = path.join(deployment.folder, 'certificate.pem');
    await deployment.ctl('certificate', 'get', '--client-id', 'orders', '--out', certificateFile);
    certificate = await deployment.ctl('certificate', 'get', '--client-id', 'orders');
    jwks = await deployment.jwks('orders');
  });

  after(() => deployment?.close());

  async function pyjwt(assertion, key) {
    return run('/usr/bin/python3', ['-I', PYJWT],
      { input: JSON.stringify({ assertion, audience: AUDIENCE, client_id: 'orders', ...key }) });
  }

  async function openssl(assertion) {
    const [header, payload, signature] = assertion.split('.');
    const file = (name) => path.join(deployment.folder, name);
    writeFileSync(file('signature'), Buffer.from(signature, 'base64url'));
    await output('openssl', ['x509', '-in', certificateFile, '-noout', '-pubkey', '-out', file('public-key.pem')]);
    return run('openssl', ['dgst', '-sha256', '-verify', file('public-key.pem'), '-signature', file('signature')],
      { input: `${header}.${payload}` });
  }

  const byJsonwebtoken = (assertion) => jsonwebtoken.verify(assertion, createPublicKey(certificate),
    { algorithms: ['RS256'], audience: AUDIENCE, issuer: 'orders', subject: 'orders', maxAge: '300s' });

  const byJose = (assertion) => jwtVerify(assertion, createLocalJWKSet(jwks), {
    algorithms: ['RS256'], audience: AUDIENCE, issuer: 'orders', subject: 'orders', typ: 'JWT', maxTokenAge: '300s',
    requiredClaims: REGISTERED,
  });

  // The same assertion with one bit of its signature changed.
  function damaged(assertion) {
    const [header, payload, signature] = assertion.split('.');
    const octets = Buffer.from(signature, 'base64url');
    octets[100] ^= 1;
    return [header, payload, octets.toString('base64url')].join('.');
  }

  it("Debian's python3-jwt accepts it by JWK Set and by certificate", async () => {
    const assertion = await deployment.createAssertion('orders', '--claim', 'tenant="acme"');
    for (const key of [{ jwks: JSON.stringify(jwks) }, { certificate }]) {
      const { status, stdout, stderr } = await pyjwt(assertion, key);
      assert.equal(status, 0, stderr);
      const claims = JSON.parse(stdout);
      assert.deepEqual(Object.keys(claims).sort(), [...REGISTERED, 'tenant'].sort());
      assert.equal(claims.tenant, 'acme');

      const refused = await pyjwt(damaged(assertion), key);
      assert.equal(refused.status, 1, refused.stdout);
      assert.match(refused.stderr, /^InvalidSignatureError/);
    }
  });

  it('openssl verifies it with the exported certificate', async () => {
    const assertion = await deployment.createAssertion('orders');
    assert.deepEqual(await openssl(assertion), { status: 0, stdout: 'Verified OK\n', stderr: '' });
    assert.equal((await openssl(damaged(assertion))).status, 1);
  });

  it('strict Node.js verifiers accept it by certificate and by JWK Set', async () => {
    const assertion = await deployment.createAssertion('orders');
    const { payload, protectedHeader } = await byJose(assertion);
    assert.deepEqual(byJsonwebtoken(assertion), payload);
    assert.deepEqual(protectedHeader, { alg: 'RS256', kid: jwks.keys[0].kid, typ: 'JWT' });

    await assert.rejects(byJose(damaged(assertion)), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
    assert.throws(() => byJsonwebtoken(damaged(assertion)), { message: 'invalid signature' });
  });

  it('it is one line of unpadded base64url with exactly the claims asked for, made now', async () => {
    const earliest = Math.floor(Date.now() / 1000);
    const printed = await deployment.ctl('assertion', 'create', '--client-id', 'orders');
    const latest = Math.floor(Date.now() / 1000);
    assert.match(printed, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { payload } = await byJose(printed.trimEnd());
    assert.deepEqual(Object.keys(payload).sort(), REGISTERED);
    assert.equal(payload.aud, AUDIENCE);
    assert.ok(Number.isInteger(payload.iat) && payload.iat >= earliest && payload.iat <= latest, `iat ${payload.iat}`);
    assert.equal(payload.exp - payload.iat, 300);
    assert.match(payload.jti, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('assertion inspect agrees, and refuses by the key of another client', async () => {
    const assertion = path.join(deployment.folder, 'assertion.jwt');
    writeFileSync(assertion, await deployment.ctl('assertion', 'create', '--client-id', 'orders'));
    const file = (client, name) => path.join(deployment.folder, `${client}.${name}`);
    for (const client of ['orders', 'other']) {
      await deployment.ctl('certificate', 'get', '--client-id', client, '--out', file(client, 'pem'));
      await deployment.ctl('jwks', 'get', '--client-id', client, '--out', file(client, 'jwks'));
    }
    for (const [option, name] of [['--certificate', 'pem'], ['--jwks', 'jwks']]) {
      const inspect = ['assertion', 'inspect', assertion, option];
      assert.match(await deployment.ctl(...inspect, file('orders', name)), /signature: ok/);
      const { status, stdout, stderr } = await deployment.tryCtl(...inspect, file('other', name));
      assert.equal(status, 1, stderr);
      assert.doesNotMatch(stdout, /signature: ok/);
    }
  });

  it('the JWK, the certificate and the token hold one key', async () => {
    const { keys: [jwk] } = jwks;
    const { kid, cka_id: id, algorithm, key_bits: bits } = await deployment.key('orders');
    const spki = (key) => key.export({ type: 'spki', format: 'der' }).toString('hex');
    const onToken = await deployment.askToken(['--read-object', '--type', 'pubkey', '--id', id], 'buffer');
    const expected = spki(createPublicKey({ key: jwk, format: 'jwk' }));
    assert.equal(spki(new X509Certificate(certificate).publicKey), expected);
    assert.equal(spki(createPublicKey({ key: onToken, format: 'der', type: 'spki' })), expected);

    assert.deepEqual({ algorithm, bits }, { algorithm: 'RS256', bits: 2048 });
    assert.deepEqual(Object.keys(jwk).filter((member) => !['kty', 'n', 'e', 'kid', 'alg', 'use', 'x5c', 'x5t#S256']
      .includes(member)), [], 'public members only');
    assert.equal(kid, await calculateJwkThumbprint(jwk));
    assert.equal(jwk.kid, kid);
  });

  it('the certificate is the one on the token, in the form that identity servers take', async () => {
    assert.match(certificate,
      /^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/=]{1,64}\n-----END CERTIFICATE-----\n$/);
    const derFile = path.join(deployment.folder, 'certificate.der');
    await deployment.ctl('certificate', 'get', '--client-id', 'orders', '--format', 'der', '--out', derFile);
    const leaf = new X509Certificate(certificate);
    assert.ok(leaf.verify(leaf.publicKey), 'signed by its own key');
    assert.equal(readFileSync(derFile).toString('hex'), leaf.raw.toString('hex'));

    const { cka_id: id, 'x5t#S256': thumbprint } = await deployment.key('orders');
    const onToken = await deployment.askToken(['--read-object', '--type', 'cert', '--id', id], 'buffer');
    assert.equal(onToken.toString('hex'), leaf.raw.toString('hex'));
    assert.equal(createHash('sha256').update(onToken).digest('base64url'), thumbprint);
  });

  it('the private key can sign and never leave the token', async () => {
    const { cka_id: id } = await deployment.key('orders');
    const listing = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects',
      '--type', 'privkey']);
    // One paragraph an object, and no blank line between them; pkcs11-tool does not select by --id here.
    const objects = listing.split(/^(?=Private Key Object)/m).filter((object) => object.includes(id));
    assert.equal(objects.length, 1, listing);
    assert.match(objects[0], /label: +orders\n/);
    assert.match(objects[0], /Usage: +sign\n/);
    assert.match(objects[0], /Access: +sensitive, always sensitive, never extractable, local\n/);
  });
});
