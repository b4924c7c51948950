// Who may hold up a change of keys: nobody but the service itself, and nobody the emergency brake.
import assert from 'node:assert/strict';
import { chmodSync, readdirSync, statSync, writeFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, Lines, startProcess } from './process.mjs';

const CLIENT = { client_id: 'orders', audiences: ['https://is.example/token'] };

describe('locks', () => {
  let deployment;
  let faults;

  before(async () => {
    deployment = await Deployment.start([CLIENT, { ...CLIENT, client_id: 'billing' }],
      { key_limits: { per_client: 5, client_generations_per_hour: 3 } }, (made) => {
        faults = new FaultyHsm(made);
        faults.tell();
      });
    await deployment.generateKey('orders');
    await deployment.generateKey('billing');
  });

  after(() => deployment?.close());

  const signing = async () =>
    JSON.parse(await deployment.ctl('key', 'list', '--json')).keys.find(({ client_id, state }) =>
      client_id === 'orders' && state === 'signing');
  const revoke = (kid) => deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`, '--force', 'orders');

  it('the lock is a file that nobody else can open', () => {
    const folder = path.join(deployment.folder, 'lock');
    assert.equal(statSync(folder).mode & 0o777, 0o700);
    const [file, ...more] = readdirSync(folder);
    assert.deepEqual(more, []);
    assert.equal(statSync(path.join(folder, file)).mode & 0o777, 0o600);
  });

  it('who binds the name of an abstract socket holds nobody up', async () => {
    const slots = await deployment.askToken(['--list-slots']);
    const serial = /serial num\s*:\s*(\S+)/.exec(slots)[1];
    const name = `assertiond ${createHash('sha256').update(`SoftHSM project\0SoftHSM v2\0${serial}`).digest('base64url')}`;
    const squat = 'import socket,sys,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n' +
      's.bind("\\0"+sys.argv[1])\nprint("bound",flush=True)\nsys.stdin.read()\n';
    const python = ['/usr/bin/python3', '-c', squat, name];
    const nobody = process.getuid() === 0 ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', ...python] : python;
    const squatter = startProcess(nobody[0], nobody.slice(1),
      { log: path.join(deployment.folder, 'squatter.log') });
    const lines = new Lines(squatter, 'stdout');
    assert.equal(await lines.next(new Deadline(30, 'the squatter')), 'bound');
    try {
      await deployment.generateKey('orders');
      await deployment.stopDaemon();
      await deployment.startDaemon();
      await revoke((await signing()).kid);
      assert.equal(await signing(), undefined);
    } finally {
      squatter.kill('SIGKILL');
      await new Deadline(30, 'the end of the squatter').limit(squatter.ended);
    }
  });

  it('the brake does not wait for a generation that the HSM does not finish', async () => {
    await deployment.generateKey('orders');  // signs: no other does
    const { kid } = await signing();
    faults.tell('C_GenerateKeyPair hang');
    const before = faults.counts().get('C_GenerateKeyPair')?.faults ?? 0;
    const rotation = deployment.tryCtl('key', 'rotate', '--client-id', 'orders');
    await new Deadline(30, 'the HSM to hang').until(() =>
      (faults.counts().get('C_GenerateKeyPair')?.faults ?? 0) > before);
    const other = deployment.tryCtl('key', 'generate', '--client-id', 'billing');
    await revoke(kid);
    assert.equal(await signing(), undefined);
    faults.tell();
    const { status, stderr } = await rotation;
    assert.equal(status, 1, stderr);
    assert.match(stderr, /emergency brake came in between for client 'orders'/);
    assert.equal((await other).status, 0);
    assert.equal(await signing(), undefined);
  });

  it('one operator does not make keys without limit', async () => {
    let refused;
    for (let made = 0; made < 4 && !refused; ++made) {
      const { status, stderr } = await deployment.tryCtl('key', 'generate', '--client-id', 'billing');
      refused = status === 0 ? undefined : stderr;
    }
    assert.match(refused, /3 keys of client 'billing' were made in the last hour, as many as key_limits/);
    assert.match(refused, /try again in \d+ s/);
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    configuration.key_limits.client_generations_per_hour = 100;
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    const size = readFileSync(deployment.log, 'utf8').length;
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'the reload').until(() =>
      readFileSync(deployment.log, 'utf8').slice(size).includes('SIGHUP: clients and operators'));
    await deployment.generateKey('billing');
    const { stderr } = await deployment.tryCtl('key', 'generate', '--client-id', 'billing');
    assert.match(stderr, /client 'billing' has 5 keys, as many as key_limits\.per_client allows: destroy those/);
  });

  it('a folder that others may write is no place for the lock', async () => {
    const folder = path.join(deployment.folder, 'lock');
    chmodSync(folder, 0o770);
    const { status, stderr } = await deployment.tryCtl('key', 'generate', '--client-id', 'orders');
    assert.equal(status, 1);
    assert.match(stderr, /lock_directory: \S+ cannot be used: its group or others may write it: chmod 700/);
    chmodSync(folder, 0o700);
    await deployment.generateKey('orders');
  });
});
