// What an operator sees at a glance, and as it happens: status, key list, key watch, --version, and their forms.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, run, startProcess, temporaryFolder } from './process.mjs';

const CTL = path.join(process.env.E2E_BIN_DIR, 'assertionctl');

describe('assertionctl at a glance', () => {
  let deployment;
  let key;

  // As tryCtl, on a terminal: script(1) makes one.
  const onTerminal = (command, environment = {}) => run('script', ['-qec', `${CTL} ${command}`, '/dev/null'],
    { env: { ...deployment.environment, TERM: 'xterm', NO_COLOR: '', ...environment } });

  before(async () => {
    deployment = await Deployment.start(
      ['orders', 'billing'].map((client_id) => ({ client_id, audiences: ['https://idp.example/token'] })),
      { admin_listen: '127.0.0.1:0' });
    key = await deployment.generateKey('orders');
  });

  after(() => deployment.close());

  it('shows readiness, HSM, clients and the audit log, and exits with 1 for a client that cannot sign', async () => {
    const { status, stdout, stderr } = await deployment.tryCtl('status', '--monitor', deployment.adminOrigin);
    assert.equal(status, 1, stderr);
    assert.match(stdout, /^server +unix:\S+, assertiond \d+\.\d+\.\d+$/m);
    assert.match(stdout, /^readiness +ready$/m);
    assert.match(stdout, /^HSM end-to-end +1 key, queue \d+ of \d+, sessions \d+ busy of \d+, 0 failures$/m);
    assert.match(stdout, /^clients +1 of 2 clients can sign$/m);
    assert.match(stdout, /^audit log +line [1-9]\d*, checkpoint at \d+, hash [\w-]{43}$/m);
    assert.match(stdout,
      /^ {2}wrong {2}billing {2}- +has no key; next: assertionctl key generate --client-id billing$/m);
  });

  it('exits with 0 when nothing is wrong, and says the same as JSON', async () => {
    await deployment.generateKey('billing');
    assert.match(await deployment.ctl('status'), /\nnothing needs attention\n$/);
    const json = JSON.parse(await deployment.ctl('--json', 'status', '--monitor', deployment.adminOrigin));
    assert.equal(json.ready, true);
    assert.deepEqual(json.clients, { configured: 2, can_sign: 2 });
    assert.deepEqual(json.attention, []);
    assert.equal(json.hsms[0].usable, true);
    assert.ok(json.audit.sequence > 0);
  });

  it('shows a caller without a role whether the server is ready, and says what it does not show', async () => {
    const stranger = await deployment.startReplica({ operators: [{ caller: 'uid:4242', roles: ['operator'] }] });
    try {
      const { status, stdout } = await stranger.tryCtl('status');
      assert.equal(status, 0, stdout);
      assert.match(stdout, /^readiness +ready$/m);
      assert.match(stdout, /^keys +not shown: /m);
      assert.doesNotMatch(stdout, /assertiond \d|[\w-]{43}/);
      // It is asked for a moment only, and a busy machine may be later.
      await new Deadline(30, 'its version').until(async () => /tells its version to operators/.test((await stranger.tryCtl('--version')).stdout));
    } finally {
      await stranger.stopDaemon();
    }
  });

  it('names a listener that is none', async () => {
    const { status, stderr } = await deployment.tryCtl('status', '--monitor', `${deployment.adminOrigin}/readyz`);
    assert.equal(status, 2);
    assert.match(stderr, /--monitor must be an origin/);
  });

  it('says in each form that the listener did not answer', async () => {
    const words = ['status', '--monitor', 'http://127.0.0.1:1'];
    const { status, stdout, stderr } = await deployment.tryCtl(...words, '--json');
    assert.equal(status, 1);
    const { ready, failed } = JSON.parse(stdout);
    assert.equal(ready, null);
    assert.deepEqual(failed.map(({ call, next }) => [call, next]), [['--monitor', 'correct --monitor, or leave it out']]);
    assert.match(stderr, /^ {2}next: correct --monitor, or leave it out$/m);
    const text = (await deployment.tryCtl(...words)).stdout;
    assert.match(text, /^readiness +ready as gRPC tells it; \/readyz was not read$/m);
    assert.match(text, /^ {2}wrong {2}--monitor +- +.*; next: correct --monitor, or leave it out$/m);
  });

  it('lists the keys of one client, and names the nearest one for a misspelt client', async () => {
    const { keys, versions } = JSON.parse(await deployment.ctl('key', 'list', '--client-id', 'orders', '--json'));
    assert.deepEqual(keys.map(({ client_id }) => client_id), ['orders']);
    assert.deepEqual(Object.keys(versions), ['orders']);
    const { status, stderr } = await deployment.tryCtl('key', 'list', '--client-id', 'ordrs');
    assert.equal(status, 1);
    assert.match(stderr, /no client "ordrs" is configured; did you mean "orders"\?/);
  });

  it('takes --output and --json before the verb as behind it', async () => {
    const json = await deployment.ctl('key', 'list', '--json');
    for (const words of [['--json', 'key', 'list'], ['key', '--json', 'list'], ['-o', 'json', 'key', 'list'],
      ['key', 'list', '--output=json']]) {
      assert.equal(await deployment.ctl(...words), json);
    }
    assert.equal(await deployment.ctl('key', 'list', '-o', 'table'), await deployment.ctl('key', 'list'));
    const yaml = await deployment.ctl('key', 'list', '-o', 'yaml');
    assert.match(yaml, /^keys:\n {2}- client_id: "billing"\n {4}kid: "[\w-]{43}"\n/);
    assert.match(yaml, /^versions:\n {2}billing: \d+\n {2}orders: \d+\nrolled_back_ledgers: \[\]\n$/m);
    assert.equal((await deployment.tryCtl('key', 'list', '--json', '-o', 'yaml')).status, 2);
    assert.match((await deployment.tryCtl('--json', 'key', 'lst')).stderr, /unknown command "lst"/);
    assert.equal((await deployment.tryCtl('--json', 'jwks', 'get', '--client-id', 'orders')).status, 2);
  });

  it('shortens kids and colours states on a terminal only, and not against NO_COLOR, TERM=dumb or --wide', async () => {
    const { stdout } = await onTerminal('key list');
    assert.match(stdout, new RegExp(`orders +${key.kid.slice(0, 8)}[\\w-]{0,3} +RS256 +\x1b\\[32msigning\x1b\\[0m `));
    assert.doesNotMatch(stdout, new RegExp(key.kid));
    assert.match((await onTerminal('key list --wide')).stdout, new RegExp(key.kid));
    assert.doesNotMatch((await onTerminal('key list', { NO_COLOR: '1' })).stdout, /\x1b/);
    assert.doesNotMatch((await onTerminal('key list', { TERM: 'dumb' })).stdout, /\x1b/);
    const piped = await deployment.ctl('key', 'list');
    assert.match(piped, new RegExp(key.kid));
    assert.doesNotMatch(piped, /\x1b/);
  });

  it('--version tells the server\'s version, and only its own when none answers', async () => {
    await new Deadline(30, 'an answer at once').until(async () => /^assertionctl (\S+)\nassertiond \1 at unix:\S+\n$/.test(await deployment.ctl('--version')));
    assert.match(await deployment.ctl('--version', '--server', 'unix:/nowhere'), /^assertionctl \S+\n$/);
  });

  it('key watch tells each change, an outage and what changed meanwhile, and ends by SIGINT with 0', async () => {
    const log = path.join(temporaryFolder(), 'watch.log');
    const watch = startProcess(CTL, ['key', 'watch', '--client-id', 'orders', '--json'],
      { env: deployment.environment, log });
    const changes = new Lines(watch, 'stdout');
    const messages = new Lines(watch, 'stderr');
    const deadline = new Deadline(60, 'a change of a key');
    const next = async () => {
      const { change, kid } = JSON.parse(await changes.next(deadline));
      return { change, kid };
    };
    assert.deepEqual(await next(), { change: 'signing', kid: key.kid });
    const { kid } = await deployment.generateKey('orders');
    assert.deepEqual(await next(), { change: 'staged', kid });
    await deployment.ctl('key', 'schedule', '--client-id', 'orders', `--kid=${kid}`, '--publish-from', 'now');
    assert.deepEqual(await next(), { change: 'published', kid });
    await deployment.stopDaemon();
    assert.match(await messages.next(deadline), /cut off/);
    await deployment.startDaemon();
    await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`);
    assert.deepEqual(await next(), { change: 'revoked', kid });
    watch.kill('SIGINT');
    assert.deepEqual(await deadline.limit(watch.ended), { status: 0, signal: null });
  });

  it('without its HSM it shows what still answers, and the call that fails as wrong', async () => {
    const tokens = path.join(deployment.folder, 'tokens');
    const token = path.join(tokens, readdirSync(tokens)[0]);
    const away = path.join(deployment.folder, 'away');
    const deadline = new Deadline(60, 'the server to miss its token');
    renameSync(token, away);
    try {
      await deadline.until(async () => (await deployment.tryCtl('key', 'pending')).status !== 0);
      const { status, stdout, stderr } = await deployment.tryCtl('status', '--monitor', deployment.adminOrigin);
      assert.equal(status, 1, stderr);
      assert.equal(stderr, '');
      assert.match(stdout, /^readiness +\S/m);
      assert.match(stdout, /^HSM end-to-end +\d keys?, .*, does not sign$/m);
      assert.match(stdout, /^clients +0 of 2 clients can sign$/m);
      assert.match(stdout, /^pending +not shown: the call failed$/m);
      assert.match(stdout, /^audit log +line [1-9]\d*, checkpoint at \d+, hash [\w-]{43}$/m);
      assert.match(stdout, /^ {2}wrong {2}ListPendingChanges +- +\S.*; next: assertionctl doctor /m);
      const json = JSON.parse((await deployment.tryCtl('status', '--json')).stdout);
      assert.equal(json.pending, null);
      assert.equal(json.clients.can_sign, 0);
      assert.equal(json.failed[0].call, 'ListPendingChanges');
      assert.ok(json.audit.sequence > 0);
    } finally {
      renameSync(away, token);
    }
    await deadline.until(async () => (await deployment.tryCtl('key', 'pending')).status === 0);
  });

  it('a ledger that was rolled back is wrong', async () => {
    const tokens = path.join(deployment.folder, 'tokens');
    const backup = path.join(temporaryFolder(), 'tokens');
    await deployment.stopDaemon();
    cpSync(tokens, backup, { recursive: true });
    await deployment.startDaemon();
    const { version } = await deployment.generateKey('billing');
    await deployment.stopDaemon();
    rmSync(tokens, { recursive: true });
    cpSync(backup, tokens, { recursive: true });
    await deployment.startDaemon();
    const { status, stdout } = await deployment.tryCtl('status', '--monitor', deployment.adminOrigin);
    assert.equal(status, 1, stdout);
    assert.match(stdout, new RegExp(`^ {2}wrong {2}billing +- +its ledger on HSM end-to-end was rolled back or lost: version ${version - 1}, and ${version} was seen before; next: `, 'm'));
    const { attention } = JSON.parse((await deployment.tryCtl('status', '--monitor', deployment.adminOrigin, '--json')).stdout);
    assert.deepEqual([attention[0].level, attention[0].client_id], ['wrong', 'billing']);
  });
});

describe('status, metrics, log, doctor and audit log agree', () => {
  let deployment;
  const client = (client_id) => ({ client_id, audiences: ['https://idp.example/token'] });

  before(async () => {
    deployment = await Deployment.start([client('orders'), client('billing'),
      { client_id: 'waiting', audiences: ['https://appleid.apple.com'], algorithm: 'ES256', profile: 'apple', issuer: 'A1B2C3D4E5', kids: {} }],
    { admin_listen: '127.0.0.1:0', refresh_interval: '1s' });
    for (const { client_id } of [client('orders'), client('waiting')]) await deployment.generateKey(client_id);
  });

  after(() => deployment.close());

  const logged = (pattern) => new Deadline(30, `${pattern} in the log`).until(() => pattern.test(readFileSync(deployment.log, 'utf8')));
  const canSign = async (id) => new RegExp(`^assertiond_client_signing_keys\\{client_id="${id}",hsm="[^"]+"\\} (\\d)$`, 'm')
    .exec(await (await fetch(`${deployment.adminOrigin}/metrics`)).text())[1];

  it('a client whose key waits for something cannot sign, also after a restart', async () => {
    for (const restart of [false, true]) {
      if (restart) {
        await deployment.stopDaemon();
        writeFileSync(deployment.log, '');
        await deployment.startDaemon();
      }
      assert.deepEqual([await canSign('orders'), await canSign('waiting'), await canSign('billing')], ['1', '0', '0']);
      await logged(/client waiting cannot sign: key \S+ waits for a kid in clients\[\]\.kids: see assertionctl status/);
      assert.doesNotMatch(readFileSync(deployment.log, 'utf8'), /client waiting signs with key/);
    }
    assert.match((await deployment.tryCtl('status')).stdout, /^clients +1 of 3 clients can sign$/m);
  });

  it('keys of a client that the configuration lacks are told, also after a restart', async () => {
    const before = readFileSync(deployment.configuration, 'utf8');
    const changed = JSON.parse(before);
    changed.clients = changed.clients.filter(({ client_id }) => client_id !== 'orders');
    writeFileSync(deployment.configuration, JSON.stringify(changed));
    deployment.daemon.kill('SIGHUP');
    await logged(/client orders is not in the configuration, and its ledger has keys nevertheless \(1\)/);
    for (const restart of [false, true]) {
      if (restart) {
        await deployment.stopDaemon();
        await deployment.startDaemon();
      }
      assert.match((await deployment.tryCtl('status')).stdout,
        /^ {2}soon +orders +- +is not in the configuration, and its ledger on HSM end-to-end has 1 key; next: put the client back/m);
      assert.match((await deployment.tryCtl('doctor', '--config', deployment.configuration)).stdout,
        /^ *warn +ledger: client orders is not in the configuration, and its ledger has 1 key: put the client back/m);
    }
    writeFileSync(deployment.configuration, before);
    await deployment.stopDaemon();
    await deployment.startDaemon();
    assert.doesNotMatch((await deployment.tryCtl('status')).stdout, /is not in the configuration/);
  });

  it('a start that fails has no line that says it did not, and one that succeeds has its line before any call', async () => {
    const taken = new URL(deployment.adminOrigin).host;
    const name = 'failed';
    await assert.rejects(deployment.startReplica({ admin_listen: taken }, { name }), /ended with 20/);
    const lines = readFileSync(path.join(deployment.folder, `${name}.audit`), 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    const starts = lines.filter(({ event }) => event === 'Start');
    assert.deepEqual(starts.map(({ outcome }) => outcome), ['FAILED']);
    assert.match(starts[0].reason, /admin_listen/);

    const ok = deployment.auditLines().filter(({ event, caller }) => event === 'Start' || caller);
    assert.deepEqual([ok[0].event, ok[0].outcome], ['Start', 'OK']);
  });
});
