// assertionctl assertion refresh: a fresh assertion in a file, for programs that know no gRPC.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { decodeJwt } from 'jose';
import { AssertionService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { fakeClock } from './fake_clock.mjs';
import { Deadline, Lines, run, startProcess, temporaryFolder } from './process.mjs';

const assertionctl = path.join(process.env.E2E_BIN_DIR, 'assertionctl');

describe('assertion refresh', () => {
  let deployment;
  let folder;
  let file;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://is.example.com/token'] }]);
    await deployment.generateKey('orders');
    folder = mkdtempSync(path.join(temporaryFolder(), 'kept-'));
    file = path.join(folder, 'assertion');
  });

  after(() => deployment?.close());

  const options = (...more) => ['assertion', 'refresh', '--client-id', 'orders', '--out', file, ...more];
  const start = (...more) => startProcess(assertionctl, options(...more),
    { env: deployment.environment, log: path.join(temporaryFolder(), 'refresh.log') });
  const jti = () => decodeJwt(readFileSync(file, 'utf8')).jti;
  const stop = async (child) => {
    child.kill('SIGTERM');
    return new Deadline(30, 'the end of refresh').limit(child.ended);
  };
  const kept = () => new Deadline(30, 'the file').until(() => existsSync(file));

  it('keeps a file of mode 0600, replaces it before half of its life is over, and removes it at the end', async () => {
    const child = start('--lifetime', '20s');
    await kept();
    assert.equal(statSync(file).mode & 0o7777, 0o600);
    const first = decodeJwt(readFileSync(file, 'utf8'));
    await new Deadline(30, 'the next assertion').until(() => jti() !== first.jti);
    assert.ok(Date.now() / 1000 - first.iat < 14, 'late');
    assert.ok(decodeJwt(readFileSync(file, 'utf8')).iat - first.iat <= 10, 'after half of its life');
    assert.deepEqual(await stop(child), { status: 0, signal: null });
    assert.deepEqual(readdirSync(folder), []);
  });

  it('replaces the file after --max-uses opens', async () => {
    const child = start('--max-uses', '1');
    await kept();
    const first = jti();
    await new Deadline(30, 'the next assertion').until(() => jti() !== first);
    await stop(child);
  });

  it('runs one command, forwards signals, and exits as it does', async () => {
    const { status } = await deployment.tryCtl(...options('--', 'sh', '-c', `test -s ${file} && exit 7`));
    assert.equal(status, 7);
    assert.ok(!existsSync(file));
    const child = start('--', 'sh', '-c', 'trap "exit 9" TERM; echo ready; while :; do read line || exit 1; done');
    await new Lines(child, 'stdout').next(new Deadline(30, 'the command'));
    assert.equal((await stop(child)).status, 9);
    assert.equal((await deployment.tryCtl(...options('--', '/no/such/program'))).status, 127);
    assert.ok(!existsSync(file));
  });

  // Runs it with a signal that is ignored from the start.
  const ignoring = (signal, ...more) => startProcess('env', [`--ignore-signal=${signal}`, assertionctl, ...options(...more)],
    { env: deployment.environment, log: path.join(temporaryFolder(), 'ignoring.log') });

  it('leaves a signal ignored that was ignored when it began, as under nohup', async () => {
    const child = ignoring('HUP');
    await kept();
    child.kill('SIGHUP');
    rmSync(file);
    await kept();
    assert.deepEqual(await stop(child), { status: 0, signal: null });
  });

  it('sees the end of the command although SIGCHLD was ignored', async () => {
    const child = ignoring('CHLD', '--', 'sh', '-c', 'exit 7');
    assert.deepEqual(await new Deadline(30, 'the end of refresh').limit(child.ended), { status: 7, signal: null });
  });

  it('goes on when the reader of its standard error has gone, and the command ends by SIGPIPE as ever', async () => {
    const child = start();
    await kept();
    child.stderr.destroy();
    rmSync(file);  // which it tells
    await kept();
    assert.deepEqual(await stop(child), { status: 0, signal: null });
    const { status } = await deployment.tryCtl(...options('--', 'sh', '-c', 'kill -PIPE $$'));
    assert.equal(status, 141);
  });

  it('tells the command that the terminal was closed', async () => {
    const [ready, hung] = ['ready', 'hung'].map((name) => path.join(folder, name));
    const command = `trap 'echo >${hung}; exit 0' HUP; echo >${ready}; n=0; while [ $((n += 1)) -lt 600 ]; do sleep 0.1; done`;
    // Its terminal is that of script, which the kernel hangs up once nobody has the other end.
    const terminal = startProcess('script', ['--quiet', '--command', `exec "$REFRESH" ${options('--').join(' ')} sh -c "$COMMAND"`, '/dev/null'],
      { env: { ...deployment.environment, REFRESH: assertionctl, COMMAND: command }, log: path.join(temporaryFolder(), 'terminal.log') });
    await new Deadline(30, 'the command').until(() => existsSync(ready));
    terminal.kill('SIGKILL');
    await new Deadline(30, 'the hang-up').until(() => existsSync(hung));
    await new Deadline(30, 'the end of refresh').until(() => !existsSync(file));
    for (const made of [ready, hung]) rmSync(made);
  });

  it('leaves each word of the command as it is', async () => {
    const words = ['[a,b]', '[]', '', '[', 'x y', '--', '-o', '[{"a":1}]'];
    const { status, stdout } = await deployment.tryCtl(...options('--', 'printf', '<%s>', ...words));
    assert.deepEqual([status, stdout], [0, words.map((word) => `<${word}>`).join('')]);
  });

  it('keeps the old file while the server is away, says so once, and removes it when it expires', async () => {
    const child = start('--lifetime', '10s');
    const lines = new Lines(child, 'stderr');
    await kept();
    await deployment.stopDaemon();
    const until = async (wanted) => {
      for (const deadline = new Deadline(60, wanted); ;) {
        const line = await lines.next(deadline);
        if (line.includes(wanted)) return;
        assert.ok(!line.includes('no fresh assertion'), 'said twice');
      }
    };
    await until('no fresh assertion');
    assert.ok(existsSync(file));
    await until('is removed');
    assert.ok(!existsSync(file));
    await deployment.startDaemon();
    await until('is fresh again');
    assert.ok(existsSync(file));
    await stop(child);
  });

  it('writes the file again, soon after it, or its folder, was removed, moved or replaced', async () => {
    const child = start('--lifetime', '300s');
    const lines = new Lines(child, 'stderr');
    const told = async (wanted) => {
      for (const deadline = new Deadline(30, wanted); !(await lines.next(deadline)).includes(wanted););
    };
    await kept();
    const first = jti();
    rmSync(file);
    await kept();
    writeFileSync(`${file}.other`, 'another', { mode: 0o600 });
    renameSync(`${file}.other`, file);
    await new Deadline(30, 'another assertion').until(() => readFileSync(file, 'utf8').startsWith('ey') && jti() !== first);
    const moved = `${folder}.moved`;
    renameSync(folder, moved);
    await told('no fresh assertion: the folder of --out');
    mkdirSync(folder, { mode: 0o700 });
    await told('is fresh again');
    assert.equal(statSync(file).mode & 0o7777, 0o600);
    assert.deepEqual(readdirSync(moved), []);
    rmSync(folder, { recursive: true });
    mkdirSync(folder, { mode: 0o700 });
    await kept();
    assert.deepEqual(await stop(child), { status: 0, signal: null });
    assert.deepEqual(readdirSync(folder), []);
  });

  it('refuses a file that another keeps, and at its end leaves one that is not its own', async () => {
    const child = start();
    await kept();
    const { status, stderr } = await deployment.tryCtl(...options());
    assert.equal(status, 3);
    assert.match(stderr, /another assertionctl keeps --out /);
    child.kill('SIGKILL');
    await new Deadline(30, 'the end of refresh').limit(child.ended);
    const left = jti();
    const second = start();  // what was left is no obstacle
    await new Deadline(30, 'the next assertion').until(() => jti() !== left);
    await stop(second);
    assert.ok(!existsSync(file));
    writeFileSync(file, 'my notes', { mode: 0o600 });
    const refused = await deployment.tryCtl(...options());
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /is there already, and is no assertion of mode 0600/);
    assert.equal(readFileSync(file, 'utf8'), 'my notes');
    rmSync(file);
  });

  const answer = (from, until) => ({ assertion: `a.b.${until}`, issued_at: { seconds: from }, expires_at: { seconds: until } });

  // A server in assertiond's place. Returns it, and the environment of its clients.
  async function standIn(CreateAssertion) {
    const hostile = new grpc.Server();
    hostile.addService(AssertionService.service, { CreateAssertion });
    const socket = path.join(mkdtempSync(path.join(temporaryFolder(), 's-')), 's');
    await new Promise((resolve, reject) => {
      hostile.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
    return { hostile, env: { ...process.env, ASSERTIOND_SERVER: `unix:${socket}` } };
  }

  it('goes by the time of day, which a machine that slept has again, unlike its steady clock', async () => {
    const clock = path.join(temporaryFolder(), 'clock');
    const set = (offset) => writeFileSync(clock, offset);
    const waiting = [];
    const { hostile, env } = await standIn((call, done) => waiting.push(done));
    const next = async () => {
      await new Deadline(30, 'a call').until(() => waiting.length > 0);
      return waiting.shift();
    };
    set('+0');
    const child = startProcess(assertionctl, options(), { env: { ...env, ...fakeClock(clock) }, log: path.join(temporaryFolder(), 'slept.log') });
    (await next())(null, answer('0', '300'));
    await kept();
    set('+3600');
    const second = await next();
    assert.ok(!existsSync(file), 'expired');
    second(null, answer('0', '300'));
    await kept();
    set('+0');
    (await next())(null, answer('0', '300'));
    await stop(child);
    hostile.forceShutdown();
  });

  it('starts no command after a signal that comes during the first call', async () => {
    let reply;
    const { hostile, env } = await standIn((call, done) => { reply = done; });
    const started = path.join(folder, 'started');
    // The command would have the signal blocked, and do its work whatever it is sent.
    const child = startProcess('env', ['--block-signal=TERM', assertionctl, ...options('--', 'touch', started)],
      { env, log: path.join(temporaryFolder(), 'early.log') });
    await new Deadline(30, 'the first call').until(() => reply);
    child.kill('SIGTERM');
    reply(null, answer('0', '300'));
    assert.deepEqual(await new Deadline(30, 'the end of refresh').limit(child.ended), { status: 143, signal: null });
    assert.deepEqual(readdirSync(folder), []);
    hostile.forceShutdown();
  });

  it('hears a signal although a server has the call and does not answer', async () => {
    let calls = 0;
    const { hostile, env } = await standIn((call, done) => { if (calls++ === 0) done(null, answer('0', '2')); });
    const child = startProcess(assertionctl, options(), { env, log: path.join(temporaryFolder(), 'silent.log') });
    await new Deadline(30, 'the second call').until(() => calls === 2);
    assert.deepEqual(await stop(child), { status: 0, signal: null });
    hostile.forceShutdown();
  });

  it('refuses an assertion whose life would have it call without end, and waits longer after each', async () => {
    const far = '9223372036854775807';
    let lives = [['0', '0'], ['0', '-5'], ['0', '86401'], [`-${far}`, far]];
    const { hostile, env } = await standIn((call, done) => done(null, answer(...(lives.shift() ?? ['0', '0']))));
    while (lives.length > 0) {
      const { status, stderr } = await run('timeout', ['20', assertionctl, ...options()], { env });
      assert.ok(status !== 0 && status !== 124, `${status} ${stderr}`);
      assert.match(stderr, /does not live between 1 s and a day/);
      assert.ok(!existsSync(file));
    }
    lives = [['0', '2']];
    const child = startProcess(assertionctl, options(), { env, log: path.join(temporaryFolder(), 'hostile.log') });
    const lines = new Lines(child, 'stderr');
    for (const wanted of ['no fresh assertion', 'is removed']) {
      for (const deadline = new Deadline(30, wanted); !(await lines.next(deadline)).includes(wanted););
    }
    assert.ok(!existsSync(file));
    await stop(child);
    hostile.forceShutdown();
  });

  it('refuses a folder where others can put another file', async () => {
    chmodSync(folder, 0o777);
    const { status, stderr } = await deployment.tryCtl(...options());
    chmodSync(folder, 0o700);
    assert.equal(status, 3);
    assert.match(stderr, /others can put another file in the place of --out .*: \S+ is writable by everybody/);
  });
});
