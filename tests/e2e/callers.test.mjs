// Who may call: what the configuration lists by name, as it is now.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { Deadline, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ME = `uid:${process.getuid()}`;
const OTHER = 60001;  // not nobody, who is refused: see floods.test.mjs
const NOGROUP = 65534;

describe('callers', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [AUDIENCE] },
      { client_id: 'foreign', audiences: [AUDIENCE], callers: ['uid:4294967294', 'spiffe://example.org/ns/pay/*'] },
    ]);
    await deployment.generateKey('orders');
    await deployment.generateKey('foreign');
  });

  after(() => deployment?.close());

  const configuration = () => JSON.parse(readFileSync(deployment.configuration, 'utf8'));

  // Writes the configuration, sends SIGHUP, and returns the line that the log then has of it.
  async function reload(text) {
    writeFileSync(deployment.configuration, text);
    const before = readFileSync(deployment.log, 'utf8').length;
    deployment.daemon.kill('SIGHUP');
    const line = () => /^.*SIGHUP: (?!another reload follows).*$/m.exec(readFileSync(deployment.log, 'utf8').slice(before))?.[0];
    await new Deadline(30, `assertiond to have read its configuration; its log is ${deployment.log}`).until(line);
    return line();
  }

  const create = (client) => deployment.tryCtl('assertion', 'create', '--client-id', client);

  it('who is not listed is told how it is known', async () => {
    const { status, stderr } = await create('foreign');
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`you are known here as "${ME}", who may not ask for assertions of this client`));
    // Having a role, it may read what the client publishes.
    await deployment.ctl('certificate', 'get', '--client-id', 'foreign');
  });

  it('the audit log says what a reload changed, and of which file', async () => {
    const original = readFileSync(deployment.configuration, 'utf8');
    const lines = () => readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
      .map((line) => JSON.parse(line)).filter(({ event }) => event === 'Start' || event === 'Reload');
    const reloaded = async (text) => {
      const before = lines().length;
      await reload(text);
      await new Deadline(30, 'the line of the reload').until(() => lines().length > before);
      return lines().at(-1);
    };
    const sha256 = (text) => createHash('sha256').update(text).digest('hex');
    assert.equal(lines()[0].config_sha256, sha256(original));
    assert.match(lines()[0].difference, /\+operator "uid:\d+" .*\+client "orders"/);
    const changed = configuration();
    changed.operators.push({ caller: 'uid:4242', roles: ['approver'] });
    changed.two_person_rule = { methods: ['DestroyKey'] };
    changed.clients.find(({ client_id }) => client_id === 'orders').callers.push('uid:4243');
    const text = JSON.stringify(changed);
    const { outcome, config_sha256, difference } = await reloaded(text);
    assert.deepEqual({ outcome, config_sha256, difference }, { outcome: 'OK', config_sha256: sha256(text),
      difference: '+two_person_rule DestroyKey within 3600 s; +operator "uid:4242" approver; ~client "orders" callers' });
    const refused = await reloaded('{');
    assert.deepEqual([refused.outcome, refused.config_sha256, 'difference' in refused], ['FAILED', sha256(text), false]);
    assert.match((await reloaded(original)).difference, /^-two_person_rule DestroyKey within 3600 s; -operator "uid:4242" approver; ~client/);
  });

  it('a reload takes effect without a call that fails', async () => {
    const original = configuration();
    const caller = new Caller(AssertionService, deployment.socket);
    let over = false;
    let calls = 0;
    const load = (async () => {
      for (; !over; ++calls) await caller.call('CreateAssertion', { client_id: 'orders' });
    })();
    try {
      const changed = structuredClone(original);
      changed.clients[1].callers = [ME];
      changed.clients.push({ client_id: 'late', audiences: [AUDIENCE], callers: [ME] });
      assert.match(await reload(JSON.stringify(changed)), /"level":"info",.*as the configuration says now/);
      assert.equal((await create('foreign')).status, 0);
      await deployment.generateKey('late');
      assert.equal((await create('late')).status, 0);

      changed.clients = changed.clients.filter(({ client_id: client }) => client !== 'late');
      changed.operators = [];
      await reload(JSON.stringify(changed));
      assert.match((await deployment.tryCtl('key', 'list')).stderr, /look at keys: the role viewer is needed/);
      assert.match((await create('late')).stderr, /known here as/);
      assert.equal((await create('foreign')).status, 0);
    } finally {
      over = true;
      await load;
      caller.close();
      await reload(JSON.stringify(original));
    }
    assert.ok(calls > 0);
    assert.equal((await create('foreign')).status, 1);
  });

  it('a change by a caller without a role names the role that changes need, not that of a look beforehand', async () => {
    const original = configuration();
    const { kid, version } = await deployment.key('orders');
    const key = ['--client-id', 'orders', `--kid=${kid}`];
    const changes = [['rotate', '--client-id', 'orders'], ['generate', '--client-id', 'orders'], ['revoke', ...key],
      ['destroy', ...key], ['schedule', ...key, '--sign-from', 'now'], ['revoke', '--client-id', 'orders', `--kid=${kid.slice(0, 8)}`]];
    try {
      for (const operators of [[], [{ caller: ME, roles: ['viewer'] }]]) {
        await reload(JSON.stringify({ ...original, operators }));
        for (const words of changes) {
          const { status, stderr } = await deployment.tryCtl('key', ...words);
          assert.equal(status, 1, stderr);
          assert.match(stderr, /who may not change keys: the role operator is needed/, words.join(' '));
          assert.doesNotMatch(stderr, /viewer/);
        }
      }
    } finally {
      await reload(JSON.stringify(original));
    }
    assert.deepEqual(await deployment.key('orders').then((now) => [now.kid, now.version]), [kid, version]);
  });

  it('a bad file leaves the old configuration in force, and the log says why', async () => {
    const original = readFileSync(deployment.configuration, 'utf8');
    const changed = configuration();
    changed.clients[1].callers = [ME];
    for (const [text, why] of [
      ['{', /assertiond\.json:1: /],
      [JSON.stringify({ ...changed, operators: [{ caller: ME, roles: ['root'] }] }), /operators\[0\]\.roles: must be some/],
      [JSON.stringify({ ...changed, sessions: 7 }), /sessions: takes a restart to change/],
    ]) {
      const line = await reload(text);
      assert.match(line, /"level":"error",.*previous configuration stays in force/);
      assert.match(line, why);
      assert.equal((await create('foreign')).status, 1);
      assert.equal((await create('orders')).status, 0);
    }
    await reload(original);
  });

  it('another user is another caller, if its group may open the socket', async () => {
    if (process.getuid() !== 0) return;  // only root can become another user
    const other = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE], callers: [`uid:${OTHER}`] }],
      { listen_group: 'nogroup' });
    chmodSync(other.folder, 0o711);
    chmodSync(path.dirname(other.folder), 0o711);
    await other.generateKey('orders');
    const as = (uid, gid) => run('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups',
      path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'assertion', 'create', '--client-id', 'orders'],
    { env: other.environment });
    assert.equal((await as(OTHER, NOGROUP)).status, 0);
    assert.match((await as(OTHER + 1, NOGROUP)).stderr, /known here as "uid:60002"/);
    assert.match((await as(0, 0)).stderr, /known here as "uid:0"/);
    assert.equal((await as(OTHER, OTHER)).status, 4);  // cannot connect
    await other.close();
  });

  // A member of the group that may connect could put a socket of its own in the server's place.
  it('who may write the socket\'s folder could take its place: the start is refused', async () => {
    const folder = path.join(deployment.folder, 'shared');
    mkdirSync(folder);
    chmodSync(folder, 0o770);
    if (process.getuid() === 0) chownSync(folder, 0, NOGROUP);
    const file = path.join(deployment.folder, 'shared.json');
    writeFileSync(file, JSON.stringify({ ...configuration(), listen: `unix:${folder}/s`, audit: { enabled: false } }));
    const { status, stderr } = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--config', file],
      { env: deployment.environment });
    assert.equal(status, 20, stderr);
    assert.match(stderr, new RegExp(`${folder} is writable by its group.*chmod 0755`));
  });
});
