// SIGHUP with a file that somebody means harm by, and while something hangs: calls go on, the log says what came of each, and
// none is lost.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ME = `uid:${process.getuid()}`;
const DRAIN = 3;  // seconds
const MORE = 10;  // seconds: what a stop may take besides

describe('a reload', () => {
  let deployment;
  let hsm;
  let original;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }],
      { refresh_interval: '1h', drain_limit: `${DRAIN}s`, admin_listen: '127.0.0.1:0' }, async (prepared) => { hsm = new FaultyHsm(prepared); });
    await deployment.generateKey('orders');
    original = readFileSync(deployment.configuration, 'utf8');
  });

  after(() => deployment?.daemon.kill('SIGKILL'));

  const log = () => readFileSync(deployment.log, 'utf8');

  // Sends SIGHUP, and returns the line that the log then has of it. While a reload hangs, that is the one that says so; else
  // such a line may stand before it, because the log has a reload's line a moment before the reload is over.
  async function reload({ hangs = false } = {}) {
    const from = log().length;
    deployment.daemon.kill('SIGHUP');
    const line = () => log().slice(from).match(/^.*SIGHUP: .*$/gm)?.find((each) => each.includes('another reload follows') === hangs);
    await new Deadline(30, `assertiond to have read its configuration; its log is ${deployment.log}`).until(line);
    return line();
  }

  const withClients = (count) => {
    const configuration = JSON.parse(original);
    for (let i = 0; i < count; ++i) {
      configuration.clients.push({ client_id: `client-${i}`, audiences: [AUDIENCE], callers: [`uid:${70000 + i}`] });
    }
    return JSON.stringify(configuration, null, 1);
  };

  it('of a hostile file under load leaves the old configuration in force and the log says why', async () => {
    const file = deployment.configuration;
    const write = (text) => () => writeFileSync(file, text);
    const hostile = [
      ['a FIFO', () => execFileSync('mkfifo', [file]), /it is a FIFO, not a regular file/],
      ['a folder', () => mkdirSync(file), /it is a folder, not a regular file/],
      ['a device', () => symlinkSync('/dev/zero', file), /it is a device, not a regular file/],
      ['nothing', () => {}, /cannot be read: No such file/],
      ['8 MiB and an octet', () => { writeFileSync(file, original); truncateSync(file, (8 << 20) + 1); }, /larger than 8 MiB/],
      ['8 MiB of brackets', write('['.repeat(8 << 20)), /nested too deeply/],
      ['8 MiB of values', write(`[${'0,'.repeat((4 << 20) - 2)}0]`), /more than 500000 values/],
      ['8 MiB of members', write(`{${'"":0,'.repeat(400000)}"":0}`), /is repeated/],
      ['garbage', write(Buffer.from(Array.from({ length: 100000 }, (_, i) => (i * 7919) % 255 + 1))), /syntax error/],
      ['a NUL', write(`${original}\0`), /:\d+: an octet NUL, which JSON does not have/],
      ['lines of a log', write('{"listen\\n{\\"level\\":\\"info\\"}": 1}'), /listen\\\\x0a/],
    ];
    const caller = new Caller(AssertionService, deployment.socket);
    let over = false;
    let calls = 0;
    const load = (async () => {
      for (; !over; ++calls) await caller.call('CreateAssertion', { client_id: 'orders' });
    })();
    try {
      for (const [what, place, why] of hostile) {
        rmSync(file, { recursive: true, force: true });
        place();
        const line = await reload();
        assert.match(line, /"level":"error",.*previous configuration stays in force/, what);
        assert.match(line, why, what);
        assert.ok(line.length < 5000, `${what}: a line of ${line.length} octets`);
      }
      rmSync(file, { recursive: true, force: true });
      writeFileSync(file, withClients(10000));
      const began = performance.now();
      assert.match(await reload(), /"level":"info",.*as the configuration says now/);
      assert.ok(performance.now() - began < 10000, '10,000 clients');
      const before = calls;
      await new Deadline(30, 'a call after that').until(() => calls > before);
      writeFileSync(file, original);
      assert.match(await reload(), /"level":"info",.*as the configuration says now/);
    } finally {
      over = true;
      await load;
      caller.close();
    }
    assert.ok(calls > hostile.length);
  });

  it('warns again of a configuration that others may change', async () => {
    const warnings = () => log().match(/configuration: \S+ is writable by everybody: chmod go-w/g)?.length ?? 0;
    const from = warnings();
    await reload();
    assert.equal(warnings(), from);
    chmodSync(deployment.configuration, 0o666);
    await reload();
    await reload();
    assert.equal(warnings(), from + 2);
    chmodSync(deployment.configuration, 0o644);
  });

  it('that is refused is told by status and by the metrics, until one succeeds', async () => {
    const metric = async (name) => Number(new RegExp(`^assertiond_config_last_reload_${name} (.*)$`, 'm')
      .exec(await (await fetch(`${deployment.adminOrigin}/metrics`)).text())[1]);
    const succeeded = await metric('success_timestamp_seconds');
    assert.equal(await metric('successful'), 1);
    writeFileSync(deployment.configuration, JSON.stringify({ ...JSON.parse(original), token_listen: `unix:${deployment.folder}/t` }));
    await reload();
    assert.deepEqual([await metric('successful'), await metric('success_timestamp_seconds')], [0, succeeded]);
    const { status, stdout } = await deployment.tryCtl('status');
    assert.equal(status, 1);
    assert.match(stdout, /^ {2}wrong {2}configuration {2}- {2}the last reload was refused, .*: \S+: token_listen: takes a restart to change; next: /m);
    writeFileSync(deployment.configuration, original);
    await reload();
    assert.equal(await metric('successful'), 1);
    assert.ok(await metric('success_timestamp_seconds') > succeeded);
    assert.match(await deployment.ctl('status'), /\nnothing needs attention\n$/);
  });

  // Hangs the next reload in the HSM and returns when it does.
  async function hang(client) {
    const configuration = JSON.parse(original);
    configuration.clients.push({ client_id: client, audiences: [AUDIENCE], callers: [ME] });
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    const faults = () => hsm.counts().get('C_FindObjectsInit').faults;
    const met = faults();
    hsm.tell('C_FindObjectsInit hang');
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'the reload to hang').until(() => faults() > met);
  }

  it('that hangs keeps no call waiting, and the SIGHUP after it is heard and done', async () => {
    const from = log().length;
    await hang('late');
    assert.match(await reload({ hangs: true }), /another reload follows the one that has been asking the HSMs for the clients' keys/);
    await deployment.createAssertion('orders');
    hsm.tell();
    const done = () => log().slice(from).match(/SIGHUP: clients and operators are as the configuration says now/g)?.length;
    await new Deadline(30, `two reloads; the log is ${deployment.log}`).until(() => done() === 2);
  });

  it('that hangs keeps no stop waiting, which says what hung', async () => {
    await hang('later');
    const began = performance.now();
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    assert.ok(performance.now() - began < (DRAIN + MORE) * 1000);
    assert.match(log(), /stopped; a reload never returned from asking the HSMs for the clients' keys/);
    hsm.tell();
  });
});
