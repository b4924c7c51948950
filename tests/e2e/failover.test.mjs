// Two HSMs: the first goes away and comes back, and nobody hears of it. The first is SoftHSM2 behind tests/faulty_hsm,
// the second another copy of SoftHSM2, so that each has sessions and a login of its own.
import assert from 'node:assert/strict';
import { copyFileSync, cpSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, temporaryFolder } from './process.mjs';

const FIRST = 'end-to-end';
const SECOND = 'the-second';   // as long: the clone's label is written over the original's
const AUDIENCE = 'https://localhost/token';

// By its label, padded with blanks in SoftHSM2's description of it.
function tokenFolder(tokens, label) {
  return readdirSync(tokens).map((name) => path.join(tokens, name))
    .find((folder) => readFileSync(path.join(folder, 'token.object'), 'latin1').includes(`${label} `));
}

// What the means of an HSM's vendor do: the second holds what the first does, under the same PIN.
function cloneToken(tokens) {
  const clone = path.join(tokens, 'clone');
  cpSync(tokenFolder(tokens, FIRST), clone, { recursive: true });
  const file = path.join(clone, 'token.object');
  const description = readFileSync(file);
  const at = description.indexOf(`${FIRST} `);
  description.write(SECOND, at, 'latin1');
  // The serial number, 16 digits, follows the label's 32 octets; the slot is numbered by the last of them.
  const serial = at + 32 + description.subarray(at + 32).toString('latin1').search(/[0-9a-f]{16}/);
  description.write('00c0c0c0', serial + 8, 'latin1');
  writeFileSync(file, description);
}

describe('failover', () => {
  let deployment;
  let hsm;
  let caller;
  let tokens;

  const log = () => readFileSync(deployment.log, 'utf8');
  const said = (text, from = 0) => new Deadline(30, `the log to say: ${text}`)
    .until(() => log().slice(from).includes(text));
  // Waits for what the log says of the first HSM from now on: on a busy machine it may be lost for a moment by itself.
  const tell = async (fault, then) => {
    const from = log().length;
    hsm.tell(...fault);
    await said(`the token '${FIRST}' ${then}`, from);
  };
  const ready = async () => (await fetch(`${deployment.httpOrigin}/readyz`)).status;
  const create = async (client) => {
    const { assertion, kid } = await caller.call('CreateAssertion', { client_id: client });
    const published = await (await fetch(`${deployment.httpOrigin}/clients/${client}/jwks.json`)).json();
    await jwtVerify(assertion, createLocalJWKSet(published), { audience: AUDIENCE });
    assert.equal(decodeProtectedHeader(assertion).kid, kid);
    return kid;
  };

  before(async () => {
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [AUDIENCE], binding: 'jwks' },
      { client_id: 'billing', audiences: [AUDIENCE] },
      { client_id: 'late', audiences: [AUDIENCE] },
      { client_id: 'spare', audiences: [AUDIENCE], binding: 'jwks' },
    ], { http_listen: '127.0.0.1:0', refresh_interval: '1s' });
    await deployment.generateKey('billing');
    await deployment.stopDaemon();
    tokens = path.join(deployment.folder, 'tokens');
    cloneToken(tokens);

    hsm = new FaultyHsm(deployment);
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const copy = path.join(temporaryFolder(), 'second.so');
    copyFileSync(deployment.environment.FAULTY_HSM_MODULE, copy);
    configuration.hsm = [configuration.hsm,
      `pkcs11:token=${SECOND}?module-path=${copy}&pin-source=file:${deployment.pinFile}`];
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    await deployment.startDaemon();
    caller = new Caller(AssertionService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    await deployment?.close();
  });

  it('with a JWK Set each HSM has a key of its own, both are published, and the first signs', async () => {
    const first = await deployment.generateKey('orders');
    const second = await deployment.generateKey('orders', '--hsm', SECOND);
    assert.deepEqual([first.hsm, second.hsm], [FIRST, SECOND]);
    assert.notEqual(first.kid, second.kid);
    const { keys } = await deployment.jwks('orders');
    assert.deepEqual(keys.map((key) => key.kid).sort(), [first.kid, second.kid].sort());
    assert.equal(await create('orders'), first.kid);
  });

  it('while the first is away the second signs, no call fails, and the service stays ready', async () => {
    const kids = { orders: new Set(), billing: new Set() };
    const load = { stopped: false };
    const callers = Object.keys(kids).flatMap((client) => [1, 2].map(async () => {
      while (!load.stopped) kids[client].add(await create(client));
    }));
    try {
      await tell(['* removed'], 'does not sign');
      assert.equal(await ready(), 200);
      const [orders, billing] = [await create('orders'), await create('billing')];
      await tell([], 'signs again');
      assert.notEqual(await create('orders'), orders, 'the first signs again, with its own key');
      assert.equal(await create('billing'), billing, 'a certificate binding has one key, of which the second holds a copy');
    } finally {
      load.stopped = true;
    }
    await Promise.all(callers);
    assert.equal(kids.orders.size, 2);
    assert.equal(kids.billing.size, 1);
  });

  it('a call that hangs in the first is answered by the second', async () => {
    await tell(['C_Sign hang'], 'does not sign');
    await create('billing');
    await tell([], 'signs again');
  });

  it('what has no copy does not go over, and the log says so', async () => {
    await deployment.generateKey('late');
    await said(`client late: there is no copy of key`);
    await create('late');
    const { status, stderr } = await deployment.tryCtl('key', 'generate', '--client-id', 'late', '--hsm', SECOND);
    assert.ok(status !== 0 && /make it on the first HSM, and copy it/.test(stderr), stderr);
  });

  it('keys are listed with their HSM, and changed on it', async () => {
    const table = await deployment.ctl('key', 'list');
    assert.match(table, /CERTIFICATE UNTIL +HSM\n/);
    const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json', '--hsm', SECOND));
    assert.deepEqual([...new Set(keys.map((key) => key.hsm))], [SECOND]);
    const { kid } = keys.find((key) => key.client_id === 'orders');
    const rotated = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--hsm', SECOND, '--json'));
    assert.equal(rotated.predecessor.kid, kid);
    assert.equal(rotated.key.hsm, SECOND);
    await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${rotated.key.kid}`);
    const none = await deployment.tryCtl('key', 'list', '--hsm', 'nowhere');
    assert.ok(none.status !== 0 && none.stderr.includes(`available: ${FIRST}, ${SECOND}`), none.stderr);
  });

  it('doctor looks at both, and names what has no copy', async () => {
    const { status, stdout } = await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose');
    assert.notEqual(status, 0);
    assert.match(stdout, new RegExp(`token: '${FIRST}'[^]*token: '${SECOND}'`));
    assert.match(stdout, /^ok +client billing: the copy of key \S+ signed, and its signature verified$/m);
    assert.match(stdout, new RegExp(`^wrong +client late: HSM '${SECOND}' has no copy of key`, 'm'));
    assert.match(stdout, new RegExp(`^wrong +client spare: HSM '${SECOND}' has no key .*: assertionctl key generate --client-id spare --hsm ${SECOND}$`, 'm'));
  });

  it('while the first is away, readiness, metrics and status say who is not served', async () => {
    const page = async (name) => (await fetch(`${deployment.httpOrigin}/${name}`)).text();
    await tell(['* removed'], 'does not sign');
    assert.match(await page('readyz'), new RegExp(`^ready\nwarning: token: HSM '${FIRST}' does not sign: `));
    const metrics = await page('metrics');
    for (const [client, holder, signs] of [['late', FIRST, 0], ['late', SECOND, 0], ['billing', FIRST, 0], ['billing', SECOND, 1]]) {
      assert.match(metrics, new RegExp(`^assertiond_client_signing_keys\\{client_id="${client}",hsm="${holder}"\\} ${signs}$`, 'm'));
    }
    const { status, stdout } = await deployment.tryCtl('status', '--monitor', deployment.httpOrigin);
    assert.equal(status, 1, stdout);
    assert.match(stdout, new RegExp(`^ *wrong +HSM ${FIRST} .*next: assertionctl doctor --config FILE$`, 'm'));
    assert.match(stdout, new RegExp(`^ *wrong +late .*cannot sign while HSM ${FIRST} does not`, 'm'));
    assert.doesNotMatch(stdout, /wrong +billing/);
    await tell([], 'signs again');
    assert.equal(await page('readyz'), 'ready\n');
  });

  it('a start without the second serves, and has it when it comes', async () => {
    await deployment.stopDaemon();
    const folder = tokenFolder(tokens, SECOND);
    renameSync(folder, path.join(deployment.folder, 'away'));
    await deployment.startDaemon();
    await said('HSM 2 is not there, it will be looked for');
    await create('billing');
    renameSync(path.join(deployment.folder, 'away'), folder);
    await said('HSM 2 is there now');
    await tell(['* removed'], 'does not sign');
    await create('billing');
    await tell([], 'signs again');
  });

  it('not ready is who has no HSM left', async () => {
    const from = log().length;
    renameSync(tokenFolder(tokens, SECOND), path.join(deployment.folder, 'away'));
    await said(`the token '${SECOND}' does not sign`, from);
    assert.equal(await ready(), 200);
    await tell(['* removed'], 'does not sign');
    assert.equal(await ready(), 503);
    await assert.rejects(create('orders'), { details: 'the HSM is not available; try again' });
    await tell([], 'signs again');
    assert.equal(await ready(), 200);
  });
});
