// SIGTERM ends assertiond with status 0, and calls that it has begun are answered first.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { AccessTokenService, AssertionService, Caller, KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { describeInNamespaces } from './hsm_network.mjs';
import { Deadline, Lines, startProcess } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';

// Clock ticks of processor time that a process has used (proc(5), utime and stime).
function processorTime(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

describe('the end of assertiond', () => {
  let deployment;
  const clients = [];

  beforeEach(async () => {
    deployment = await Deployment.start(['orders', 'late'].map((client) =>
      ({ client_id: client, audiences: [AUDIENCE] })));
  });

  afterEach(() => {
    for (const client of clients.splice(0)) client.close();
    deployment.daemon.kill('SIGKILL');
  });

  function caller(Service, method) {
    const client = new Caller(Service, deployment.socket);
    clients.push(client);
    return (request) => client.call(method, request);
  }

  async function assertStopped(ended) {
    const end = await new Deadline(60, `assertiond to end; its log is ${deployment.log}`).limit(ended);
    assert.deepEqual(end, { status: 0, signal: null }, `assertiond's log is ${deployment.log}`);
    const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
    assert.equal(status, 4, stderr);
  }

  for (const signal of ['SIGTERM', 'SIGINT']) {
    it(`${signal} while idle`, async () => {
      await deployment.ctl('key', 'list');
      deployment.daemon.kill(signal);
      await assertStopped(deployment.daemon.ended);
    });
  }

  it('SIGTERM while assertions are being signed', async () => {
    // A large key, so that the signatures take a while.
    await deployment.generateKey('orders', '--bits', '4096');
    const verificationKeys = createLocalJWKSet(await deployment.jwks('orders'));
    const createAssertion = caller(AssertionService, 'CreateAssertion');
    let answered = 0;
    const calls = Array.from({ length: 64 }, async () => {
      const { assertion } = await createAssertion({ client_id: 'orders' });
      if (++answered === 8) deployment.daemon.kill('SIGTERM');
      return assertion;
    });
    const outcomes = await Promise.allSettled(calls);
    assert.deepEqual(outcomes.filter(({ status }) => status !== 'fulfilled').map(({ reason }) => reason.message), []);
    for (const { value } of outcomes) await jwtVerify(value, verificationKeys, { audience: AUDIENCE });
    await assertStopped(deployment.daemon.ended);
  });

  it('SIGTERM while a key is being generated', async () => {
    await deployment.generateKey('orders');
    const generateKey = caller(KeyAdminService, 'GenerateKey');
    await caller(KeyAdminService, 'ListKeys')({});
    const before = processorTime(deployment.daemon.pid);
    const call = generateKey({ client_id: 'late', key_bits: 4096, change: { expected_version: 0 } });
    // Only the search for primes takes that much: the call is in flight.
    await new Deadline(30, 'assertiond to begin').until(() => processorTime(deployment.daemon.pid) >= before + 5);
    deployment.daemon.kill('SIGTERM');
    const { key } = await call;
    assert.equal(key.client_id, 'late');
    assert.equal(key.key_bits, 4096);
    await assertStopped(deployment.daemon.ended);

    await deployment.startDaemon();
    assert.equal((await deployment.key('late')).kid, key.kid);
    await deployment.createAssertion('late');
    await deployment.close();
    assert.ok(!existsSync(deployment.socket), 'the socket is gone');
  });
});

describe('the end of assertiond that waits for an identity server', () => {
  it('comes within drain_limit, and is recorded', async (context) => {
    const hanging = await TokenEndpoint.start();
    hanging.reset({});
    hanging.held = new Promise(() => {});
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [hanging.url], tokens: { token_endpoint: hanging.url } }],
      { drain_limit: '1s' });
    const caller = new Caller(AccessTokenService, deployment.socket);
    context.after(() => {
      caller.close();
      hanging.close();
      deployment.daemon.kill('SIGKILL');
    });
    await deployment.generateKey('orders');
    const refused = assert.rejects(caller.call('GetAccessToken', { client_id: 'orders' }), /UNAVAILABLE/);
    while (hanging.forms.length === 0) await once(hanging, 'form');
    const { status, signal } = await deployment.stopDaemon();
    assert.deepEqual({ status, signal }, { status: 0, signal: null });
    await refused;
    const events = deployment.auditLines();
    assert.match(events.find(({ event }) => event === 'BuyAccessToken').reason, /the program stops/);
    assert.ok(events.some(({ event }) => event === 'Stop'), 'no line tells the stop');
  });
});

// A name server that is asked and never answers, alone in a network with the process that `launcher` starts.
class SilentNameServer {
  static async start(folder) {
    const configuration = path.join(folder, 'resolv.conf');
    writeFileSync(configuration, 'nameserver 127.0.0.1\noptions timeout:30 attempts:5\n');
    const server = new SilentNameServer();
    server.process = startProcess('unshare', ['--net', '--mount', 'sh', '-c',
      `ip link set lo up && mount --bind ${configuration} /etc/resolv.conf && exec /usr/bin/python3 -c '
import socket
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asked.bind(("127.0.0.1", 53))
print("ready", flush=True)
while asked.recv(512):
    print("asked", flush=True)'`], { log: path.join(folder, 'name-server.log') });
    server.said = new Lines(server.process, 'stdout');
    assert.equal(await server.said.next(new Deadline(30, 'a name server')), 'ready');
    return server;
  }

  get launcher() {
    const namespaces = `/proc/${this.process.pid}/ns`;
    return ['nsenter', `--net=${namespaces}/net`, `--mount=${namespaces}/mnt`];
  }
}

describeInNamespaces('the end of assertiond while the name service does not answer', () => {
  it('comes within drain_limit and a second, and is recorded and proven', async (context) => {
    const url = 'https://is.example.com/token';
    let nameServer;
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [url], tokens: { token_endpoint: url } }],
      { drain_limit: '5s' }, async (prepared) => {
        nameServer = await SilentNameServer.start(prepared.folder);
        prepared.launcher = nameServer.launcher;
      });
    const caller = new Caller(AccessTokenService, deployment.socket);
    context.after(() => {
      caller.close();
      nameServer.process.kill('SIGKILL');
      deployment.daemon.kill('SIGKILL');
    });
    await deployment.generateKey('orders');
    const key = path.join(deployment.folder, 'audit.jwk');
    await deployment.ctl('audit', 'key', '--out', key);
    const refused = assert.rejects(caller.call('GetAccessToken', { client_id: 'orders' }), /UNAVAILABLE/);
    assert.equal(await nameServer.said.next(new Deadline(30, 'a look-up')), 'asked');
    const began = Date.now();
    const end = await deployment.stopDaemon();
    const seconds = (Date.now() - began) / 1000;
    assert.deepEqual(end, { status: 0, signal: null });
    assert.ok(seconds < 6, `${seconds} s`);
    await refused;
    const lines = deployment.auditLines();
    assert.match(lines.find(({ event }) => event === 'BuyAccessToken').reason, /the program stops/);
    assert.deepEqual(lines.slice(-2).map(({ event }) => event), ['Stop', 'Checkpoint']);
    const { stdout } = await deployment.tryCtl('audit', 'verify', path.join(deployment.folder, 'audit.log'), '--key', key, '--json');
    assert.equal(JSON.parse(stdout).proven_sequence, lines.at(-1).seq);
  });
});
