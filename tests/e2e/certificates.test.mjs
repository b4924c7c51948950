// Certificates and certification requests where pkcs11-provider signs nothing, or wrongly: our own session signs them.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
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
});
