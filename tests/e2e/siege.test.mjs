// Every attack at once, by users of the same machine, on a server as it is shipped, while a backend does its work: it must
// be answered each time, and each answer stand in the audit log. Short here; E2E_SIEGE_SECONDS=3600 is what
// tests/run.sh --long does. How long the backend waits is printed, and decides nothing.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, output, run, startProcess } from './process.mjs';

const SECONDS = Number(process.env.E2E_SIEGE_SECONDS ?? 12);
const ALONE = SECONDS >= 600 ? 120 : 5;  // seconds
const RATE = 30;                         // calls of the backend a second, a third of them on a stream
const MOST = 2;                          // times p99 alone
const ROUND = 60;                        // seconds after which an attack begins anew
const REPOSITORY = path.join(process.env.E2E_PROTO_DIR, '..');
const SHIPPED = JSON.parse(readFileSync(path.join(REPOSITORY, 'deploy/debian/assertiond.json'), 'utf8'));
const [, DESCRIPTORS] = /^LimitNOFILE=(\d+)$/m.exec(
  readFileSync(path.join(REPOSITORY, 'deploy/systemd/assertiond.service'), 'utf8'));
const [, HARD] = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
const NOGROUP = 65534;
const BACKEND = 60100;
const LISTED = 60101;    // may ask for another client's assertions, and is hostile all the same
const ATTACKERS = { idle: 60102, calls: 60103, knocks: 60104, bombs: 60105, noise: 60106, squatter: 60107 };
const JUNK = 20;         // objects that need no PIN: each makes each look at the token slower
const TEXTS = Object.fromEntries(['stranger', 'backend'].map((name) =>
  [name, readFileSync(new URL(`${name}.mjs`, import.meta.url), 'utf8')]));
const SQUAT = `
import fcntl, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("\\0" + sys.argv[1])
print("bound", flush=True)
for line in sys.stdin:
    try:
        fcntl.flock(open(sys.argv[2], "r"), fcntl.LOCK_EX)
        print("locked", flush=True)
    except OSError as error:
        print(error.strerror, flush=True)
`;

// Only root can be all these users.
const asStrangers = process.getuid() === 0 ? describe : () => {};

asStrangers('under siege', () => {
  it('a backend loses nothing', async (context) => {
    const [client] = SHIPPED.clients;
    const deployment = await Deployment.start([
      { ...client, client_id: 'orders', callers: [...client.callers, `uid:${BACKEND}`] },
      { ...client, client_id: 'others', callers: [`uid:${LISTED}`] },
      { ...client, client_id: 'spare' },
    ], { listen_group: 'nogroup', operators: SHIPPED.operators, key_limits: undefined, http_listen: '127.0.0.1:0' },
    async (made) => Object.assign(made, { launcher: ['prlimit', `--nofile=${Math.min(DESCRIPTORS, HARD ?? DESCRIPTORS)}`] }));
    chmodSync(deployment.folder, 0o711);
    chmodSync(path.dirname(deployment.folder), 0o711);
    await deployment.generateKey('orders');
    await deployment.generateKey('others');

    const log = (name) => path.join(deployment.folder, `${name}.log`);
    const asUser = (uid, name, program, ...options) => startProcess('setpriv',
      [`--reuid=${uid}`, `--regid=${NOGROUP}`, '--clear-groups', program, ...options.map(String)],
      { env: { PATH: process.env.PATH }, log: log(name) });
    // The attackers have what processor time is left (SCHED_IDLE): what is measured is what the server spends on them. Of
    // what they spend themselves it could take nothing away; that is for the kernel, or the limits of their processes.
    const play = (uid, name, ...options) => {
      const program = [...(name === 'stranger' ? ['chrt', '--idle', '0'] : []), process.execPath, '--input-type=module', '-e', TEXTS[name]];
      return asUser(uid, name, ...program, deployment.socket, ...options);
    };
    const ended = (child) => new Deadline(30, `the end of ${child.spawnargs.at(-1)}`).limit(child.ended);
    const descriptors = () => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;
    const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`, 'utf8'))[1]) >> 10;

    const backend = play(BACKEND, 'backend', 'orders', RATE);
    context.after(() => backend.kill('SIGKILL'));
    const told = new Lines(backend, 'stdout');
    const phase = async (what) => {
      backend.stdin.write('\n');
      const { jtis, ...figures } = JSON.parse(await told.next(new Deadline(90, `the backend's figures ${what}`)));
      context.diagnostic(`${what}: ${figures.asked} asked, ${figures.answered} answered, ${figures.again} asked again, p50 ` +
        `${(figures.p50 ?? NaN).toFixed(1)} ms, p99 ${(figures.p99 ?? NaN).toFixed(1)} ms`);
      return { jtis, ...figures };
    };
    const spend = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
    await spend(1);
    await phase('its first second');
    await spend(ALONE);
    const alone = await phase('alone');
    const [descriptorsBefore, residentBefore] = [descriptors(), resident()];

    // ---- the attacks, each over and over until the end ----
    const end = Date.now() + SECONDS * 1000;
    const left = () => Math.max(0, (end - Date.now()) / 1000);
    const done = {};
    const count = (what, codes) => {
      done[what] ??= {};
      for (const [code, times] of Object.entries(codes)) done[what][code] = (done[what][code] ?? 0) + times;
    };
    // One that ends by itself and tells what it met.
    const repeat = async (act) => {
      while (left() > 0) {
        const seconds = Math.min(ROUND, Math.ceil(left()));
        const attacker = play(ATTACKERS[act], 'stranger', act, seconds);
        count(act, JSON.parse(await new Lines(attacker, 'stdout').next(new Deadline(seconds + 90, `the end of ${act}`))));
        await ended(attacker);
      }
    };
    // One that holds what it has.
    const hold = async (uid, act, number) => {
      while (left() > 0) {
        const attacker = play(uid, 'stranger', act, number);
        count(act, JSON.parse(await new Lines(attacker, 'stdout').next(new Deadline(90, `${act} to hold something`))));
        await spend(Math.min(ROUND, left()));
        attacker.kill('SIGKILL');
        await ended(attacker);
      }
    };
    const original = readFileSync(deployment.configuration, 'utf8');
    const answers = () => readFileSync(deployment.log, 'utf8').match(/"SIGHUP: (clients|the configuration)|previous configuration stays in force/g)?.length ?? 0;
    const hostile = async () => {
      const file = deployment.configuration;
      const place = [
        () => writeFileSync(file, '{"hsm": '), () => output('mkfifo', [file]), () => mkdirSync(file),
        () => writeFileSync(file, '['.repeat(1 << 20)), () => writeFileSync(file, original.replace('"clients"', '"Clients"')),
        () => {},
      ];
      for (let i = 0; left() > 0; ++i) {
        rmSync(file, { recursive: true, force: true });
        await place[i % place.length]();
        const before = answers();
        deployment.daemon.kill('SIGHUP');
        await new Deadline(30, 'an answer to SIGHUP').until(() => answers() > before);
        count('SIGHUP', { refused: 1 });
        await spend(Math.min(1, left()));
      }
      rmSync(file, { recursive: true, force: true });
      writeFileSync(file, original);
    };
    const junk = async () => {
      const module = /module-path=([^&"]*)/.exec(original)[1];
      const token = /token=([^?"]*)/.exec(original)[1];
      const { kid } = await deployment.key('orders');
      const attack = (...options) => run('/usr/bin/python3', ['attacker.py', module, token, ...options], { env: deployment.environment });
      for (let i = 0; i < JUNK && left() > 0; ++i) {
        const { status } = await attack('data', ['assertiond ledger', 'assertiond pending', 'assertiond claim'][i % 3], 'orders',
          JSON.stringify({ version: 1000 + i, kid }));
        if (i % 5 === 0) await attack('publickey', 'orders', Buffer.from(kid).toString('hex'));
        count('junk objects', { [status]: 1 });
        await spend(Math.min(0.3, left()));
      }
    };
    const squat = async () => {
      const serial = /serial num\s*:\s*(\S+)/.exec(await deployment.askToken(['--list-slots']))[1];
      const name = `assertiond ${createHash('sha256').update(`SoftHSM project\0SoftHSM v2\0${serial}`).digest('base64url')}`;
      const [file] = readdirSync(path.join(deployment.folder, 'lock'));
      const squatter = asUser(ATTACKERS.squatter, 'squatter', '/usr/bin/python3', '-c', SQUAT, name,
        path.join(deployment.folder, 'lock', file));
      const lines = new Lines(squatter, 'stdout');
      const deadline = new Deadline(SECONDS + 90, 'the squatter');
      assert.equal(await lines.next(deadline), 'bound');
      while (left() > 0) {
        squatter.stdin.write('\n');
        count('locks', { [await lines.next(deadline)]: 1 });
        await spend(Math.min(1, left()));
      }
      squatter.kill('SIGKILL');
      await ended(squatter);
    };
    // What operators do meanwhile.
    const operate = async () => {
      await deployment.generateKey('spare');
      while (left() > 0) {
        await deployment.ctl('key', 'list');
        await spend(Math.min(2, left()));
      }
      const { kid } = await deployment.key('spare');
      await deployment.ctl('key', 'revoke', '--client-id', 'spare', `--kid=${kid}`, '--force', 'spare');
    };
    await Promise.all([
      ...['calls', 'knocks', 'bombs', 'noise'].map(repeat),
      hold(ATTACKERS.idle, 'idle', 1500), hold(LISTED, 'hold', 1000),
      hostile(), junk(), squat(), operate(),
    ]);
    const siege = await phase('under siege');
    context.diagnostic(`attacks: ${JSON.stringify(done)}`);
    const ratio = siege.p99 / alone.p99;
    context.diagnostic(`p99 under siege is ${ratio.toFixed(2)} times that alone: ${ratio <= MOST ? 'within' : 'MORE THAN'} ${MOST}`);
    context.diagnostic(`resident ${residentBefore} MiB before, ${resident()} MiB after`);

    // ---- nothing lost ----
    backend.kill('SIGKILL');
    await ended(backend);
    for (const { asked, answered, lost } of [alone, siege]) assert.deepEqual({ answered, lost }, { answered: asked, lost: [] });
    assert.deepEqual(Object.keys(done.locks), ['Permission denied']);
    for (const act of ['calls', 'knocks', 'bombs']) assert.equal(done[act][0], undefined, `${act}: ${JSON.stringify(done[act])}`);
    const recorded = new Set();
    for (const name of readdirSync(deployment.folder).filter((file) => /^audit\.log(\.\d+)?$/.test(file))) {
      for (const line of readFileSync(path.join(deployment.folder, name), 'utf8').trim().split('\n')) {
        const { jti, outcome } = JSON.parse(line);
        if (outcome === 'OK' && jti) recorded.add(jti);
      }
    }
    const unrecorded = [...alone.jtis, ...siege.jtis].filter((jti) => !recorded.has(jti));
    assert.deepEqual(unrecorded, []);
    await new Deadline(60, 'the attackers\' descriptors to be free').until(() => descriptors() <= descriptorsBefore + 8);
    await deployment.createAssertion('orders');
    assert.equal((await fetch(`${deployment.httpOrigin}/readyz`)).status, 200);
    const key = path.join(deployment.folder, 'audit.jwk');
    await deployment.ctl('audit', 'key', '--out', key);
    const { sequence } = JSON.parse(await deployment.ctl('audit', 'head', '--json'));
    assert.ok(Number(sequence) > 0);
    await deployment.close();
  });
});
