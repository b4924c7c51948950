// Certificates and certification requests where pkcs11-provider signs nothing, or wrongly: our own session signs them.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { P11KitServer } from './p11_kit_server.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { output } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ALGORITHMS = ['RS256', 'PS384', 'ES256'];
const HASHING = ['SHA256_RSA_PKCS', 'SHA384_RSA_PKCS', 'SHA512_RSA_PKCS', 'SHA256_RSA_PKCS_PSS', 'SHA384_RSA_PKCS_PSS',
  'SHA512_RSA_PKCS_PSS'].map((name) => `CKM_${name}`);

// SoftHSM2 2.6.1 does not take the first name after the minus sign away.
const WITHOUT_HASHING = `slots.mechanisms = -,${HASHING.join(',')}\n`;

const start = (prepare) => Deployment.start(ALGORITHMS.map((algorithm) => (
  { client_id: algorithm, algorithm, audiences: [AUDIENCE] })), {}, prepare);

// Makes a key, its certificate, an assertion and a certification request, and verifies them without assertiond.
async function certify(deployment, client) {
  const { kid } = await deployment.generateKey(client);
  const certificate = new X509Certificate(await deployment.ctl('certificate', 'get', '--client-id', client));
  assert.ok(certificate.verify(certificate.publicKey), 'the certificate is signed by its key');
  await jwtVerify(await deployment.createAssertion(client), createLocalJWKSet(await deployment.jwks(client)),
    { audience: AUDIENCE });
  const csr = path.join(deployment.folder, `${client}.csr`);
  writeFileSync(csr, await deployment.ctl('key', 'csr', '--client-id', client, '--kid', kid, '--san', 'DNS:localhost'));
  await output('openssl', ['req', '-in', csr, '-noout', '-verify']);
  const asked = await output('openssl', ['req', '-in', csr, '-noout', '-pubkey']);
  assert.equal(asked, certificate.publicKey.export({ type: 'spki', format: 'pem' }));
}

const doctor = async (deployment) => JSON.parse(
  (await deployment.tryCtl('doctor', '--config', deployment.configuration, '--json')).stdout).findings;

const provider = (findings, client) => findings.find(({ name, text }) => (
  name === `client ${client}` && text.startsWith('pkcs11-provider')));

describe('certificates and certification requests', () => {
  it('are signed on a token that leaves hashing to others, where pkcs11-provider signs wrongly', async () => {
    const deployment = await start((made) => appendFileSync(made.environment.SOFTHSM2_CONF, WITHOUT_HASHING));
    try {
      assert.match(provider(await doctor(deployment), 'RS256').text, /not tried: the client has no key/);
      for (const client of ALGORITHMS) await certify(deployment, client);
      const findings = await doctor(deployment);
      assert.match(provider(findings, 'RS256').text, /does not sign with key .* signed through our own session/);
      assert.match(provider(findings, 'ES256').text, /signs rightly with key/);
      assert.ok(findings.find(({ name, text }) => name === 'client RS256' && text.endsWith('signs with CKM_RSA_PKCS')));
      assert.deepEqual(findings.filter(({ ok }) => !ok), []);
    } finally {
      await deployment.close();
    }
  });

  it('are signed where the module connects each of its users anew, without a prompt and with one login', async () => {
    let hsm;
    const deployment = await start(async (made) => {
      hsm = new FaultyHsm(made);   // counts what reaches the token
      await P11KitServer.before(made);
    });
    try {
      const logins = hsm.counts().get('C_Login').calls;
      for (const client of ALGORITHMS) await certify(deployment, client);
      assert.equal(hsm.counts().get('C_Login').calls, logins);
      assert.doesNotMatch(readFileSync(deployment.log, 'utf8'), /PIN for/);
      const findings = await doctor(deployment);
      assert.match(provider(findings, 'RS256').text, /does not sign with key .* signed through our own session/);
      assert.deepEqual(findings.filter(({ ok }) => !ok), []);
    } finally {
      await deployment.close();
    }
  });

  it('leave no connection behind where that module goes by another name', async () => {
    const deployment = await start(async (made) => {
      await P11KitServer.before(made);
      const link = path.join(made.folder, 'vendor.so');
      symlinkSync(realpathSync(made.wrapModule(link)), link);
    });
    try {
      const { kid } = await deployment.generateKey('ES256');
      const csr = () => deployment.ctl('key', 'csr', '--client-id', 'ES256', '--kid', kid);
      const descriptors = () => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;
      await csr();
      const before = descriptors();
      for (let i = 0; i < 8; i++) await csr();
      assert.ok(descriptors() < before + 8, `${descriptors()} descriptors are open, before ${before}`);
    } finally {
      await deployment.close();
    }
  });

  it('leave the brake a session on a token that has few', async () => {
    let hsm;
    const client = 'orders';
    const deployment = await Deployment.start([{ client_id: client, audiences: [AUDIENCE] }],
      { sessions: 1, refresh_interval: '1h' }, (made) => {
        hsm = new FaultyHsm(made);
        hsm.tell('sessions 16');
      });
    try {
      const first = await deployment.generateKey(client);
      for (let i = 0; i < 20; i++) await deployment.ctl('key', 'csr', '--client-id', client, '--kid', first.kid);
      assert.equal(hsm.sessions(), 4, 'open: the login, the one that signs, two of pkcs11-provider');
      const { key: next } = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', client, '--sign-from', 'now',
        '--force', client, '--json'));
      assert.equal(hsm.sessions(), 4);

      hsm.tell('sessions 5');
      await deployment.ctl('key', 'csr', '--client-id', client, '--kid', next.kid);
      await deployment.ctl('key', 'revoke', '--client-id', client, '--kid', first.kid);
      await deployment.ctl('key', 'revoke', '--client-id', client, '--kid', next.kid, '--force', client);

      hsm.tell('sessions 4');
      const { status, stderr } = await deployment.tryCtl('key', 'csr', '--client-id', client, '--kid', next.kid);
      assert.notEqual(status, 0);
      assert.match(stderr, /the HSM has no free session; try again/);
    } finally {
      hsm.tell();
      await deployment.close();
    }
  });

  it('doctor ends on a token without sessions for pkcs11-provider', async () => {
    let hsm;
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], {},
      (made) => { hsm = new FaultyHsm(made); });
    try {
      await deployment.generateKey('orders');
      hsm.tell('sessions 2');
      const findings = await doctor(deployment);
      assert.match(provider(findings, 'orders').text, /is not used: the HSM does not give it three sessions/);
    } finally {
      hsm.tell();
      await deployment.close();
    }
  });
});
