// What the machine may do to assertiond: its clock goes an hour back and forth, the state directory's disk is full or read-only,
// memory is limited; and what another process of the same user can do to it.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { fakeClock } from './fake_clock.mjs';
import { asRoot, Deadline, Lines, output, run, startProcess, temporaryFolder } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const HOUR = 3600;  // seconds
const BIN = process.env.E2E_BIN_DIR;
const ASSERTIOND = path.join(BIN, 'assertiond');
const OTHER = 60001;  // a user that nobody else here is
const SPY = ['/usr/lib/x86_64-linux-gnu/pkcs11-spy.so', '/usr/lib/aarch64-linux-gnu/pkcs11-spy.so', '/usr/lib64/pkcs11-spy.so'];
const found = (files) => {
  const file = files.find(existsSync);
  assert.ok(file, `none of these is installed (deploy/install-deps.sh test): ${files}`);
  return file;
};

describe('the clock', () => {
  let deployment;
  let clock;

  before(async () => {
    let ours;
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], { refresh_interval: '1s' },
      async (prepared) => {
        clock = path.join(prepared.folder, 'clock');
        writeFileSync(clock, '+0');
        ours = prepared.environment;
        prepared.environment = { ...ours, ...fakeClock(clock) };
      });
    deployment.environment = ours;  // assertionctl has the real clock
  });

  after(() => deployment?.close());

  it('of an hour ahead and an hour behind: iat is the clock\'s, a key signs from its own time on, and the log verifies',
    async () => {
      await deployment.generateKey('orders');
      const create = () => deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
      const offBy = async () => decodeJwt((await create()).stdout.trim()).iat - Date.now() / 1000;
      assert.ok(Math.abs(await offBy()) < 60);
      writeFileSync(clock, `+${HOUR}`);
      assert.ok(Math.abs(await offBy() - HOUR) < 60);
      // Before the key's time nothing signs: not with an older key, not with an iat that a verifier would take for now.
      writeFileSync(clock, `-${HOUR}`);
      assert.match((await create()).stderr, /client 'orders' has no key that signs now/);
      writeFileSync(clock, '+0');
      assert.ok(Math.abs(await offBy()) < 60);
      const key = path.join(deployment.folder, 'audit.jwk');
      await deployment.ctl('audit', 'key', '--out', key);
      await new Deadline(60, 'a log that verifies with all its lines').until(async () => {
        const { status } = await deployment.tryCtl('audit', 'verify', path.join(deployment.folder, 'audit.log'), '--key', key);
        return status === 0;
      });
    });
});

describe('the state directory\'s disk', () => {
  let deployment;
  let disk;
  let calls;

  before(async () => {
    disk = path.join(temporaryFolder(), 'disk');
    mkdirSync(disk);
    await asRoot('mount', ['-t', 'tmpfs', '-o', `size=64k,mode=700,uid=${process.getuid()}`, 'state', disk]);
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }],
      { state_directory: disk, audit: { enabled: false } });
    await deployment.stopDaemon();
    // OpenSC's spy writes down every call on its way to the real module.
    calls = path.join(deployment.folder, 'calls');
    Object.assign(deployment.environment, { PKCS11SPY: deployment.wrapModule(found(SPY)), PKCS11SPY_OUTPUT: calls });
    writeFileSync(deployment.pinFile, '00000000\n');
  });

  after(async () => {
    deployment?.daemon.kill('SIGKILL');
    await asRoot('umount', [disk]);
  });

  const start = () => run(ASSERTIOND, ['--config', deployment.configuration],
    { env: deployment.environment });
  const logins = () => (readFileSync(calls, 'utf8').match(/C_Login$/gm) ?? []).length;

  // Whatever cannot be remembered is not tried: a restart loop would lock the token.
  it('is full: a wrong PIN is not tried at all', async () => {
    const filler = path.join(disk, 'filler');
    await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1k']);
    for (let restart = 0; restart < 3; ++restart) {
      const { status, stderr } = await start();
      assert.equal(status, 3, stderr);
      assert.match(stderr, /state_directory: cannot write .*No space left on device/);
    }
    assert.equal(logins(), 0);
    rmSync(filler);
  });

  it('is read-only: a wrong PIN is not tried at all', async () => {
    await asRoot('mount', ['-o', 'remount,ro', disk]);
    const { status, stderr } = await start();
    await asRoot('mount', ['-o', 'remount,rw', disk]);
    assert.equal(status, 3, stderr);
    assert.match(stderr, /state_directory: cannot write .*Read-only file system/);
    assert.equal(logins(), 0);
  });

  it('has room again: the wrong PIN is tried once, and remembered', async () => {
    for (const why of [/the token refused the PIN/, /not tried again/]) {
      const { status, stderr } = await start();
      assert.equal(status, 15, stderr);
      assert.match(stderr, why);
    }
    assert.equal(logins(), 1);
    assert.deepEqual(readdirSync(disk).filter((name) => name.endsWith('.try')), []);
  });
});

// Has the deployment's daemon started by `program options... assertiond`, which becomes it.
function startThrough(deployment, program, options) {
  deployment.startDaemon = async () => {
    const daemon = startProcess(program, [...options, ASSERTIOND, '--config', deployment.configuration],
      { env: deployment.environment, log: deployment.log });
    const lines = new Lines(daemon, 'stderr');
    const deadline = new Deadline(30, `assertiond to serve; its log is ${deployment.log}`);
    while (!(await lines.next(deadline)).includes('serving on unix:'));
    deployment.daemon = daemon;
  };
}

describe('another process of the same user', () => {
  const AS_OTHER = [`--reuid=${OTHER}`, `--regid=${OTHER}`, '--clear-groups', '--pdeathsig', 'KILL'];
  const isRoot = process.getuid() === 0;  // only root can become another user
  let deployment;

  before(async () => {
    if (!isRoot) return;
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] },
      { client_id: 'theirs', audiences: [AUDIENCE], callers: [`uid:${OTHER}`] }], {}, async (prepared) => {
      chmodSync(path.dirname(prepared.folder), 0o711);
      await output('chown', ['-R', `${OTHER}:${OTHER}`, prepared.folder]);
      startThrough(prepared, 'setpriv', AS_OTHER);
    });
    await deployment.generateKey('orders');
    await deployment.generateKey('theirs');
  });

  after(() => deployment?.daemon.kill('SIGKILL'));

  const asOther = (program, ...options) => run('setpriv', [...AS_OTHER, program, ...options], { env: deployment.environment });

  it('reads none of its memory, takes none of its descriptors, and does not trace it', async () => {
    if (!isRoot) return;
    const { pid } = deployment.daemon;
    for (const file of ['environ', 'maps', 'mem', 'auxv', 'stack']) {
      const { status, stderr } = await asOther('cat', `/proc/${pid}/${file}`);
      assert.equal(status, 1, file);
      assert.match(stderr, /Permission denied|Operation not permitted/, file);
    }
    assert.notEqual((await asOther('ls', `/proc/${pid}/fd/`)).status, 0);
    const attempts = await asOther('/usr/bin/python3', '-c', `
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
pid = ${pid}
def attempt(name, *arguments):
    print(name, libc.syscall(*arguments), os.strerror(ctypes.get_errno()))
room = ctypes.create_string_buffer(64)
class Part(ctypes.Structure):
    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
part = Part(ctypes.addressof(room), 64)
ptrace = libc.ptrace
print('attach', ptrace(16, pid, None, None), os.strerror(ctypes.get_errno()))
print('seize', ptrace(0x4206, pid, None, None), os.strerror(ctypes.get_errno()))
print('read', libc.process_vm_readv(pid, ctypes.byref(part), 1, ctypes.byref(part), 1, 0), os.strerror(ctypes.get_errno()))
fd = os.pidfd_open(pid)
attempt('descriptor', 438, fd, 3, 0)
`);
    assert.equal(attempts.status, 0, attempts.stderr);
    for (const what of ['attach', 'seize', 'read', 'descriptor']) {
      assert.match(attempts.stdout, new RegExp(`^${what} -1 Operation not permitted$`, 'm'));
    }
  });

  it('may leave it no threads: a start ends with a line that says so', async () => {
    if (!isRoot) return;
    const { status, stderr } = await run('prlimit', ['--nproc=100:100', 'setpriv', ...AS_OTHER, path.join(BIN, 'assertiond'),
      '--config', deployment.configuration], { env: deployment.environment });
    assert.equal(status, 1, stderr);
    assert.match(stderr, /this process may start too few threads.*RLIMIT_NPROC, pids\.max/);
  });

  it('is a caller like any other: it has what that user is listed for, and no more', async () => {
    if (!isRoot) return;
    const create = (client) => asOther(path.join(BIN, 'assertionctl'), 'assertion', 'create', '--client-id', client);
    assert.equal((await create('theirs')).status, 0);
    assert.match((await create('orders')).stderr, new RegExp(`known here as "uid:${OTHER}"`));
    assert.match((await asOther(path.join(BIN, 'assertionctl'), 'key', 'list')).stderr, /the role viewer is needed/);
  });

  // The threat model says so: it can end the process. No core file tells what was in it.
  it('can end it, and gets no core file', async () => {
    if (!isRoot) return;
    const { pid, ended } = deployment.daemon;
    await asOther('sh', '-c', `kill -QUIT ${pid}`);
    const { signal } = await new Deadline(30, 'the end').limit(ended);
    assert.equal(signal, 'SIGQUIT');
    const cores = readdirSync(deployment.folder).filter((name) => name.startsWith('core'));
    assert.deepEqual(cores, []);
    assert.ok(!existsSync('core'));
  });
});

describe('memory', () => {
  const LIMIT = 64 << 20;
  const V1 = '/sys/fs/cgroup/memory';
  const V2 = '/sys/fs/cgroup';
  let deployment;
  let group;
  let file;

  // A control group of our own with this limit; nothing where this process may not make one.
  function makeGroup() {
    const isV1 = existsSync(V1);
    const made = path.join(isV1 ? V1 : V2, `assertiond-${process.pid}`);
    try {
      mkdirSync(made);
      writeFileSync(path.join(made, isV1 ? 'memory.limit_in_bytes' : 'memory.max'), String(LIMIT));
    } catch {
      return undefined;
    }
    file = (name, v2) => path.join(made, isV1 ? name : v2);
    return made;
  }

  before(async () => {
    group = makeGroup();
    if (!group) return;
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], {}, async (prepared) => {
      startThrough(prepared, 'sh', ['-c', `echo $$ >${group}/cgroup.procs && exec "$@"`, 'sh']);
    });
    await deployment.generateKey('orders');
  });

  after(async () => {
    deployment?.daemon.kill('SIGKILL');
    await deployment?.daemon.ended;
    if (group) rmdirSync(group);
  });

  it('of 64 MiB is enough for fifty connections and a reload of 10,000 clients', async (test) => {
    if (!group) {
      test.diagnostic('no memory control group may be made here: not tried');
      return;
    }
    const callers = Array.from({ length: 50 }, () => new Caller(AssertionService, deployment.socket));
    const all = () => Promise.all(callers.map(async (caller) => {
      for (let i = 0; i < 10; ++i) await caller.call('CreateAssertion', { client_id: 'orders' });
    }));
    await all();
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    for (let i = 0; i < 10000; ++i) {
      configuration.clients.push({ client_id: `client-${i}`, audiences: [AUDIENCE], callers: [`uid:${70000 + i}`] });
    }
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    for (let times = 1; times <= 3; ++times) {
      deployment.daemon.kill('SIGHUP');
      await new Deadline(60, `reload ${times}; the log is ${deployment.log}`).until(() =>
        readFileSync(deployment.log, 'utf8').match(/as the configuration says now/g)?.length === times);
    }
    await all();
    for (const caller of callers) caller.close();
    test.diagnostic(`at most ${readFileSync(file('memory.max_usage_in_bytes', 'memory.peak'), 'utf8').trim()} octets`);
    assert.match(readFileSync(file('memory.oom_control', 'memory.events'), 'utf8'), /^oom_kill 0$/m);
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
  });
});
