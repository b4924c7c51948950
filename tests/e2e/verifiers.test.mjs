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

// What each algorithm asks of Node.js, and of the openssl command that verifies its signature.
const RSA = { kty: 'RSA', bits: 2048, members: ['n', 'e'] };
const PSS = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:digest'];
const POINT = { kty: 'EC', members: ['crv', 'x', 'y'] };
const ALGORITHMS = {
  RS256: { ...RSA, digest: 'sha256' },
  RS384: { ...RSA, digest: 'sha384' },
  RS512: { ...RSA, digest: 'sha512' },
  PS256: { ...RSA, digest: 'sha256', options: PSS },
  PS384: { ...RSA, digest: 'sha384', options: PSS },
  PS512: { ...RSA, digest: 'sha512', options: PSS },
  ES256: { ...POINT, bits: 256, crv: 'P-256', digest: 'sha256', octets: 64 },
  ES384: { ...POINT, bits: 384, crv: 'P-384', digest: 'sha384', octets: 96 },
  ES512: { ...POINT, bits: 521, crv: 'P-521', digest: 'sha512', octets: 132 },
  EdDSA: { kty: 'OKP', bits: 256, crv: 'Ed25519', members: ['crv', 'x'], octets: 64 },
};

async function pyjwt(assertion, algorithm, client, key) {
  return run('/usr/bin/python3', ['-I', PYJWT],
    { input: JSON.stringify({ assertion, algorithm, audience: AUDIENCE, client_id: client, ...key }) });
}

// The two numbers of an ECDSA signature as openssl takes them: a SEQUENCE of INTEGERs (RFC 3279 section 2.2.3).
function sequence(signature) {
  const integer = (octets) => {
    let value = octets.subarray(octets.findIndex((octet) => octet !== 0));
    if (value[0] & 0x80) value = Buffer.concat([Buffer.of(0), value]);
    return Buffer.concat([Buffer.of(0x02, value.length), value]);
  };
  const half = signature.length / 2;
  const content = Buffer.concat([integer(signature.subarray(0, half)), integer(signature.subarray(half))]);
  return Buffer.concat([content.length < 128 ? Buffer.of(0x30, content.length)
    : Buffer.of(0x30, 0x81, content.length), content]);
}

// Has openssl verify the assertion with the certificate in that file; leaves files in the folder.
async function openssl(assertion, algorithm, certificateFile, folder) {
  const [header, payload, encoded] = assertion.split('.');
  const { kty, digest, options = [] } = ALGORITHMS[algorithm];
  const signature = Buffer.from(encoded, 'base64url');
  const file = (name) => path.join(folder, name);
  writeFileSync(file('signature'), kty === 'EC' ? sequence(signature) : signature);
  writeFileSync(file('signed'), `${header}.${payload}`);
  await output('openssl', ['x509', '-in', certificateFile, '-noout', '-pubkey', '-out', file('public-key.pem')]);
  return run('openssl', digest
    ? ['dgst', `-${digest}`, ...options, '-verify', file('public-key.pem'), '-signature', file('signature'), file('signed')]
    : ['pkeyutl', '-verify', '-pubin', '-inkey', file('public-key.pem'), '-rawin', '-in', file('signed'),
      '-sigfile', file('signature')]);
}

const byJsonwebtoken = (assertion, algorithm, client, certificate) => jsonwebtoken.verify(assertion,
  createPublicKey(certificate),
  { algorithms: [algorithm], audience: AUDIENCE, issuer: client, subject: client, maxAge: '300s' });

const byJose = (assertion, algorithm, client, jwks) => jwtVerify(assertion, createLocalJWKSet(jwks), {
  algorithms: [algorithm], audience: AUDIENCE, issuer: client, subject: client, typ: 'JWT', maxTokenAge: '300s',
  requiredClaims: REGISTERED,
});

// The same assertion with one bit of its signature changed.
function damaged(assertion) {
  const [header, payload, signature] = assertion.split('.');
  const octets = Buffer.from(signature, 'base64url');
  octets[octets.length >> 1] ^= 1;
  return [header, payload, octets.toString('base64url')].join('.');
}

describe('each algorithm before independent verifiers', () => {
  let deployment;
  const file = (name) => path.join(deployment.folder, name);

  before(async () => {
    deployment = await Deployment.start(Object.keys(ALGORITHMS).map((algorithm) =>
      ({ client_id: `by-${algorithm}`, algorithm, audiences: [AUDIENCE] })));
  });

  after(() => deployment?.close());

  for (const [algorithm, { kty, bits, crv, members, octets }] of Object.entries(ALGORITHMS)) {
    it(algorithm, async () => {
      const client = `by-${algorithm}`;
      const made = await deployment.generateKey(client);
      assert.deepEqual([made.algorithm, made.key_bits], [algorithm, bits]);
      const certificateFile = file(`${client}.pem`);
      await deployment.ctl('certificate', 'get', '--client-id', client, '--out', certificateFile);
      const certificate = readFileSync(certificateFile, 'utf8');
      const jwks = await deployment.jwks(client);
      const { keys: [jwk] } = jwks;
      assert.deepEqual([jwk.kty, jwk.crv, jwk.alg, jwk.kid], [kty, crv, algorithm, await calculateJwkThumbprint(jwk)]);
      // WSO2 takes x5c of RSA keys alone.
      assert.deepEqual(Object.keys(jwk).sort(),
        ['alg', 'kid', 'kty', 'use', ...members, ...kty === 'RSA' ? ['x5c', 'x5t#S256'] : []].sort());

      const assertion = await deployment.createAssertion(client);
      const { protectedHeader, payload } = await byJose(assertion, algorithm, client, jwks);
      assert.deepEqual(protectedHeader, { alg: algorithm, kid: made.kid, typ: 'JWT' });
      if (octets) assert.equal(Buffer.from(assertion.split('.')[2], 'base64url').length, octets, 'fixed length');
      await assert.rejects(byJose(damaged(assertion), algorithm, client, jwks),
        { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });

      for (const key of [{ jwks: JSON.stringify(jwks) }, { certificate }]) {
        const { status, stdout, stderr } = await pyjwt(assertion, algorithm, client, key);
        assert.equal(status, 0, stderr);
        assert.deepEqual(JSON.parse(stdout), payload);
        assert.equal((await pyjwt(damaged(assertion), algorithm, client, key)).status, 1);
      }

      const { status, stdout, stderr } = await openssl(assertion, algorithm, certificateFile, deployment.folder);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /^(Verified OK|Signature Verified Successfully)\n$/);
      assert.notEqual((await openssl(damaged(assertion), algorithm, certificateFile, deployment.folder)).status, 0);

      if (algorithm !== 'EdDSA') {  // which jsonwebtoken does not know
        assert.deepEqual(byJsonwebtoken(assertion, algorithm, client, certificate), payload);
      }

      // The certificate and the request are signed by the key itself.
      assert.equal(await output('openssl', ['verify', '-check_ss_sig', '-CAfile', certificateFile, certificateFile]),
        `${certificateFile}: OK\n`);
      const request = file(`${client}.csr`);
      await deployment.ctl('key', 'csr', '--client-id', client, '--out', request);
      const verified = await run('openssl', ['req', '-in', request, '-noout', '-verify']);
      assert.match(verified.stdout + verified.stderr, /self-signature verify OK/);  // newer ones say it on standard output
      assert.equal(await output('openssl', ['req', '-in', request, '-noout', '-pubkey']),
        await output('openssl', ['x509', '-in', certificateFile, '-noout', '-pubkey']));

      // assertionctl itself, without the server.
      const written = file(`${client}.jwt`);
      writeFileSync(written, assertion);
      assert.match(await deployment.ctl('assertion', 'inspect', written, '--certificate', certificateFile),
        /signature: ok/);
      const evidence = file(`${client}.evidence`);
      await deployment.ctl('key', 'evidence', '--client-id', client, '--out', evidence);
      const report = JSON.parse(Buffer.from(readFileSync(evidence, 'utf8').split('.')[1], 'base64url'));
      assert.deepEqual([report.algorithm, report.key_bits], [algorithm, bits]);
      assert.equal(report.mechanism, { EC: 'CKM_ECDSA', OKP: 'CKM_EDDSA' }[kty]
        ?? `CKM_SHA${algorithm.slice(2)}_RSA_PKCS${algorithm.startsWith('PS') ? '_PSS' : ''}`);
      await deployment.ctl('key', 'evidence', 'verify', evidence);
    });
  }

  it('doctor says what each is signed with', async () => {
    const { status, stdout } = await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose');
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^ok +client by-RS256: RS256: the token makes keys for it and signs with CKM_SHA256_RSA_PKCS$/m);
    assert.match(stdout, /^ok +client by-ES512: ES512: the token makes keys for it and signs with CKM_ECDSA$/m);
    assert.match(stdout, /^ok +client by-EdDSA: key \S+ \(EdDSA\) signed, and its signature verified$/m);
  });

  it('another than the configured one is asked for by name, or refused', async () => {
    const key = await deployment.generateKey('by-RS256', '--algorithm', 'ES384');
    assert.deepEqual([key.algorithm, key.key_bits, key.state], ['ES384', 384, 'staged']);
    const refused = async (status, message, ...options) => {
      const result = await deployment.tryCtl('key', 'generate', '--client-id', 'by-RS256', ...options);
      assert.equal(result.status, status, result.stderr);
      assert.match(result.stderr, message);
    };
    await refused(1, /algorithm: must be one of: RS256, RS384, /, '--algorithm', 'HS256');
    await refused(1, /key_bits: must be left out, because every key for ES256 has 256 bits\n {2}next: leave out --bits$/m, '--algorithm', 'ES256', '--bits', '2048');
  });
});

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

  it("Debian's python3-jwt accepts it by JWK Set and by certificate", async () => {
    const assertion = await deployment.createAssertion('orders', '--claim', 'tenant="acme"');
    for (const key of [{ jwks: JSON.stringify(jwks) }, { certificate }]) {
      const { status, stdout, stderr } = await pyjwt(assertion, 'RS256', 'orders', key);
      assert.equal(status, 0, stderr);
      const claims = JSON.parse(stdout);
      assert.deepEqual(Object.keys(claims).sort(), [...REGISTERED, 'tenant'].sort());
      assert.equal(claims.tenant, 'acme');

      const refused = await pyjwt(damaged(assertion), 'RS256', 'orders', key);
      assert.equal(refused.status, 1, refused.stdout);
      assert.match(refused.stderr, /^InvalidSignatureError/);
    }
  });

  it('strict Node.js verifiers accept it by certificate and by JWK Set', async () => {
    const assertion = await deployment.createAssertion('orders');
    const { payload, protectedHeader } = await byJose(assertion, 'RS256', 'orders', jwks);
    assert.deepEqual(byJsonwebtoken(assertion, 'RS256', 'orders', certificate), payload);
    assert.deepEqual(protectedHeader, { alg: 'RS256', kid: jwks.keys[0].kid, typ: 'JWT' });

    await assert.rejects(byJose(damaged(assertion), 'RS256', 'orders', jwks), { code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED' });
    assert.throws(() => byJsonwebtoken(damaged(assertion), 'RS256', 'orders', certificate), { message: 'invalid signature' });
  });

  it('it is one line of unpadded base64url with exactly the claims asked for, made now', async () => {
    const earliest = Math.floor(Date.now() / 1000);
    const printed = await deployment.ctl('assertion', 'create', '--client-id', 'orders');
    const latest = Math.floor(Date.now() / 1000);
    assert.match(printed, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { payload } = await byJose(printed.trimEnd(), 'RS256', 'orders', jwks);
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
      assert.match(stdout, option === '--jwks' ? /signature: not checked$/m : /signature: bad$/m);
    }
  });

  it('assertion inspect says that an assertion is expired, and exits 1', async () => {
    const part = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');
    const expired = path.join(deployment.folder, 'expired.jwt');
    writeFileSync(expired, `${part({ alg: 'RS256' })}.${part({ exp: 1300819380 })}.AAAA`);
    const { status, stdout, stderr } = await deployment.tryCtl('assertion', 'inspect', expired);
    assert.equal(status, 1, stderr);
    assert.match(stdout, /^expired$/m);
    assert.match(stderr, /the assertion is expired/);
  });

  it('a misspelt word of the command line is told with the nearest one', async () => {
    for (const [words, message] of [
      [['key', 'genrate'], /unknown command "genrate" for "assertionctl key"; did you mean "generate"\?/],
      [['key', 'list', '--jsn'], /unknown option "--jsn" for "assertionctl key list"; did you mean "--json"\?/]]) {
      const { status, stdout, stderr } = await deployment.tryCtl(...words);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, message);
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
