// One attempt each at a promise of README or of the threat model. Its section "Attempts" lists them all, and those that other
// files hold.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { decodeJwt } from 'jose';
import { AssertionService, Caller, KeyAdminService } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, Lines, output, run, startProcess, wholeLines } from './process.mjs';
import { RawConnection, message } from './raw_connection.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const CREATE = 'assertion.v1.AssertionService/CreateAssertion';
const STREAM = 'assertion.v1.AssertionService/CreateAssertions';
const BIN = process.env.E2E_BIN_DIR;
const ASSERTIOND = path.join(BIN, 'assertiond');
const ASSERTIONCTL = path.join(BIN, 'assertionctl');
const ME = `uid:${process.getuid()}`;
const NEVER = '253402300799';  // 9999-12-31T23:59:59Z
const LURE = '$(touch lured);`touch lured`';  // a client's name that a shell must not read
const OTHER = 60201;
const NOGROUP = 65534;
const MIB = 1 << 20;
const isRoot = process.getuid() === 0;
const CONTROL = /[\x00-\x08\x0b-\x1f\x7f\x9b]/;
const TERMINAL = '\u001b]0;owned\u0007\u001b[2J\rOK\u009b31m\nok     forged';  // a title, an empty screen, lines of its own

const resident = (deployment) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`, 'utf8'))[1]) / 1024;
const descriptors = (deployment) => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;

describe('attempts over the socket', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [AUDIENCE], extra_claims: ['note'] },
      { client_id: 'foreign', audiences: [AUDIENCE], callers: ['uid:4294967294'] },
      { client_id: LURE, audiences: [AUDIENCE] },
    ], { listen_group: isRoot ? 'nogroup' : undefined, http_listen: '127.0.0.1:0', refresh_interval: '1s' });
    await deployment.generateKey('orders');
    chmodSync(deployment.folder, 0o711);
    chmodSync(path.dirname(deployment.folder), 0o711);
  });

  after(() => deployment?.close());

  async function ask(octets, { method = CREATE, headers = {} } = {}) {
    const connection = RawConnection.local(deployment.socket);
    const call = connection.call(method, headers);
    call.send(octets);
    const answer = await new Deadline(30, `an answer to ${method}`).limit(call.ended);
    connection.close();
    return answer;
  }
  const wellKnown = () => deployment.createAssertion('orders');

  it('a name beside the kernel\'s: no header makes another caller', async () => {
    for (const headers of [{ 'x-forwarded-client-cert': 'URI=spiffe://example.org/ns/pay/x', 'x-real-uid': '4294967294' },
      { authorization: 'Bearer root', 'x-user': 'uid:4294967294' }, { ':authority': 'uid:4294967294@localhost' },
      { ':authority': '4294967294' }, { host: 'admin.internal' }, { from: 'uid:4294967294' }]) {
      const { code, details } = await ask(message({ 1: 'foreign' }), { headers });
      assert.equal(code, 'PERMISSION_DENIED', JSON.stringify(headers));
      assert.match(details, new RegExp(`known here as "${ME}"`));
    }
  });

  it('another path to the same method: dots, case, slashes, escapes, a query', async () => {
    for (const method of ['assertion.v1.assertionservice/CreateAssertion', `/${CREATE}`, `./${CREATE}`, `x/../${CREATE}`,
      CREATE.replace('C', '%43'), `${CREATE}?x=1`, `${CREATE}/`, `${CREATE}#x`, `${CREATE};v=1`, 'assertion.v1.KeyAdminService']) {
      const { code } = await ask(message({ 1: 'orders' }), { method });
      assert.ok(['UNIMPLEMENTED', 'NONE', 'INTERNAL'].includes(code), `${method}: ${code}`);
    }
    await wellKnown();
  });

  it('another protocol on the socket: HTTP/1.1, TLS, nothing that is known', async () => {
    for (const text of ['GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n', 'POST /assertion.v1.KeyAdminService/RevokeKey HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n', '\0'.repeat(4096)]) {
      const socket = net.connect(deployment.socket);
      let answer = '';
      socket.on('data', (part) => { answer += part.toString('latin1'); }).on('error', () => {});
      const closed = new Promise((resolve) => { socket.on('close', resolve); });
      socket.end(Buffer.from(text, 'latin1'));
      await new Deadline(30, 'the connection to be closed').limit(closed);
      assert.doesNotMatch(answer, /HTTP\/1/, text);
    }
    await wellKnown();
  });

  it('a web page that sends a browser here: no page can say te: trailers', async () => {
    for (const headers of [{ te: undefined, 'content-type': 'text/plain' }, { te: undefined, origin: 'https://evil.example' },
      { te: undefined, 'content-type': 'application/x-www-form-urlencoded' }]) {
      const { code, octets } = await ask(message({ 1: 'orders' }), { headers });
      assert.notEqual(code, 'OK', JSON.stringify(headers));
      assert.equal(octets.length, 0);
    }
  });

  it('a client twice in one message: policy, assertion and audit log speak of the same', async () => {
    const first = await ask(Buffer.concat([message({ 1: 'orders' }), message({ 1: 'foreign' })]));
    assert.equal(first.code, 'PERMISSION_DENIED');
    const last = await ask(Buffer.concat([message({ 1: 'foreign' }), message({ 1: 'orders' })]));
    assert.equal(last.code, 'OK');
    assert.match(last.octets.toString('latin1'), /eyJ/);
    assert.equal(decodeJwt(/eyJ[\w.-]+/.exec(last.octets.toString('latin1'))[0]).sub, 'orders');
    assert.deepEqual(deployment.auditLines().filter(({ event }) => event === 'CreateAssertion').slice(-2).map(({ client_id: client, outcome }) => [client, outcome]),
      [['foreign', 'PERMISSION_DENIED'], ['orders', 'OK']]);
  });

  it('a name that looks like the client\'s', async () => {
    for (const name of ['orders\0', ' orders', 'orders\n', 'Orders', '\u043erders', 'orders\u200b', 'orders/../orders', '*']) {
      const { code } = await ask(message({ 1: Buffer.from(name) }));
      assert.ok(['PERMISSION_DENIED', 'NOT_FOUND', 'INVALID_ARGUMENT'].includes(code), `${JSON.stringify(name)}: ${code}`);
    }
  });

  it('an audience that a URL parser takes for the same', async () => {
    for (const audience of [`${AUDIENCE}/`, 'https://LOCALHOST:9443/oauth2/token', `${AUDIENCE}?`, `${AUDIENCE}#`, `${AUDIENCE} `,
      'https://localhost:9443/oauth2/./token', 'https://localhost:9443/oauth2/%74oken', `${AUDIENCE}\0`]) {
      assert.equal((await ask(message({ 1: 'orders', 2: Buffer.from(audience) }))).code, 'INVALID_ARGUMENT', audience);
    }
  });

  it('claims that JSON cannot say, or says twice: not a number, infinite, nested without end, repeated, half a character', async () => {
    const number = (value) => {
      const octets = Buffer.alloc(9);
      octets.writeUInt8(0x11);            // Value.number_value
      octets.writeDoubleLE(value, 1);
      return octets;
    };
    const claims = (...values) => Buffer.concat([message({ 1: 'orders' }),
      message({ 4: Buffer.concat(values.map((value) => message({ 1: Buffer.concat([message({ 1: 'note' }), message({ 2: value })]) }))) })]);
    for (const value of [NaN, Infinity, -Infinity]) {
      assert.equal((await ask(claims(number(value)))).code, 'INVALID_ARGUMENT', `${value}`);
    }
    assert.equal((await ask(claims(message({ 3: Buffer.from([0xed, 0xa0, 0x80]) })))).code, 'INVALID_ARGUMENT');
    const long = (field, octets) => Buffer.concat([Buffer.from([(field << 3) | 2, (octets.length & 127) | 128,
      ((octets.length >> 7) & 127) | 128, octets.length >> 14]), octets]);
    let nested = number(1);
    for (let depth = 0; depth < 2000; ++depth) nested = long(6, long(1, nested));   // Value.list_value, its values
    const deep = await ask(Buffer.concat([message({ 1: 'orders' }), long(4, long(1, Buffer.concat([message({ 1: 'note' }), long(2, nested)])))]));
    assert.equal(deep.code, 'INVALID_ARGUMENT', deep.details);
    const twice = await ask(claims(number(1), number(2)));
    assert.equal(twice.code, 'OK', twice.details);
    const [jwt] = /eyJ[\w.-]+/.exec(twice.octets.toString('latin1'));
    assert.equal(Buffer.from(jwt.split('.')[1], 'base64url').toString().match(/"note"/g).length, 1);
  });

  it('a lifetime out of all bounds', async () => {
    const caller = new Caller(AssertionService, deployment.socket);
    for (const lifetime of [{ seconds: 60, nanos: -1 }, { seconds: 1, nanos: 2147483647 }, { seconds: 0, nanos: -2147483648 },
      { seconds: '-9223372036854775808' }, { seconds: '9223372036854775807', nanos: 999999999 }]) {
      await assert.rejects(caller.call('CreateAssertion', { client_id: 'orders', lifetime }), { code: grpc.status.INVALID_ARGUMENT });
    }
    caller.close();
  });

  it('a deadline that is over, or none that is known: nothing is released late', async () => {
    // gRPC makes a millisecond of 1n, in which an answer may come.
    for (const timeout of ['0n', '1n', '0S', '-1S', 'abc', '99999999999999999999S', '1', '1Y']) {
      const { code } = await ask(message({ 1: 'orders' }), { headers: { 'grpc-timeout': timeout } });
      assert.ok(timeout.startsWith('0') ? ['DEADLINE_EXCEEDED', 'CANCELLED', 'NONE'].includes(code) : true,
        `${timeout}: ${code}`);
    }
    await wellKnown();
  });

  it('a trace that is none: its text stands in neither log', async () => {
    for (const trace of ['00-<script>alert(1)</script>-x-01', `00-${'g'.repeat(32)}-${'0'.repeat(16)}-01`, 'x'.repeat(4000),
      `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01`, `ff-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, `00-${'A'.repeat(32)}-${'b'.repeat(16)}-01;{"x":1}`]) {
      assert.equal((await ask(message({ 1: 'orders' }), { headers: { traceparent: trace } })).code, 'OK', trace);
      assert.equal(deployment.auditLines().at(-1).trace_id, undefined, trace);
    }
    assert.doesNotMatch(readFileSync(deployment.log, 'utf8'), /script|gggg|xxxx/);
  });

  it('versions at the end of their numbers', async () => {
    const admin = new Caller(KeyAdminService, deployment.socket);
    for (const version of ['9223372036854775807', '-9223372036854775808', '-1', '4294967297']) {
      await assert.rejects(admin.call('RotateKey', { client_id: 'orders', change: { expected_version: version } }),
        ({ code }) => [grpc.status.ABORTED, grpc.status.INVALID_ARGUMENT].includes(code), version);
    }
    admin.close();
  });

  it('a stream whose reader has stopped holds a bounded amount', async () => {
    const start = resident(deployment);
    const session = http2.connect('http://localhost', { createConnection: () => net.connect(deployment.socket),
      settings: { initialWindowSize: 0 } });
    session.on('error', () => {});
    const one = Buffer.concat([Buffer.alloc(5), message({ 1: 1, 2: message({ 1: 'orders' }) })]);
    one.writeUInt32BE(one.length - 5, 1);
    const many = Buffer.concat(Array.from({ length: 1000 }, () => one));
    const streams = Array.from({ length: 10 }, () => {
      const stream = session.request({ ':method': 'POST', ':path': `/${STREAM}`, 'content-type': 'application/grpc', te: 'trailers' });
      stream.on('error', () => {});
      for (let i = 0; i < 50; ++i) stream.write(many);
      return stream;
    });
    for (let i = 0; i < 20; ++i) await wellKnown();
    const more = resident(deployment) - start;
    for (const stream of streams) stream.close();
    session.destroy();
    assert.ok(more < 64, `${more} MiB`);
  });

  it('descriptors in a message of the socket are not kept', async () => {
    const start = descriptors(deployment);
    const { status, stdout, stderr } = await run('/usr/bin/python3', ['-c', `
import array, os, socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
fds = [os.open('/dev/null', os.O_RDONLY) for _ in range(100)]
rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))]
preface = b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n' + bytes(3) + b'\\x04' + bytes(5)
ping = b'\\0\\0\\x08\\x06' + bytes(13)
s.sendmsg([preface], rights)
for i in range(50):
    s.sendmsg([ping], rights)
    s.recv(65536)
print(len(os.listdir('/proc/' + sys.argv[2] + '/fd')))
`, deployment.socket, `${deployment.daemon.pid}`]);
    assert.equal(status, 0, stderr);
    assert.ok(Number(stdout) < start + 20, `${stdout.trim()} descriptors, ${start} before`);
  });

  it('health and reflection hold no more streams for an unlisted user than its connections', async () => {
    if (!isRoot) return;
    const start = { resident: resident(deployment), descriptors: descriptors(deployment) };
    const text = readFileSync(new URL('stranger.mjs', import.meta.url), 'utf8')
      .replace('/assertion.v1.AssertionService/${method}', '/${method}')
      .replace("'CreateAssertions').catch", "'grpc.health.v1.Health/Watch', Buffer.alloc(5)).catch");
    const holder = startProcess('setpriv', [`--reuid=${OTHER}`, `--regid=${NOGROUP}`, '--clear-groups', process.execPath,
      '--input-type=module', '-e', text, deployment.socket, 'hold', '2000'],
    { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'holder.log') });
    await new Lines(holder, 'stdout').next(new Deadline(60, 'the streams'));
    for (let i = 0; i < 20; ++i) await wellKnown();
    console.log(`2000 watches: ${(resident(deployment) - start.resident).toFixed(1)} MiB`);
    assert.ok(resident(deployment) - start.resident < 64);
    holder.kill('SIGKILL');
    await new Deadline(30, 'its descriptors to be free').until(() => descriptors(deployment) <= start.descriptors + 8);
  });

  it('a storm of SIGHUP is a few reloads', async () => {
    const answers = () => readFileSync(deployment.log, 'utf8').match(/SIGHUP: /g)?.length ?? 0;
    const before = answers();
    for (let i = 0; i < 500; ++i) deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'a reload').until(() => answers() > before);
    await wellKnown();
    assert.ok(answers() - before < 520);
  });

  it('paths of the HTTP listener lead nowhere else', async () => {
    const { port } = new URL(deployment.httpOrigin);
    const send = async (target, host = 'x') => {
      const socket = net.connect(port, '127.0.0.1');
      let answer = '';
      socket.on('data', (part) => { answer += part; }).on('error', () => {});
      const closed = new Promise((resolve) => { socket.on('close', resolve); });
      socket.write(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      await new Deadline(30, 'an answer').limit(closed);
      return answer;
    };
    for (const target of ['/clients/../../../../etc/passwd', '/clients/%2e%2e/%2e%2e/etc/passwd', '/clients/..%2f..%2fetc%2fpasswd/jwks.json',
      '/clients/orders/../foreign/../../metrics/x', '//etc/passwd', 'file:///etc/passwd', '/clients/orders\\..\\jwks.json',
      '/clients/orders%0d%0aX:%20y/jwks.json', '/clients/%ff%fe/jwks.json', '/clients/orders/certificate.pem?kid=../../../etc/passwd',
      '/clients/orders/certificate.pem?kid=%00', `/clients/${'%2e'.repeat(2000)}/jwks.json`, '*']) {
      const answer = await send(target);
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, target);
      assert.doesNotMatch(answer, /root:|^X: y/m, target);
    }
    assert.match(await send('/healthz', '"><script>\u001b[2J'), /^HTTP\/1\.1 (200|400) /);
  });

  it('idle connections to the HTTP listener keep nobody waiting for long', async () => {
    const { port } = new URL(deployment.httpOrigin);
    const start = descriptors(deployment);
    const idle = [];
    for (let i = 0; i < 300; ++i) {
      const socket = net.connect(port, '127.0.0.1').on('error', () => {});
      await Promise.race(['connect', 'close'].map((event) => new Promise((resolve) => { socket.once(event, resolve); })));
      idle.push(socket);
    }
    assert.ok(descriptors(deployment) < start + 270);
    await wellKnown();
    const began = performance.now();
    const { status } = await new Deadline(60, '/healthz').limit((async () => {
      for (;;) {   // closed at once while all places are taken
        const answer = await fetch(`${deployment.httpOrigin}/healthz`).catch(() => undefined);
        if (answer) return answer;
      }
    })());
    const seconds = (performance.now() - began) / 1000;
    console.log(`/healthz behind 300 idle connections: ${seconds.toFixed(1)} s`);
    assert.ok(seconds < 20, `${seconds} s`);   // of which 1 s is what it takes; each had a thread for 5 s before
    assert.equal(status, 200);
    for (const socket of idle) socket.destroy();
    await new Deadline(60, 'their descriptors to be free').until(() => descriptors(deployment) <= start + 8);
  });
});

describe('attempts on assertionctl', () => {
  let folder;
  let socket;
  let hostile;

  // A server in place of ours: whatever is asked is answered with text that steers a terminal.
  before(async () => {
    folder = path.join((await import('./process.mjs')).temporaryFolder(), 'hostile');
    mkdirSync(folder);
    socket = path.join(folder, 's');
    hostile = new grpc.Server();
    const fail = (call, done) => done({ code: grpc.status.PERMISSION_DENIED, details: `no ${TERMINAL}` });
    const key = { client_id: TERMINAL, kid: TERMINAL, algorithm: TERMINAL, state: 'KEY_STATE_SIGNING', hsm: TERMINAL };
    const lure = { client_id: LURE, kid: LURE, algorithm: LURE, state: 'KEY_STATE_SIGNING', hsm: LURE };
    const staged = { ...lure, kid: `${LURE}2`, state: 'KEY_STATE_STAGED', sign_from: { seconds: NEVER } };
    hostile.addService(AssertionService.service, {
      CreateAssertion: (call, done) => done(null, { assertion: TERMINAL, kid: TERMINAL, jti: TERMINAL }),
      GetCertificate: fail, GetJwks: (call, done) => done(null, { jwks: TERMINAL }),
    });
    hostile.addService(KeyAdminService.service, {
      ListKeys: (call, done) => done(null, { keys: [key, staged], versions: { [TERMINAL]: 1 } }), GetKey: (call, done) => done(null, { key }),
      ListPendingChanges: (call, done) => done(null, { changes: [{ id: TERMINAL, digest: TERMINAL, method: TERMINAL,
        client_id: TERMINAL, requested_by: TERMINAL, summary: TERMINAL }, { id: LURE, digest: LURE, method: LURE, client_id: LURE,
        requested_by: LURE, summary: LURE }] }),
      RotateKey: (call, done) => done(null, { key: lure, predecessor: { ...lure, algorithm: 'RS256' } }),
      GetAuditHead: (call, done) => done(null, { path: TERMINAL, hash: TERMINAL }),
      RevokeKey: fail, GenerateKey: fail,
      DestroyKey: (call, done) => done({ code: grpc.status.PERMISSION_DENIED, details: 'x'.repeat(20_000) }),
    });
    await new Promise((resolve, reject) => {
      hostile.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
    });
  });

  after(() => hostile?.forceShutdown());

  const ctl = (...options) => run(ASSERTIONCTL, options, { env: { ...process.env, ASSERTIOND_SERVER: `unix:${socket}` }, cwd: folder });

  it('a hostile server does not steer the terminal', async () => {
    for (const options of [['key', 'list'], ['key', 'show', '--client-id', 'orders'], ['key', 'pending'], ['audit', 'head'],
      ['key', 'generate', '--client-id', 'orders'], ['key', 'revoke', '--client-id', 'orders', '--kid=x', '--expected-version', '1'],
      ['certificate', 'get', '--client-id', 'orders'], ['assertion', 'create', '--client-id', 'orders'],
      ['jwks', 'get', '--client-id', 'orders'], ['key', 'list', '--json']]) {
      const { stdout, stderr } = await ctl(...options);
      assert.doesNotMatch(stdout + stderr, CONTROL, options.join(' '));
      if (options[0] !== 'jwks') assert.doesNotMatch(stdout + stderr, /^ok {5}forged/m, options.join(' '));  // JSON has lines
    }
  });

  it('what is no word is handed on as no assertion, to a script neither', async () => {
    for (const options of [[], ['--json'], ['--count', '2']]) {
      const { status, stdout, stderr } = await ctl('assertion', 'create', '--client-id', 'orders', ...options);
      assert.equal(status, 1, stdout);
      assert.equal(stdout, '');
      assert.match(stderr, options[0] === '--count' ? /^assertionctl: / : /the server's assertion is none: it holds \\x1b at octet 1\n {2}next: check that --server names assertiond/);
    }
  });

  it('an error that is too large is no matter of waiting', async () => {
    const { status, stderr } = await ctl('key', 'destroy', '--client-id', 'orders', '--kid=x', '--expected-version', '1', '--force', 'orders');
    assert.equal(status, 1);
    assert.match(stderr, /size exceeds.*\n {2}next: the server's answer is too large for assertionctl/);
  });

  it('a command to paste runs nothing that a hostile server has put into it', async () => {
    // Bash runs each offered command; only assertionctl may be what runs.
    const pasted = async (text) => {
      const commands = text.match(/assertionctl [a-z]+ [a-z]+ .*/g) ?? [];
      assert.notEqual(commands.length, 0, text);
      for (const command of commands) await run('bash', ['-c', `assertionctl() { :; }\n${command}`], { cwd: folder });
      assert.ok(!existsSync(path.join(folder, 'lured')), text);
    };
    for (const options of [['key', 'pending'], ['key', 'rotate', '--client-id', 'orders', '--expected-version', '1']]) {
      const { status, stdout, stderr } = await ctl(...options);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /\$\(touch lured\)/);
      await pasted(stdout);
    }
  });

  it('nor does a forged log, token or report', async () => {
    const file = (name, text) => {
      const at = path.join(folder, name);
      writeFileSync(at, text);
      return at;
    };
    const coded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const line = JSON.stringify({ seq: 1, prev: '', time: TERMINAL, event: TERMINAL, outcome: TERMINAL, caller: TERMINAL, reason: TERMINAL });
    const log = file('forged.log', `${line}\n${TERMINAL}\n`);
    const jwt = [coded({ alg: TERMINAL, kid: TERMINAL, typ: TERMINAL }), coded({ iss: TERMINAL, sub: TERMINAL, aud: TERMINAL, exp: 1, iat: TERMINAL }), 'AAAA'].join('.');
    const key = file('key.jwk', JSON.stringify({ kty: 'RSA', n: TERMINAL, e: 'AQAB', kid: TERMINAL }));
    for (const options of [['audit', 'show', log], ['audit', 'verify', log, '--key', key],
      ['assertion', 'inspect', file('forged.jwt', jwt)], ['key', 'evidence', 'verify', file('forged.evidence', jwt)],
      ['assertion', 'inspect', file('garbage', TERMINAL)], ['audit', 'show', path.join(folder, TERMINAL.replaceAll('/', ''))]]) {
      const { stdout, stderr } = await ctl(...options);
      assert.doesNotMatch(stdout + stderr, CONTROL, options.join(' '));
    }
  });

  it('a log that another key proves is not proven', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const key = path.join(folder, 'other.jwk');
    writeFileSync(key, JSON.stringify(publicKey.export({ format: 'jwk' })));
    const header = Buffer.from('{"alg":"none"}').toString('base64url');
    const line = { seq: 1, prev: 'A'.repeat(43), time: '2026-01-01T00:00:00.000000Z', event: 'Checkpoint', covers: 0, jws: `${header}..` };
    const log = path.join(folder, 'none.log');
    writeFileSync(log, `${JSON.stringify(line)}\n`);
    assert.notEqual((await ctl('audit', 'verify', log, '--key', key)).status, 0);
    writeFileSync(key, JSON.stringify(privateKey.export({ format: 'jwk' })));
    assert.notEqual((await ctl('audit', 'verify', log, '--key', key)).status, 0);
  });

  it('a server that is a file, a folder, a pipe, a port: refused, and not waited for', async () => {
    const pipe = path.join(folder, 'pipe');
    await output('mkfifo', [pipe]);
    for (const server of [`unix:${ASSERTIOND}`, `unix:${folder}`, `unix:${pipe}`, 'unix:', 'localhost:443', 'http://localhost/', '']) {
      const { status, stderr } = await ctl('--server', server, '--timeout', '5s', 'key', 'list');
      assert.ok([1, 2, 4, 5, 6, 69].includes(status), `${server}: ${status} ${stderr}`);
      assert.notEqual(stderr, '');
    }
  });
});

describe('attempts on files', () => {
  let deployment;
  let original;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], { refresh_interval: '1s' });
    await deployment.generateKey('orders');
    original = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
  });

  after(() => deployment?.close());

  const inFolder = (name) => path.join(deployment.folder, name);
  // Another server of the same token, which must not come up: its end.
  async function start(changed) {
    const configuration = inFolder('second.json');
    writeFileSync(configuration, JSON.stringify({ ...original, listen: `unix:${inFolder('second.sock')}`, audit: { path: inFolder('second.log') }, ...changed }));
    return run(ASSERTIOND, ['--config', configuration], { env: deployment.environment });
  }

  it('a PIN file that is a pipe, a folder, a device, or a link to one: the start ends and tries no PIN', async () => {
    const pipe = inFolder('pin.pipe');
    await output('mkfifo', ['-m', '600', pipe]);
    mkdirSync(inFolder('pin.folder'), { mode: 0o700 });
    symlinkSync('/dev/zero', inFolder('pin.link'));
    symlinkSync('pin.loop', inFolder('pin.loop'));
    for (const name of ['pin.pipe', 'pin.folder', 'pin.link', 'pin.loop']) {
      const { status, stderr } = await start({ hsm: original.hsm.replace(deployment.pinFile, inFolder(name)) });
      assert.ok([13, 14].includes(status), `${name}: ${status} ${stderr}`);
    }
  });

  it('an audit log that is a pipe, a folder, a device, a link to another file: the start is refused', async () => {
    const pipe = inFolder('audit.pipe');
    await output('mkfifo', ['-m', '600', pipe]);
    mkdirSync(inFolder('audit.folder'));
    writeFileSync(inFolder('precious'), 'precious', { mode: 0o600 });
    symlinkSync(inFolder('precious'), inFolder('audit.link'));
    for (const at of [pipe, inFolder('audit.folder'), '/dev/full', inFolder('audit.link')]) {
      const { status, stderr } = await start({ audit: { path: at } });
      assert.equal(status, 22, `${at}: ${stderr}`);
    }
    assert.equal(readFileSync(inFolder('precious'), 'utf8'), 'precious');
  });

  it('a ledger file that is a pipe, a folder, a device, or 1 GB of nothing', async () => {
    await output('mkfifo', ['-m', '600', inFolder('ledger.pipe')]);
    mkdirSync(inFolder('ledger.folder'));
    symlinkSync('/dev/zero', inFolder('ledger.link'));
    writeFileSync(inFolder('ledger.sparse'), '', { mode: 0o600 });
    truncateSync(inFolder('ledger.sparse'), 1 << 30);
    try {
      for (const name of ['ledger.pipe', 'ledger.folder', 'ledger.link', 'ledger.sparse']) {
        const { status, stderr } = await start({ ledger: `file:${inFolder(name)}` });
        assert.equal(status, 21, `${name}: ${stderr}`);
      }
    } finally {
      rmSync(inFolder('ledger.sparse'));
    }
  });

  it('a state or lock directory that is a file, a pipe, or nowhere', async () => {
    writeFileSync(inFolder('no.folder'), '');
    await output('mkfifo', [inFolder('folder.pipe')]);
    symlinkSync('nowhere', inFolder('folder.link'));
    for (const field of ['state_directory', 'lock_directory']) {
      for (const name of ['no.folder', 'folder.pipe', 'folder.link']) {
        const { status, stderr } = await start({ [field]: inFolder(name) });
        assert.ok([1, 3].includes(status), `${field} ${name}: ${status} ${stderr}`);
      }
    }
  });

  it('variables of gRPC put nothing but our lines into the log, and no secret', async () => {
    const environment = deployment.environment;
    deployment.environment = { ...environment, GRPC_VERBOSITY: 'DEBUG', GRPC_TRACE: 'all', GRPC_GO_LOG_SEVERITY_LEVEL: 'info' };
    const replica = await deployment.startReplica();
    deployment.environment = environment;
    await replica.createAssertion('orders');
    assert.deepEqual(await replica.stopDaemon(), { status: 0, signal: null });
    const log = wholeLines(replica.log);
    for (const line of log) assert.equal(typeof JSON.parse(line).message, 'string', line);
    assert.ok(!log.join('').includes(deployment.pin));
  });

  // What no check can stop: the PIN and the ledger's key are all that a server has, too.
  it('who had the PIN and wrote a ledger by hand is not stopped, and the audit log shows a version that nobody asked for', async () => {
    const objects = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'data']);
    const application = 'assertiond ledger';
    assert.match(objects, new RegExp(application));
    const jws = (await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--read-object', '--type', 'data',
      '--application-label', application, '--label', 'orders'])).trim();
    const [header, payload] = jws.split('.');
    const ledger = JSON.parse(Buffer.from(payload, 'base64url'));
    const { kid } = JSON.parse(Buffer.from(header, 'base64url'));
    const shown = () => deployment.auditLines().filter(({ event, client_id: client }) => event === 'LedgerVersion' && client === 'orders');
    const previous = shown().find((line) => line.version === ledger.version).hash;
    const version = ledger.version + 1;
    const input = `${header}.${Buffer.from(JSON.stringify({ ...ledger, version, previous })).toString('base64url')}`;
    writeFileSync(inFolder('input'), input);
    const keys = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'privkey']);
    const [, id] = /label:\s+assertiond-ledger\s+ID:\s+([0-9a-f]+)/.exec(keys);
    const signature = inFolder('signature');
    await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--sign', '--mechanism', 'SHA256-RSA-PKCS', '--id', id,
      '--input-file', inFolder('input'), '--output-file', signature]);
    writeFileSync(inFolder('forged'), `${input}.${readFileSync(signature).toString('base64url')}`);
    await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--write-object', inFolder('forged'), '--type', 'data', '--private',
      '--application-label', application, '--label', 'orders']);
    await new Deadline(30, `the version to be seen by ${kid}`).until(() => shown().some((line) => line.version === version));
    const acts = deployment.auditLines().filter(({ event, outcome }) => /Key$/.test(event) && outcome === 'OK');
    assert.equal(acts.length, 1);   // GenerateKey, which made version 1
  });
});

describe('attempts on TLS', () => {
  let deployment;
  let authority;
  let caller;
  let crls;
  let server;

  before(async () => {
    authority = await CertificateAuthority.found('callers');
    caller = await authority.identity('DNS:backend.example.org');
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE], callers: [ME, 'dns:backend.example.org'] }], (folder) => {
      crls = path.join(folder, 'crls');
      mkdirSync(crls);
      return {
        refresh_interval: '1s', http_listen: '127.0.0.1:0',
        tls: mutualTls(folder, authority.certificate, { crl_directory: crls }),
      };
    }, async (made) => {
      writeFileSync(path.join(crls, 'ca.crl'), await authority.crl());
      await made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--san', 'DNS:localhost', '--config', made.configuration);
    });
    await deployment.generateKey('orders');
    server = readFileSync(file('tls.pem'));
  });

  after(() => deployment?.close());

  const file = (name) => path.join(deployment.folder, name);
  const log = () => readFileSync(deployment.log, 'utf8');
  async function create(headers = {}, identity = caller) {
    const connection = RawConnection.tls(deployment.tlsPort, server, identity);
    const call = connection.call(CREATE, headers);
    call.send(message({ 1: 'orders' }));
    const answer = await new Deadline(30, 'an answer over TLS').limit(call.ended);
    connection.close();
    return answer;
  }

  it('a web page in the browser of who has a certificate: nothing without te: trailers', async () => {
    assert.equal((await create()).code, 'OK');
    assert.notEqual((await create({ te: undefined, 'content-type': 'text/plain', origin: 'https://evil.example' })).code, 'OK');
  });

  it('plain text to the port of TLS, and TLS that asks for no HTTP/2', async () => {
    const socket = net.connect(deployment.tlsPort, '127.0.0.1');
    let answer = '';
    socket.on('data', (part) => { answer += part.toString('latin1'); }).on('error', () => {});
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
    await new Deadline(30, 'the connection to be closed').limit(new Promise((resolve) => { socket.on('close', resolve); }));
    assert.doesNotMatch(answer, /HTTP|\0\0\0\x04/);
    assert.equal((await create()).code, 'OK');
  });

  it('a certificate whose key is not the token\'s, in the certificate\'s place', async () => {
    const own = readFileSync(file('tls.pem'), 'utf8');
    const stranger = await authority.identity('IP:127.0.0.1');
    writeFileSync(file('tls.pem'), stranger.cert);
    await new Deadline(30, 'the log to say so').until(() => /TLS goes on with what it had/.test(log()));
    writeFileSync(file('tls.pem'), own);
    assert.equal((await create()).code, 'OK');
  });

  it('a pipe, a device, 1 GB of nothing among the CRLs: not waited for, and a revocation is seen all the same', async () => {
    const metrics = async () => (await run('curl', ['--silent', '--insecure', `${deployment.httpOrigin}/metrics`])).stdout;
    const readable = async () => /^assertiond_crl_directory_readable (\d)$/m.exec(await metrics())?.[1];
    await output('mkfifo', [path.join(crls, 'pipe')]);
    symlinkSync('/dev/zero', path.join(crls, 'device'));
    const start = resident(deployment);
    writeFileSync(path.join(crls, 'sparse'), '');
    truncateSync(path.join(crls, 'sparse'), 1 << 30);
    await new Deadline(30, '1 GB to be noticed').until(async () => await readable() === '0');
    assert.equal((await create()).code, 'OK');
    assert.ok(resident(deployment) - start < 64, `${resident(deployment) - start} MiB`);
    rmSync(path.join(crls, 'sparse'));
    await new Deadline(30, '1 GB to be gone').until(async () => await readable() === '1');
    const leaver = await authority.identity('DNS:backend.example.org');
    assert.equal((await create({}, leaver)).code, 'OK');
    await authority.revoke(leaver.cert);
    writeFileSync(path.join(crls, 'new'), await authority.crl());
    renameSync(path.join(crls, 'new'), path.join(crls, 'ca.crl'));
    await new Deadline(30, 'the revocation').until(async () => (await create({}, leaver)).code !== 'OK');
    // New revocations end each connection that has made no call yet.
    await new Deadline(30, 'the others to be served').until(async () => (await create()).code === 'OK');
  });

  it('a pipe, a device, 10,000 certificates in the place of the authorities or of the certificate: all goes on as it was', async () => {
    for (const name of ['authorities.pem', 'tls.pem']) {
      const own = readFileSync(file(name), 'utf8');
      for (const [what, place] of [['a pipe', (at) => output('mkfifo', [at])], ['a device', (at) => symlinkSync('/dev/zero', at)],
        ['10,000 certificates', (at) => writeFileSync(at, own.repeat(10000))]]) {
        const before = log().length;
        rmSync(file(name));
        await place(file(name));
        await new Deadline(30, `the log to speak of ${what}`).until(() => /TLS goes on with what it had/.test(log().slice(before)));
        assert.equal((await create()).code, 'OK', `${name}: ${what}`);
        rmSync(file(name));
        writeFileSync(file(name), own);
        await new Deadline(30, 'the log to say that it is over').until(() => /TLS has what its files say again/.test(log().slice(before)));
      }
    }
  });
});
