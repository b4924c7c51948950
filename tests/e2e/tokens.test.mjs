// The main job on other PKCS#11 modules than SoftHSM2: tests/tokens makes each token.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { Deployment } from './deployment.mjs';
import { Deadline, output, run } from './process.mjs';
import { NSS, TokenUnderTest } from './token_under_test.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const TOKENS = { opencryptoki: {}, nss: NSS, nss_p11kit: NSS, p11kit_remote: {} };

const CLIENTS = [{ client_id: 'orders', audiences: [AUDIENCE] }];

// The kid that signed, once the assertion is verified with the published JWK Set.
async function signer(deployment) {
  const { protectedHeader } = await jwtVerify(await deployment.createAssertion('orders'),
    createLocalJWKSet(await deployment.jwks('orders')), { audience: AUDIENCE });
  return protectedHeader.kid;
}

// openCryptoki and NSS refuse CKA_COPYABLE in a template; evidence says so of a key that another process made.
async function notAskedIsSaid(deployment, kid, name) {
  const evidence = await deployment.ctl('key', 'evidence', '--client-id', 'orders', '--kid', kid);
  const report = JSON.parse(Buffer.from(evidence.split('.')[1], 'base64url'));
  assert.deepEqual(report.attributes_not_asked, /^(nss|opencryptoki)/.test(name) ? ['CKA_COPYABLE'] : []);
}

async function doTheMainJob(deployment, name) {
  const { kid: first } = await deployment.generateKey('orders');
  assert.equal(await signer(deployment), first);
  const csr = path.join(deployment.folder, 'orders.csr');
  writeFileSync(csr, await deployment.ctl('key', 'csr', '--client-id', 'orders', '--kid', first, '--subject', 'CN=orders'));
  await output('openssl', ['req', '-in', csr, '-noout', '-verify']);
  const evidence = await deployment.ctl('key', 'evidence', '--client-id', 'orders', '--kid', first);
  assert.equal(evidence.trim().split('.').length, 3);

  await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--sign-from', 'now', '--force', 'orders');
  const second = await signer(deployment);
  assert.notEqual(second, first);

  await deployment.stopDaemon();
  await deployment.startDaemon();
  assert.equal(await signer(deployment), second, 'after a restart');
  await notAskedIsSaid(deployment, second, name);

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

// After a key was made by this server.
async function custodyIsSaid(deployment, isUnproven) {
  await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--sign-from', 'now', '--force', 'orders');
  const { kid, custody } = JSON.parse(await deployment.ctl('key', 'show', '--client-id', 'orders', '--json'));
  assert.match(custody, isUnproven ? /^unproven: .*C_WrapKey.*the operator accepts it \(accept_unshown\)$/ : /^held/);
  const evidence = path.join(deployment.folder, 'orders.evidence');
  await deployment.ctl('key', 'evidence', '--client-id', 'orders', '--kid', kid, '--out', evidence);
  const { stdout } = await deployment.tryCtl('key', 'evidence', 'verify', evidence);
  assert.match(stdout, isUnproven ? /^wrong {2}custody: unproven/m : /^says {3}custody: the token refused every way/m);
  const logged = isUnproven ? /unproven custody of RSA keys/ : /custody of RSA keys was tried and held/;
  await new Deadline(30, `the log to say it: ${deployment.log}`).until(() => logged.test(readFileSync(deployment.log, 'utf8')));
}

describe('the main job on another token', () => {
  for (const [name, needs] of Object.entries(TOKENS)) {
    it(name, async () => {
      const token = new TokenUnderTest(name);
      try {
        const deployment = await Deployment.start(CLIENTS, { refresh_interval: '1s' }, (made) => token.prepare(made, needs));
        await doTheMainJob(deployment, name);
        assert.deepEqual((await diagnose(deployment)).filter(({ ok }) => !ok), []);
        await custodyIsSaid(deployment, needs === NSS);
        await deployment.close();
      } finally {
        await token.stop();
      }
    });
  }

  it('lets changes wait for a second person where the token stores no data objects, also through a restart', async () => {
    const token = new TokenUnderTest('nss');
    const ME = `uid:${process.getuid()}`;
    const SECOND = 60_001;  // a person of the test
    try {
      const deployment = await Deployment.start(CLIENTS, {
        listen_group: 'nogroup', two_person_rule: { methods: ['RevokeKey'], window: '1h' },
        operators: [{ caller: ME, roles: ['operator'] }, { caller: `uid:${SECOND}`, roles: ['approver'] }],
      }, (made) => token.prepare(made, NSS));
      for (const folder of [deployment.folder, path.dirname(deployment.folder)]) chmodSync(folder, 0o711);
      const { kid } = await deployment.generateKey('orders');
      await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`, '--force', 'orders');
      await deployment.stopDaemon();
      await deployment.startDaemon();
      const { pending: [{ id, digest }] } = JSON.parse(await deployment.ctl('key', 'pending', '--json'));
      await output('setpriv', [`--reuid=${SECOND}`, '--regid=nogroup', '--clear-groups',
        path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'key', 'approve', id, `--digest=${digest}`],
      { env: deployment.environment });
      const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json'));
      assert.equal(keys[0].state, 'withdrawn');
      assert.deepEqual(JSON.parse(await deployment.ctl('key', 'pending', '--json')).pending, []);
      await deployment.close();
    } finally {
      await token.stop();
    }
  });

  // The log of a start on NSS that accepts only this.
  async function refusal(accepted) {
    const token = new TokenUnderTest('nss');
    try {
      let refused;
      await assert.rejects(Deployment.start(CLIENTS, {}, async (made) => {
        refused = made;
        await token.prepare(made, { hsm: { accept_unshown: accepted }, ledger: NSS.ledger });
      }));
      return readFileSync(refused.log, 'utf8');
    } finally {
      await token.stop();
    }
  }

  it('is refused where the token does not show what custody asks for, unless the operator accepts it by name', async () => {
    assert.match(await refusal(['custody']), /CKA_LOCAL \(it was generated inside the token.*accept_unshown/);
  });

  it('is refused where the token lets a key out, unless the operator accepts its custody', async () => {
    assert.match(await refusal(['CKA_LOCAL']),
      /unproven custody: the token let a throw-away key out by C_WrapKey CKM_.*name custody in accept_unshown/);
  });
});
