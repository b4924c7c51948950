// What a refusal says was wrong, and what to do next.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as connections } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, output, run, startProcess } from './process.mjs';

const AUDIENCE = 'https://idp.example/token';
const CTL = path.join(process.env.E2E_BIN_DIR, 'assertionctl');

describe('advice', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start(['orders', 'taken', 'wrong'].map((id) => ({ client_id: id, audiences: [AUDIENCE] })));
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  async function isTold(expected, words, ...patterns) {
    const { status, stderr } = await deployment.tryCtl(...words);
    assert.equal(status, expected, stderr);
    for (const pattern of patterns) assert.match(stderr, pattern);
    return stderr;
  }

  const file = (name, content) => {
    const at = path.join(deployment.folder, name);
    writeFileSync(at, content);
    return at;
  };

  it('assertion inspect: a file without a key leaves the signature unchecked', async () => {
    const assertion = file('assertion.jwt', await deployment.createAssertion('orders'));
    const certificate = file('orders.pem', await deployment.ctl('certificate', 'get', '--client-id', 'orders'));
    for (const [option, wrong, why] of [['--certificate', assertion, 'not a PEM certificate'], ['--jwks', certificate, 'not a JWK Set']]) {
      const { status, stdout, stderr } = await deployment.tryCtl('assertion', 'inspect', assertion, option, wrong);
      assert.equal(status, 3, stderr);
      assert.match(stdout, /^signature: not checked$/m);
      assert.ok(stderr.startsWith(`assertionctl: ${wrong}: ${why}`), stderr);
      assert.match(stderr, /^ {2}next: name a certificate in PEM with --certificate, or a JWK Set with --jwks/m);
    }
  });

  it('a key that another takes over from: when it ends, how to destroy it, and first of all to wait', async () => {
    const first = await deployment.generateKey('taken');
    const staged = await deployment.ctl('key', 'generate', '--client-id', 'taken');
    assert.match(staged, /^ {2}next: put its certificate at the identity server .*certificate get .*; then assertionctl key schedule --client-id taken --kid=\S+ --sign-from now$/m);
    const [, second] = /--kid=(\S+?)'? --sign-from/.exec(staged);
    const scheduled = await deployment.ctl('key', 'schedule', '--client-id', 'taken', `--kid=${second}`, '--sign-from', 'now');
    const [, until] = new RegExp(`^key ${first.kid} signs until then, and stays published until (\\S+) \\(in \\d+ \\w+\\)$`, 'm').exec(scheduled);
    assert.match(scheduled, new RegExp(`^  next: after ${until}, .*: assertionctl key destroy --client-id taken --kid=${first.kid}$`, 'm'));
    const named = ['--client-id', 'taken', `--kid=${first.kid}`];
    await isTold(1, ['key', 'destroy', ...named], new RegExp(`not withdrawn before ${until}: wait until then, revoke it, or force`),
      /^ {2}next: wait until that time, then repeat the command; if it cannot wait: assertionctl .*--force taken$/m);
    await isTold(1, ['key', 'schedule', ...named, '--sign-from', 'now'],
      /sign_from: the key stopped signing at \S+ and does not start again; rotate to a new key/,
      /^ {2}next: assertionctl key rotate /m);
  });

  it('a socket that is none, an address without unix:, and one that may not be opened', async () => {
    const server = (address) => ['--server', address, 'key', 'list'];
    await isTold(4, server(`unix:${deployment.folder}`), /it is a folder, not a socket$/m, /^ {2}next: name assertiond's socket with --server/m);
    await isTold(4, server(`unix:${file('plain', '')}`), /it is a file, not a socket$/m);
    await isTold(2, server(deployment.socket), new RegExp(`--server: must be unix:/PATH, and so must \\$ASSERTIOND_SERVER, .*; did you mean "unix:${deployment.socket}"\\?`));
    if (process.getuid() === 0) {
      await output('chmod', ['711', path.dirname(deployment.folder), deployment.folder]);
      const { status, stderr } = await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', CTL, 'key', 'list'],
        { env: { PATH: process.env.PATH, ASSERTIOND_SERVER: deployment.environment.ASSERTIOND_SERVER } });
      await output('chmod', ['700', path.dirname(deployment.folder), deployment.folder]);
      assert.equal(status, 4, stderr);
      assert.match(stderr, /you may not open it/);
      assert.match(stderr, /^ {2}next: run this as root or as a member of that group/m);
    }
  });

  it('a socket whose process does not answer, and a path that no socket can have', async () => {
    const server = (socket) => ['--server', `unix:${socket}`, 'key', 'list'];
    for (const [name, answer] of [['mute', (connection) => connection.unref()], ['closing', (connection) => connection.destroy()]]) {
      const socket = path.join(deployment.folder, `${name}.sock`);
      const listener = connections(answer).listen(socket).unref();
      await once(listener, 'listening');
      await isTold(4, server(socket), new RegExp(`no server answers at unix:${socket} within 5000 ms: a process listens there and does not answer$`, 'm'),
        /^ {2}next: if that is assertiond, its log and systemctl status assertiond show what holds it up; /m);
      listener.close();
    }
    const long = path.join(deployment.folder, 'x'.repeat(107));
    const told = await isTold(4, server(long), /: the path is too long: \d+ octets, and a socket's has at most 107$/m,
      /^ {2}next: name a shorter path with --server/m);
    assert.match(told, /^assertionctl: /);
  });

  it('a folder above the socket that may not be searched, and who may', async () => {
    if (process.getuid() !== 0) return;  // only root can become another user
    const above = path.dirname(deployment.folder);
    const link = path.join(above, 'link');
    symlinkSync(path.basename(deployment.folder), link);
    // As the user nobody, in the group nogroup alone.
    const told = async (server) => {
      const { status, stderr } = await run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', CTL, 'key', 'list'],
        { env: { PATH: process.env.PATH, ASSERTIOND_SERVER: `unix:${server}` } });
      assert.equal(status, 4, stderr);
      return stderr;
    };
    const closed = (folder) => `you may not search the folder ${folder}, which leads to it: `;
    try {
      await output('chmod', ['711', above]);
      const owners = await told(deployment.socket);
      assert.ok(owners.includes(`${closed(deployment.folder)}only its owner may, the user root`), owners);
      assert.match(owners, /^ {2}next: run this as root or as that user; /m);
      assert.ok((await told(path.join(link, 'assertiond.sock'))).includes(closed(deployment.folder)));
      await output('chgrp', ['games', deployment.folder]);
      await output('chmod', ['710', deployment.folder]);
      const groups = await told(deployment.socket);
      assert.ok(groups.includes(`${closed(deployment.folder)}it needs membership of the group games`), groups);
      assert.match(groups, /^ {2}next: run this as root or as a member of that group: id -Gn shows your groups$/m);
      await output('chmod', ['700', above]);   // the first of two
      assert.ok((await told(deployment.socket)).includes(`${closed(above)}only its owner may, the user root`));
    } finally {
      await output('chgrp', ['root', deployment.folder]);
      await output('chmod', ['700', above, deployment.folder]);
      rmSync(link);
    }
  });

  it('a change that does not wait for approval', async () => {
    await isTold(1, ['key', 'approve', 'abc', '--digest=def'], /id: no such change/, /^ {2}next: assertionctl key pending /m);
    await isTold(1, ['key', 'withdraw', 'abc'], /^ {2}next: assertionctl key pending /m);
  });

  it('what the client may not ask for names the setting', async () => {
    const create = (...options) => ['assertion', 'create', '--client-id', 'orders', ...options];
    await isTold(1, create('--audience', `${AUDIENCE}/`), new RegExp(`did you mean "${AUDIENCE}"\\?`), /^ {2}next: clients\[\]\.audiences in /m);
    await isTold(1, create('--lifetime', '1h'), /^ {2}next: clients\[\]\.max_lifetime in assertiond's configuration says /m);
    await isTold(1, create('--claim', 'foo=1'), /^ {2}next: clients\[\]\.extra_claims in /m);
  });

  it('files: the reason, and for the audit log that nothing was found', async () => {
    const missing = path.join(deployment.folder, 'none');
    await isTold(3, ['audit', 'show', missing], /\S+none cannot be read: No such file or directory/, /^ {2}next: name the file of audit\.path/m);
    await isTold(3, ['assertion', 'inspect', missing], /cannot read \S+none: No such file or directory/);
    await isTold(3, ['assertion', 'inspect', deployment.folder], /cannot read \S+: Is a directory/);
    await isTold(3, ['jwks', 'get', '--client-id', 'orders', '--out', '/nonexistent/x'], /cannot write \/nonexistent\/x: No such file or directory/);
    await isTold(3, ['audit', 'show', file('no.log', 'text\n')], /no line of an audit log is in \S+no\.log/);
    await isTold(0, ['audit', 'show', path.join(deployment.folder, 'audit.log'), '--caller', 'root'], /A caller stands there as uid:NUMBER, /);
  });

  it('key import from a file', async () => {
    const { status, stderr } = await run('sh', ['-c', '"$0" key import --client-id orders < "$1"', CTL, file('key.pem', '')],
      { env: deployment.environment });
    assert.equal(status, 3);
    assert.match(stderr, /is read from a pipe alone/);
    assert.match(stderr, /^ {2}next: assertionctl key import --help .* imported_keys true/m);
    assert.doesNotMatch(stderr, /name another file/);
  });

  it('URLs and what answers at them', async () => {
    await isTold(2, ['status', '--monitor', '127.0.0.1:8090'], /--monitor must begin with https:\/\/, or with http:\/\/ for a loopback address/);
    const request = (endpoint) => ['token', 'request', '--client-id', 'orders', '--token-endpoint', endpoint];
    await isTold(4, request('https://no-such-host.invalid/token'), /this machine finds no host of that name/);
    const plain = createServer((asked, answer) => answer.end()).listen(0, '127.0.0.1');
    await new Promise((resolve) => { plain.on('listening', resolve); });
    const { port } = plain.address();
    await isTold(4, request(`https://127.0.0.1:${port}/token`), /TLS with \S+ failed: .*plain HTTP/);
    await new Promise((resolve) => { plain.close(resolve); });
    await isTold(4, request(`https://127.0.0.1:${port}/token`), /connection refused, or no way to it$/m);
  });

  it('--check-config says that the file is correct, and who cannot call', async () => {
    const check = async (changed) => {
      const at = file('checked.json', JSON.stringify({ ...JSON.parse(readFileSync(deployment.configuration, 'utf8')), ...changed }));
      return [at, await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--check-config', at], { env: deployment.environment })];
    };
    const [at, correct] = await check({});
    assert.deepEqual(correct, { status: 0, stdout: `${at}: correct, with 3 clients\n`, stderr: '' });
    const [, lonely] = await check({ operators: [], clients: [{ client_id: 'orders', audiences: [AUDIENCE], callers: [] }] });
    assert.deepEqual([lonely.status, lonely.stdout], [0, `${at}: correct, with 1 client\n`]);
    assert.equal(lonely.stderr, `${at}:1: warning: operators: there is none: nobody can generate or rotate keys\n` +
      `${at}:1: warning: clients[0].callers: there is none: nobody gets an assertion of client 'orders'\n`);
  });

  it('a start without its state folder', async () => {
    const at = file('stateless.json', JSON.stringify({ ...JSON.parse(readFileSync(deployment.configuration, 'utf8')),
      listen: `unix:${deployment.folder}/other.sock`, state_directory: path.join(deployment.folder, 'none'),
      audit: { path: path.join(deployment.folder, 'other.log') }, lock_directory: path.join(deployment.folder, 'lock') }));
    const { status, stderr } = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--config', at], { env: deployment.environment });
    assert.equal(status, 3, stderr);
    assert.match(stderr, /none\/pin-refused-\S+: No such file or directory: make the folder, with mode 0700, for the user that runs assertiond/);
  });

  it('oidc login --timeout takes a unit', () => isTold(2, ['oidc', 'login', '--client-id', 'orders', '--issuer', 'https://idp.example',
    '--timeout', '25h'], /--timeout: must be digits and s, m or h, at least 1s and at most 24h, for example 300s/));

  it('assertion refresh says that it goes on', async () => {
    const kept = path.join(deployment.folder, 'kept');
    const child = startProcess(CTL, ['assertion', 'refresh', '--client-id', 'orders', '--out', kept],
      { env: deployment.environment, log: path.join(deployment.folder, 'refresh.log') });
    const lines = new Lines(child, 'stderr');
    const deadline = new Deadline(30, 'the first assertion');
    let line = '';
    while (!line.includes('keeps a fresh assertion')) line = await lines.next(deadline);
    assert.equal(line, `assertionctl: keeps a fresh assertion in ${kept} until SIGTERM or Ctrl-C`);
    child.kill('SIGTERM');
    assert.equal((await deadline.limit(child.ended)).status, 0);
  });
});
