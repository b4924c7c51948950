// The main job on other PKCS#11 modules than SoftHSM2: tests/tokens makes each token.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { Deployment } from './deployment.mjs';
import { output, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const SCRIPTS = path.join(process.env.E2E_PROTO_DIR, '..', 'tests', 'tokens');

// What each token needs beside its URI. NSS holds no data objects, and does not vouch for CKA_LOCAL.
const NSS = { hsm: { accept_unshown: ['CKA_LOCAL'] }, ledger: (folder) => `file:${folder}/ledger` };
const TOKENS = { opencryptoki: {}, nss: NSS, nss_p11kit: NSS, p11kit_remote: {} };

class TokenUnderTest {
  constructor(name) {
    this.name = name;
  }

  // Puts the token in the place of SoftHSM2's, before the daemon starts.
  async prepare(deployment, { hsm = {}, ledger } = {}) {
    this.folder = `${deployment.folder}-token`;  // apart: a token's own files hold its keys, and the deployment's may not
    await output(path.join(SCRIPTS, `${this.name}.sh`), ['start', this.folder]);
    const text = (name) => readFileSync(path.join(this.folder, name), 'utf8').trimEnd();
    deployment.pinFile = path.join(this.folder, 'pin');
    deployment.launcher = [path.join(this.folder, 'run')];
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const initArgs = text('init_args');
    configuration.hsm = { uri: text('uri'), ...(initArgs ? { init_args: initArgs } : {}), ...hsm };
    if (ledger) configuration.ledger = ledger(deployment.folder);
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
  }

  async stop() {
    if (this.folder) await output(path.join(SCRIPTS, `${this.name}.sh`), ['stop', this.folder]);
  }
}

const CLIENTS = [{ client_id: 'orders', audiences: [AUDIENCE] }];

// The kid that signed, once the assertion is verified with the published JWK Set.
async function signer(deployment) {
  const { protectedHeader } = await jwtVerify(await deployment.createAssertion('orders'),
    createLocalJWKSet(await deployment.jwks('orders')), { audience: AUDIENCE });
  return protectedHeader.kid;
}

async function doTheMainJob(deployment) {
  const { kid: first } = await deployment.generateKey('orders');
  assert.equal(await signer(deployment), first);
  const csr = path.join(deployment.folder, 'orders.csr');
  writeFileSync(csr, await deployment.ctl('key', 'csr', '--client-id', 'orders', '--kid', first, '--subject', 'CN=orders'));
  await output('openssl', ['req', '-in', csr, '-noout', '-verify']);
  const evidence = await deployment.ctl('key', 'evidence', '--client-id', 'orders', '--kid', first);
  assert.equal(evidence.trim().split('.').length, 3);

  await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--sign-from', 'now');
  const second = await signer(deployment);
  assert.notEqual(second, first);

  await deployment.stopDaemon();
  await deployment.startDaemon();
  assert.equal(await signer(deployment), second, 'after a restart');

  await deployment.ctl('key', 'revoke', '--client-id', 'orders', '--kid', first, '--force', 'orders');
  await deployment.ctl('key', 'destroy', '--client-id', 'orders', '--kid', first, '--force', 'orders');
  const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json'));
  assert.deepEqual(keys.map(({ kid }) => kid), [second]);
  assert.equal(await signer(deployment), second);
}

async function diagnose(deployment) {
  const { stdout } = await run(deployment.launcher[0], [path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'doctor',
    '--config', deployment.configuration, '--json'], { env: deployment.environment });
  return JSON.parse(stdout).findings;
}

describe('the main job on another token', () => {
  for (const [name, needs] of Object.entries(TOKENS)) {
    it(name, async () => {
      const token = new TokenUnderTest(name);
      try {
        const deployment = await Deployment.start(CLIENTS, {}, (made) => token.prepare(made, needs));
        await doTheMainJob(deployment);
        assert.deepEqual((await diagnose(deployment)).filter(({ ok }) => !ok), []);
        await deployment.close();
      } finally {
        await token.stop();
      }
    });
  }

  it('is refused where the token does not show what custody asks for, unless the operator accepts it by name', async () => {
    const token = new TokenUnderTest('nss');
    try {
      let refused;
      await assert.rejects(Deployment.start(CLIENTS, {}, async (made) => {
        refused = made;
        await token.prepare(made, { ledger: NSS.ledger });
      }));
      assert.match(readFileSync(refused.log, 'utf8'), /CKA_LOCAL \(it was generated inside the token.*accept_unshown/);
    } finally {
      await token.stop();
    }
  });
});
