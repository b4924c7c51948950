// deploy/docs/operations.md: what a copy of the state that is too old, or lost, leads to, and what two servers of one token share.
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { Deadline, temporaryFolder } from './process.mjs';

// ES256: a token makes such keys at once.
const client = (client_id) => ({ client_id, audiences: ['https://is.example/token'], algorithm: 'ES256' });
const SETTINGS = { admin_listen: '127.0.0.1:0', refresh_interval: '1s', audit: { checkpoint_lines: 1 } };

class Copies {
  #folder = mkdtempSync(path.join(temporaryFolder(), 'copies-'));

  constructor(deployment) { this.deployment = deployment; }

  keep(name) { cpSync(path.join(this.deployment.folder, name), path.join(this.#folder, name), { recursive: true }); }

  restore(name) {
    rmSync(path.join(this.deployment.folder, name), { recursive: true });
    cpSync(path.join(this.#folder, name), path.join(this.deployment.folder, name), { recursive: true });
  }
}

const readiness = async ({ adminOrigin }) => (await (await fetch(`${adminOrigin}/readyz`)).text()).trim();
const signing = async (server, id) => JSON.parse(await server.ctl('key', 'list', '--client-id', id, '--json')).keys
  .filter(({ state }) => state === 'signing').map(({ kid }) => kid);

describe('a copy that is older than the state', () => {
  let deployment;
  let copies;
  let revoked;

  const inFolder = (name) => path.join(deployment.folder, name);
  const verify = (...options) => deployment.tryCtl('audit', 'verify', inFolder('audit.log'), '--key', inFolder('audit.jwk'), ...options);

  before(async () => {
    deployment = await Deployment.start([client('orders')], SETTINGS);
    copies = new Copies(deployment);
    revoked = (await deployment.generateKey('orders')).kid;
    writeFileSync(inFolder('audit.jwk'), await deployment.ctl('audit', 'key'));
    await deployment.stopDaemon();
    for (const name of ['tokens', 'audit.log']) copies.keep(name);
    await deployment.startDaemon();
    const { key } = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--json'));
    await deployment.ctl('key', 'schedule', '--client-id', 'orders', `--kid=${key.kid}`, '--sign-from', 'now');
    await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${revoked}`);
    writeFileSync(inFolder('head.json'), await deployment.ctl('audit', 'head', '--json'));
  });

  after(() => deployment?.close());

  it('of the audit log alone: nothing is refused, and only --head shows that lines are missing', async () => {
    await deployment.stopDaemon();
    copies.restore('audit.log');
    await deployment.startDaemon();
    assert.equal(await readiness(deployment), 'ready');
    await deployment.createAssertion('orders');
    await deployment.stopDaemon();   // its last checkpoint
    assert.equal((await verify()).status, 0);
    const { status, stdout } = await verify('--head', inFolder('head.json'));
    assert.equal(status, 1, stdout);
    assert.match(stdout, /^wrong +(removed|replaced): /m);
    await deployment.startDaemon();
  });

  it('of token and audit log together: nothing is refused, and a revoked key signs again', async () => {
    await deployment.stopDaemon();
    for (const name of ['tokens', 'audit.log']) copies.restore(name);
    await deployment.startDaemon();
    assert.equal(await readiness(deployment), 'ready');
    assert.deepEqual(await signing(deployment, 'orders'), [revoked]);
    await deployment.createAssertion('orders');
    assert.match((await verify('--head', inFolder('head.json'))).stdout, /^wrong +(removed|replaced): /m);
  });

  it('of the token, without the audit log: nothing is refused, and the new log begins at 1', async () => {
    await deployment.generateKey('orders');
    await deployment.stopDaemon();
    copies.restore('tokens');
    renameSync(inFolder('audit.log'), inFolder('moved.log'));
    await deployment.startDaemon();
    assert.equal(await readiness(deployment), 'ready');
    assert.deepEqual(deployment.auditLines().slice(0, 2).map(({ seq, event }) => [seq, event]), [[1, 'LogOpened'], [2, 'LedgerVersion']]);
    await deployment.createAssertion('orders');
  });
});

describe('a ledger in a file', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start(['orders', 'other'].map(client), (folder) => ({ ...SETTINGS, ledger: `file:${folder}/ledger.json` }));
  });

  after(() => deployment?.close());

  it('that is lost stops all its clients; accepted as version 0, key adopt brings the keys back under their kids', async () => {
    const keys = [await deployment.generateKey('orders'), await deployment.generateKey('other')];
    await deployment.stopDaemon();
    rmSync(path.join(deployment.folder, 'ledger.json'));
    await deployment.startDaemon();
    for (const { client_id: id, kid, cka_id } of keys) {
      assert.match((await readiness(deployment)), new RegExp(`client '${id}' is of version 0 now, but version 1 was seen before`));
      assert.equal((await deployment.tryCtl('assertion', 'create', '--client-id', id)).status, 1);
      await deployment.ctl('key', 'accept-ledger', '--client-id', id, '--version', '0', '--force', id);
      await deployment.ctl('key', 'adopt', '--client-id', id, '--cka-id', cka_id, `--kid=${kid}`);
      assert.deepEqual(await signing(deployment, id), [kid]);
      await deployment.createAssertion(id);
    }
    await new Deadline(30, 'readiness to warn of nothing').until(async () => await readiness(deployment) === 'ready');
    assert.equal((await deployment.key('orders')).origin, 'adopted');
  });
});

describe('two servers on one token', () => {
  let first;
  let second;

  before(async () => {
    first = await Deployment.start([client('orders')], { ...SETTINGS, two_person_rule: { methods: ['RevokeKey'], window: '1h' } });
    second = await first.startReplica();
  });

  after(async () => {
    await second?.stopDaemon();
    await first?.close();
  });

  it('do not write one audit log', async () => {
    await assert.rejects(first.startReplica({ audit: { path: path.join(first.folder, 'audit.log') } }, { name: 'third' }), /ended with 22/);
    assert.match(readFileSync(path.join(first.folder, 'third.log'), 'utf8'), /another process writes it/);
  });

  it('see each other\'s keys, and a change that is based on an older version changes nothing', async () => {
    const { kid } = await first.generateKey('orders');
    await new Deadline(30, 'the other server to see the key').until(async () => (await signing(second, 'orders')).includes(kid));
    await second.createAssertion('orders');
    const { status, stderr } = await second.tryCtl('key', 'generate', '--client-id', 'orders', '--expected-version', '0');
    assert.equal(status, 1);
    assert.match(stderr, /are at version 1 now, not 0/);
  });

  it('share what waits for a second person', async () => {
    const [kid] = await signing(first, 'orders');
    const { pending } = JSON.parse(await first.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`, '--force', 'orders', '--json'));
    const waiting = async (server) => JSON.parse(await server.ctl('key', 'pending', '--json')).pending.map(({ id }) => id);
    await new Deadline(30, 'the other server to see the change').until(async () => (await waiting(second)).includes(pending.id));
    await second.ctl('key', 'withdraw', pending.id);
    assert.deepEqual(await waiting(first), []);
  });

  it('have one key that verifies both logs', async () => {
    const key = path.join(first.folder, 'audit.jwk');
    writeFileSync(key, await first.ctl('audit', 'key'));
    await second.stopDaemon();   // its last checkpoint
    second = undefined;
    for (const log of ['audit.log', 'replica.audit']) await first.ctl('audit', 'verify', path.join(first.folder, log), '--key', key);
  });
});
