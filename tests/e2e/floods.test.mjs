// What a hostile user of the same machine can use up: connections, the disk of the audit log, the log, places.
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { connect as connectTo } from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AssertionService, Caller } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, Lines, asRoot, run, startProcess, temporaryFolder, wholeLines } from './process.mjs';
import { RawConnection, message } from './raw_connection.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const CLIENTS = [{ client_id: 'orders', audiences: [AUDIENCE] }];
const FLOOD = fileURLToPath(new URL('flood.py', import.meta.url));
let stranger = 60000;  // another for each test: who has cost too much is refused for a while
const NOBODY = 65534;
const NOGROUP = 65534;
const TEXT = readFileSync(new URL('stranger.mjs', import.meta.url), 'utf8');
const MIB = 1 << 20;

// Only root can become another user, and these attacks are another user's.
const asStrangers = process.getuid() === 0 ? describe : () => {};

beforeEach(() => { stranger += 1; });

// Starts a deployment whose socket group the stranger is in, with the limits of descriptors that systemd gives.
async function deploy(configuration = {}, launcher = ['prlimit', '--nofile=1024:']) {
  const deployment = await Deployment.start(CLIENTS,
    { listen_group: 'nogroup', http_listen: '127.0.0.1:0', ...configuration },
    async (it) => { Object.assign(it, { launcher }); });
  chmodSync(deployment.folder, 0o711);
  chmodSync(path.dirname(deployment.folder), 0o711);
  await deployment.generateKey('orders');
  return deployment;
}

const privileges = (uid, gid = NOGROUP) => [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];

// The stranger does something, and tells one object of it.
async function act(deployment, ...what) {
  const user = what[0] === 'users' ? ['--regid', `${NOGROUP}`, '--clear-groups'] : privileges(stranger);
  const { stdout, stderr } = await run('setpriv',
    [...user, process.execPath, '--input-type=module', '-e', TEXT, deployment.socket, ...what.map(String)], { cwd: '/' });
  assert.notEqual(stdout, '', stderr);
  return JSON.parse(stdout);
}

const descriptors = (deployment) => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;
const ready = async (deployment) => (await fetch(`${deployment.httpOrigin}/readyz`)).status;
const metrics = async (deployment) => (await fetch(`${deployment.httpOrigin}/metrics`)).text();
const auditLines = (file) => wholeLines(file).map((line) => JSON.parse(line));
const logLines = (deployment) => wholeLines(deployment.log).map((line) => JSON.parse(line));

asStrangers('a stranger in the group of the socket', () => {
  let deployment;
  let log;

  before(async () => {
    deployment = await deploy();
    log = path.join(deployment.folder, 'audit.log');
  });

  after(() => deployment?.close());

  it('finds a table of descriptors that need not grow while the server serves', () => {
    const read = (file, pattern) => Number(pattern.exec(readFileSync(`/proc/${deployment.daemon.pid}/${file}`, 'utf8'))[1]);
    assert.ok(read('status', /^FDSize:\s+(\d+)/m) >= Math.min(16384, read('limits', /^Max open files\s+(\d+)/m)));
  });

  it('with 1,500 idle connections takes none of the others', async (context) => {
    await deployment.createAssertion('orders');
    const base = descriptors(deployment);
    const idler = startProcess('setpriv', [...privileges(stranger), process.execPath, '--input-type=module', '-e', TEXT,
      deployment.socket, 'idle', '1500'], { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'idler.log') });
    const told = new Lines(idler, 'stdout');
    const deadline = new Deadline(60, 'the stranger\'s connections');
    context.after(() => idler.kill('SIGKILL'));
    assert.ok(JSON.parse(await told.next(deadline)).opened > 1000);
    const open = async () => {
      idler.stdin.write('\n');
      return JSON.parse(await told.next(deadline)).open;
    };
    await deadline.until(async () => await open() <= 64);   // the others were closed again
    assert.equal(await open(), 64);
    for (let i = 0; i < 5; ++i) await deployment.createAssertion('orders');
    await deployment.ctl('key', 'list');
    assert.equal(await ready(deployment), 200);
    assert.ok(descriptors(deployment) < base + 2 * 64 + 50, `${descriptors(deployment)} descriptors, ${base} before`);

    idler.kill('SIGKILL');
    await deadline.limit(idler.ended);
    await deadline.until(() => descriptors(deployment) <= base + 8);
    await deployment.createAssertion('orders');
    assert.equal(await ready(deployment), 200);
    const refused = logLines(deployment).filter(({ message }) => message.includes(`connection of uid:${stranger} is refused`));
    assert.ok(refused.length > 0 && refused.length < 60, `${refused.length} lines of the log`);
  });

  it('that connects and closes without end keeps nobody from connecting', async (context) => {
    const storm = [
      'import socket, sys, time',
      'end = time.monotonic() + 30',
      'while time.monotonic() < end:',
      '  one = socket.socket(socket.AF_UNIX)',
      '  one.setblocking(False)',
      '  try: one.connect(sys.argv[1])',
      '  except OSError: pass',
      '  one.close()'].join('\n');
    const stormer = startProcess('setpriv',
      [...privileges(stranger), '/usr/bin/python3', '-c', storm, deployment.socket],
      { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'stormer.log') });
    context.after(() => stormer.kill('SIGKILL'));
    await new Deadline(30, 'the first refusal').until(
      () => logLines(deployment).some(({ message }) => message.includes(`uid:${stranger} is refused: it opens too many a second`)));
    for (let i = 0; i < 12; ++i) await deployment.createAssertion('orders');   // each by a connection of its own
    stormer.kill('SIGKILL');
    await new Deadline(30, 'the end of the storm').limit(stormer.ended);
    assert.ok(logLines(deployment).length < 2000);
  });

  it('writes no more than its budget into the audit log, and is counted', async () => {
    const size = statSync(log).size;
    const lines = logLines(deployment).length;
    const legitimate = new Caller(AssertionService, deployment.socket);
    const times = [];
    let over = false;
    const work = (async () => {
      while (!over) {
        const began = performance.now();
        await legitimate.call('CreateAssertion', { client_id: 'orders' });
        times.push(performance.now() - began);
      }
    })();
    const codes = await act(deployment, 'calls', 3);
    over = true;
    await work;
    legitimate.close();
    const answered = Object.values(codes).reduce((sum, count) => sum + count, 0);
    times.sort((a, b) => a - b);
    process.stdout.write(`# ${answered} refused calls, p99 of the others ${times[Math.floor(times.length * 0.99)].toFixed(1)} ms\n`);
    assert.ok(codes[7] > 0 && codes[7] <= 100 + 10 * 5, JSON.stringify(codes));   // PERMISSION_DENIED
    assert.equal(codes[8], answered - codes[7] - codes.broken, JSON.stringify(codes));   // RESOURCE_EXHAUSTED

    const counted = () => auditLines(log).filter(({ event, caller }) => event === 'Refusals' && caller === `uid:${stranger}`);
    const [, suppressed] = /assertiond_refusals_suppressed_total (\d+)\n/.exec(await metrics(deployment));
    assert.ok(Number(suppressed) >= codes[8], 'those that its connection did not live to hear of, too');
    await new Deadline(30, 'the last line that counts').until(
      () => counted().reduce((sum, { count }) => sum + count, 0) === Number(suppressed));
    assert.ok(counted().length <= 6, `${counted().length} lines that count`);
    const written = auditLines(log).filter(({ caller }) => caller === `uid:${stranger}`);
    for (const { audience = '', client_id: client = '' } of written) {
      assert.ok(JSON.stringify(audience).length <= 66 && client.length <= 64, `${client} ${audience}`);
    }
    const ofStranger = written.reduce((sum, line) => sum + JSON.stringify(line).length, 0);
    assert.ok(ofStranger < 200_000, `${ofStranger} octets, of a file that grew by ${statSync(log).size - size}`);
    assert.ok(logLines(deployment).length - lines < 50);
  });

  it('is refused at once when it opens streams', async () => {
    const { broken, ...codes } = await act(deployment, 'streams', 300);
    assert.deepEqual(Object.keys(codes).sort(), ['7', '8'], `${broken} broken`);
  });

  it('takes no thread for each of 2,000 calls of reflection', async (context) => {
    const threads = () => Number(/Threads:\s+(\d+)/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`, 'utf8'))[1]);
    const base = threads();
    const reflecting = startProcess('setpriv', [...privileges(stranger), process.execPath, '--input-type=module', '-e', TEXT,
      deployment.socket, 'reflect', '2000'], { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'reflecting.log') });
    context.after(() => reflecting.kill('SIGKILL'));
    assert.deepEqual(JSON.parse(await new Lines(reflecting, 'stdout').next(new Deadline(60, 'the calls'))), { opened: 2000 });
    const most = [];
    for (const end = Date.now() + 2000; Date.now() < end;) {
      await deployment.createAssertion('orders');
      most.push(threads());
    }
    assert.ok(Math.max(...most) < base + 32, `${Math.max(...most)} threads, ${base} before`);
    assert.equal(await ready(deployment), 200);
  });

  it('holds no memory with 60,000 calls that it leaves open', async (context) => {
    const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`, 'utf8'))[1]) * 1024;
    const base = resident();
    const reflecting = startProcess('setpriv', [...privileges(stranger), process.execPath, '--input-type=module', '-e', TEXT,
      deployment.socket, 'reflect', '60000'], { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'reflecting.log') });
    context.after(() => reflecting.kill('SIGKILL'));
    await new Lines(reflecting, 'stdout').next(new Deadline(60, 'the calls'));
    const ended = () => logLines(deployment).some(({ message }) => /connections of (unlisted peers|uid:\d+, which is in no list,) are ended/.test(message));
    await new Deadline(30, 'their connections to end').until(ended);
    await deployment.createAssertion('orders');
    await new Deadline(60, 'the memory to be given back').until(() => resident() < base + 100 * MIB);
    await deployment.createAssertion('orders');
  });

  it('has no line of the log for each message that is no UTF-8', async () => {
    const size = statSync(deployment.log).size;
    const codes = await act(deployment, 'garbled', 4);
    assert.deepEqual(Object.keys(codes).sort(), ['7', '8', 'broken'], JSON.stringify(codes));
    assert.ok(codes[7] + codes[8] > 100, JSON.stringify(codes));
    await deployment.createAssertion('orders');
    assert.ok(statSync(deployment.log).size - size < 20_000);
    logLines(deployment);   // each is ours
  });

  it('as many users, one after the other, is each known as itself, and takes no place for good', async () => {
    assert.deepEqual(await act(deployment, 'users', 100_000, 400), { right: 400, wrong: [] });
    await deployment.createAssertion('orders');
  });

  it('that takes too much time is refused for a while, whatever it sends, and others are not', async () => {
    const seconds = () => {
      const fields = readFileSync(`/proc/${deployment.daemon.pid}/stat`, 'utf8').split(') ')[1].split(' ');
      return (Number(fields[11]) + Number(fields[12])) / 100;
    };
    const ended = () => logLines(deployment).filter(
      ({ message }) => message.includes(`connections of uid:${stranger}, which is in no list, are ended`));
    for (const [what, ...how] of [['noise', 5], ['calls', 5], ['knocks', 5]]) {
      stranger += 1;
      const before = seconds();
      await act(deployment, what, ...how);
      process.stdout.write(`# 5 s of ${what}: ${(seconds() - before).toFixed(2)} s of processor time\n`);
      assert.ok(seconds() - before < 2.5, `${what}: ${seconds() - before} s`);
      assert.equal(ended().length, 1, what);
      const { broken, ...codes } = await act(deployment, 'calls', 1);   // still, and it is told nothing
      assert.deepEqual(codes, {});
      assert.ok(broken > 0);
    }
    // One that is listed may: it is a backend's work.
    const listed = RawConnection.local(deployment.socket);
    for (const end = Date.now() + 3000; Date.now() < end;) {
      const call = listed.call('assertion.v1.AssertionService/GetJwks');
      call.send(message({ 1: 'orders' }));
      assert.equal((await call.ended).code, 'OK');
    }
    listed.close();
  });

  it('as the user nobody is nobody', async () => {
    const { status, stderr } = await run('setpriv', [...privileges(NOBODY),
      path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'assertion', 'create', '--client-id', 'orders'],
    { env: deployment.environment });
    assert.notEqual(status, 0);
    assert.match(stderr, /does not tell which user you are/);
    assert.doesNotMatch(stderr, /65534/);
  });
});

asStrangers('a caller whom a reload removes', () => {
  it('has no connection any more', async (context) => {
    const deployment = await deploy();
    const original = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const reload = async (callers) => {
      const clients = [...original.clients, { client_id: 'others', audiences: [AUDIENCE], callers }];
      writeFileSync(deployment.configuration, JSON.stringify({ ...original, clients }));
      const seen = readFileSync(deployment.log, 'utf8').length;
      deployment.daemon.kill('SIGHUP');
      const said = () => readFileSync(deployment.log, 'utf8').slice(seen);
      await new Deadline(30, 'the reload').until(() => /SIGHUP: clients/.test(said()));
      return said();
    };
    await reload([`uid:${stranger}`]);
    const idler = startProcess('setpriv', [...privileges(stranger), process.execPath, '--input-type=module', '-e', TEXT,
      deployment.socket, 'idle', '4'], { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'idler.log') });
    context.after(() => idler.kill('SIGKILL'));
    const told = new Lines(idler, 'stdout');
    const deadline = new Deadline(60, 'the connections to end');
    await told.next(deadline);
    const open = async () => {
      idler.stdin.write('\n');
      return JSON.parse(await told.next(deadline)).open;
    };
    assert.equal(await open(), 4);
    assert.match(await reload(['uid:60009']), /4 connections are ended[^]*SIGHUP: clients/, 'at once');
    await deadline.until(async () => await open() === 0);
    idler.kill('SIGKILL');
    await deployment.close();
  });
});

asStrangers('many users at the limit in all', () => {
  it('a listed caller is served, and the unlisted make room', async () => {
    const deployment = await deploy({ connections: { per_peer: 4, total: 8 } });
    const idlers = [];
    for (let i = 0; i < 3; ++i) {
      const idler = startProcess('setpriv', [...privileges(stranger + i), process.execPath, '--input-type=module', '-e',
        TEXT, deployment.socket, 'idle', '4'], { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'idlers.log') });
      idlers.push(idler);
      await new Lines(idler, 'stdout').next(new Deadline(60, 'connections'));
    }
    for (let i = 0; i < 3; ++i) await deployment.createAssertion('orders');
    for (const idler of idlers) idler.kill('SIGKILL');
    await deployment.close();
  });
});

describe('a stranger who reaches the TLS port', () => {
  const PER_PEER = 64;
  const STRANGERS = 1500;
  let authority;
  let identity;
  let deployment;

  before(async () => {
    authority = await CertificateAuthority.found('callers');
    identity = await authority.identity('DNS:backend.example.org');
    deployment = await Deployment.start([{ ...CLIENTS[0], callers: [`uid:${process.getuid()}`, 'dns:backend.example.org'] }],
      (folder) => ({ tls: mutualTls(folder, authority.certificate) }), async (made) => {
        Object.assign(made, { launcher: ['prlimit', '--nofile=1024:1024'] });
        await made.makeTlsKey(authority);
      });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  // From one of this machine's own addresses.
  async function ask(localAddress) {
    const connection = RawConnection.tls(deployment.tlsPort, authority.certificate, { ...identity, localAddress });
    const call = connection.call('assertion.v1.AssertionService/CreateAssertion');
    call.send(message({ 1: 'orders' }));
    try {
      return (await new Deadline(30, 'an answer over TLS').limit(call.ended)).code;
    } finally {
      connection.close();
    }
  }

  // Keeps connections from 127.0.0.1 open, each of which says only this, and opens another for each that is closed.
  function besiege(said) {
    const open = new Set();
    let opened = 0;
    let over = false;
    const add = () => {
      if (over) return;
      const connection = connectTo({ host: '127.0.0.1', port: deployment.tlsPort, localAddress: '127.0.0.1' });
      open.add(connection);
      connection.on('connect', () => { opened += 1; connection.write(said); }).on('error', () => {}).resume();
      connection.on('close', () => { open.delete(connection); setImmediate(add); });
    };
    for (let i = 0; i < STRANGERS; ++i) add();
    return {
      opened: () => opened,
      end: () => {
        over = true;
        for (const connection of open) connection.destroy();
      },
    };
  }

  async function withstand(context, said) {
    assert.equal(await ask('127.0.0.1'), 'OK');
    const base = descriptors(deployment);
    const siege = besiege(said);
    context.after(() => siege.end());
    const deadline = new Deadline(60, 'the server to withstand the stranger\'s connections');
    await deadline.until(() => siege.opened() >= STRANGERS);
    for (let i = 0; i < 5; ++i) assert.equal(await ask('127.0.0.2'), 'OK');
    await deployment.createAssertion('orders');
    const during = descriptors(deployment);
    siege.end();
    await deadline.until(() => descriptors(deployment) <= base + 8);
    assert.equal(await ask('127.0.0.1'), 'OK');
    assert.ok(during < base + 2 * PER_PEER + 80, `${during} descriptors, ${base} before`);
    const refused = logLines(deployment).filter(({ message: line }) => /connection of ipv4:127.0.0.1 is refused/.test(line));
    assert.ok(refused.length > 0 && refused.length < 300, `${refused.length} lines of the log`);
  }

  it('with 1,500 silent connections takes none of the others', (context) => withstand(context, ''));

  it('with 1,500 connections that only begin a handshake takes none of the others',
    (context) => withstand(context, Buffer.from([22, 3, 1, 2, 0, 1])));

  it('with handshakes from 100 addresses leaves the others theirs', async (context) => {
    assert.equal(await ask('127.0.0.2'), 'OK');
    const base = descriptors(deployment);
    const flooding = startProcess('/usr/bin/python3', [FLOOD, `${deployment.tlsPort}`, 'hello', `${STRANGERS}`, '100'],
      { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'flood.log') });
    context.after(() => flooding.kill('SIGKILL'));
    await new Lines(flooding, 'stdout').next(new Deadline(60, 'the flood'));
    for (let i = 0; i < 5; ++i) assert.equal(await ask('127.0.0.2'), 'OK');
    await deployment.createAssertion('orders');
    flooding.kill('SIGKILL');
    const deadline = new Deadline(60, 'the end of the flood');
    await deadline.limit(flooding.ended);
    await deadline.until(() => descriptors(deployment) <= base + 8);
    assert.equal(await ask('127.0.0.2'), 'OK');
  });

  it('that speaks no TLS is closed at once, and gRPC does not hear of it', async () => {
    const seen = readFileSync(deployment.log, 'utf8').length;
    const connection = connectTo({ host: '127.0.0.1', port: deployment.tlsPort });
    const closed = new Promise((resolve) => { connection.on('close', resolve); });
    connection.on('error', () => {}).resume();
    connection.write('GET / HTTP/1.1\r\n\r\n');
    await new Deadline(30, 'the connection to be closed').limit(closed);
    assert.doesNotMatch(readFileSync(deployment.log, 'utf8').slice(seen), /gRPC/);
  });
});

asStrangers('a server in a user namespace', () => {
  it('takes no user whom the namespace does not map for another', async () => {
    const deployment = await Deployment.start([{ ...CLIENTS[0], callers: ['uid:0'] }], {},
      async (it) => { Object.assign(it, { launcher: ['unshare', '--user', '--map-root-user'] }); });
    chmodSync(deployment.folder, 0o711);
    chmodSync(path.dirname(deployment.folder), 0o711);
    const create = (uid) => run('setpriv', [...privileges(uid, 0), path.join(process.env.E2E_BIN_DIR, 'assertionctl'),
      'assertion', 'create', '--client-id', 'orders'], { env: deployment.environment });
    assert.match((await create(stranger)).stderr, /user namespace.*does not map/);
    assert.doesNotMatch((await create(0)).stderr, /does not map/);
    await deployment.close();
  });
});

asStrangers('a disk that is nearly full', () => {
  it('has a reserve for the lines of those who may', async () => {
    const disk = path.join(temporaryFolder(), 'reserve');
    mkdirSync(disk);
    await asRoot('mount', ['-t', 'tmpfs', '-o', 'size=24m,mode=700', 'reserve', disk]);
    let deployment;
    try {
      const file = path.join(disk, 'audit.log');
      deployment = await deploy({ audit: { path: file, reserve: 16 * MIB, checkpoint_lines: 1 } });
      const filler = path.join(disk, 'filler');
      await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M', 'count=10']);
      // What was seen of the disk before is forgotten within a second.
      const written = () => auditLines(file).filter(({ caller, event }) => caller === `uid:${stranger}` || event === 'LinesWithheld');
      const deadline = new Deadline(60, 'a flood that writes nothing');
      let before;
      do {
        before = written().length;
        await act(deployment, 'calls', 1);
        await deadline.until(() => true);
      } while (written().length !== before);
      await deployment.createAssertion('orders');
      assert.ok(auditLines(file).some(({ outcome, client_id: client }) => outcome === 'OK' && client === 'orders'));

      unlinkSync(filler);
      await deadline.until(async () => {
        await act(deployment, 'calls', 0.1);
        return auditLines(file).some(({ event, count }) => event === 'LinesWithheld' && count > 100);
      });
      const key = path.join(deployment.folder, 'audit.jwk');
      await deployment.ctl('audit', 'key', '--out', key);
      await deployment.ctl('audit', 'verify', file, '--key', key);
    } finally {
      try {
        await deployment?.close();
      } finally {
        await asRoot('umount', [disk]);
      }
    }
  });

  it('that is full makes a few lines of the log, however many call', async () => {
    const disk = path.join(temporaryFolder(), 'full');
    mkdirSync(disk);
    await asRoot('mount', ['-t', 'tmpfs', '-o', 'size=256k,mode=700', 'full', disk]);
    let deployment;
    try {
      deployment = await deploy({ audit: { path: path.join(disk, 'audit.log') } });
      await run('dd', ['if=/dev/zero', `of=${path.join(disk, 'filler')}`, 'bs=1k']);
      const caller = new Caller(AssertionService, deployment.socket);
      const refused = () => caller.call('CreateAssertion', { client_id: 'orders' }).then(() => false, () => true);
      const deadline = new Deadline(60, 'a refusal');
      while (!await refused()) await deadline.until(() => true);
      const lines = logLines(deployment).length;
      for (let i = 0; i < 20; ++i) assert.ok((await Promise.all(Array.from({ length: 100 }, refused))).every(Boolean));
      caller.close();
      assert.ok(logLines(deployment).length - lines < 60, `${logLines(deployment).length - lines} lines of 2000 refusals`);
      unlinkSync(path.join(disk, 'filler'));
    } finally {
      try {
        await deployment?.close();
      } finally {
        await asRoot('umount', [disk]);
      }
    }
  });
});
