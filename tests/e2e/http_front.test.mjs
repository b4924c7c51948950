// The HTTP front on a Unix socket of its own: access tokens and assertions for programs without gRPC.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { Deployment } from './deployment.mjs';
import { Deadline, run } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;
const OTHER = 60001;  // not nobody, who is refused
const NOGROUP = 65534;

describe('the HTTP front', () => {
  let deployment;
  let socket;
  let standIn;
  let endpoint;

  before(async () => {
    standIn = await TokenEndpoint.start();
    endpoint = standIn.url;
    const client = (client_id, tokens = {}) => ({ client_id, audiences: [endpoint], callers: [ME, 'uid:4242'],
      tokens: { token_endpoint: endpoint, ...tokens } });
    deployment = await Deployment.start([
      client('orders', { scopes: ['read', 'write', { scope: 'admin', callers: ['uid:4242'] }] }),
      client('slow'), client('failing'), client('limited'), client('left'),
      { client_id: 'a/b?', audiences: [endpoint], callers: [ME] },
      { client_id: 'keyless', audiences: [endpoint], callers: [ME] },
      { client_id: 'theirs', audiences: [endpoint], callers: [`uid:${OTHER}`, 'uid:60004'] },
    ].map((one) => (one.client_id === 'left' ? { ...one, callers: [ME, `uid:${OTHER}`] } : one)),
    (folder) => ({ token_listen: `unix:${folder}/tokens.sock`, token_listen_group: 'nogroup', http_listen: '127.0.0.1:0',
      connections: { total: 40 } }));
    socket = path.join(deployment.folder, 'tokens.sock');
    chmodSync(deployment.folder, 0o711);
    chmodSync(path.dirname(deployment.folder), 0o711);
    for (const id of ['orders', 'slow', 'failing', 'limited', 'left', 'a/b?']) await deployment.generateKey(id);
  });

  after(async () => {
    standIn?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    standIn.reset({ access_token: 'stand-in"token\\', token_type: 'Bearer', expires_in: 300 });
  });

  // Resolves to { status, headers, body } of one request.
  function ask(target, { method = 'GET', headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const outgoing = http.request({ socketPath: socket, path: target, method, headers, agent: false }, (reply) => {
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: reply.statusCode, headers: reply.headers, body: text === '' ? null : JSON.parse(text) });
        });
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
  const auditLines = (event) => deployment.auditLines().filter((line) => line.event === event);
  const curl = async (target, uid = process.getuid()) => run('setpriv',
    [`--reuid=${uid}`, `--regid=${NOGROUP}`, '--clear-groups', 'curl', '--silent', '--show-error', '--max-time', '30',
      '--write-out', '\n%{http_code}', '--unix-socket', socket, `http://localhost${target}`], { env: { PATH: process.env.PATH } });

  it('hands out an access token to curl, as RFC 6749 section 5.1 has it', async () => {
    const { stdout } = await curl('/clients/orders/token?scope=write%20read');
    const [body, status] = stdout.trim().split('\n');
    assert.equal(status, '200', stdout);
    const { expires_in: left, ...rest } = JSON.parse(body);
    assert.deepEqual(rest, { access_token: 'stand-in"token\\', token_type: 'Bearer', scope: 'read write' });
    assert.ok(left > 250 && left <= 300, `${left}`);
    const again = await ask('/clients/orders/token?scope=read+write');
    assert.deepEqual([again.status, again.headers['cache-control'], again.headers.pragma, again.headers['content-type']],
      [200, 'no-store', 'no-cache', 'application/json']);
    assert.equal(standIn.forms.length, 1, 'bought twice');
    assert.deepEqual(auditLines('GetAccessToken').map((line) => [line.caller, line.outcome]), [[ME, 'OK'], [ME, 'OK']]);
    assert.equal(statSync(socket).mode & 0o777, 0o660);
  });

  it('makes an assertion that a verifier takes, for any client id', async () => {
    const { status, body } = await ask(`/clients/${encodeURIComponent('a/b?')}/assertion?audience=${encodeURIComponent(endpoint)}`);
    assert.equal(status, 200, JSON.stringify(body));
    assert.equal(body.client_assertion_type, 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer');
    const jwks = createRemoteJWKSet(new URL(`${deployment.httpOrigin}/clients/${encodeURIComponent('a/b?')}/jwks.json`));
    const { payload, protectedHeader } = await jwtVerify(body.assertion, jwks, { audience: endpoint });
    assert.deepEqual([payload.sub, payload.jti, protectedHeader.kid], ['a/b?', body.jti, body.kid]);
    assert.equal(auditLines('CreateAssertion').filter((line) => line.jti === body.jti && line.caller === ME).length, 1);
  });

  it('refuses what the policy refuses, by the same words, and asks nobody', async () => {
    const page = readFileSync(path.join(process.env.E2E_PROTO_DIR, '../deploy/docs/access-tokens.md'), 'utf8');
    for (const [target, status, error] of [
      ['/clients/orders/token?scope=admin', 403, 'unauthorized_client'],
      ['/clients/theirs/assertion', 403, 'unauthorized_client'],
      ['/clients/nobody/assertion', 404, 'invalid_request'],
      ['/clients/orders/assertion?audience=https://elsewhere.example/', 400, 'invalid_request'],
      ['/clients/orders/token?minimum_validity=0', 400, 'invalid_request'],
      ['/clients/orders/token?minimum_validity=1e3', 400, 'invalid_request'],
      ['/clients/orders/token?scope=read&scope=write', 400, 'invalid_request'],
      ['/clients/orders/token?scoop=read', 400, 'invalid_request'],
      ['/clients/orders/token?scope=%zz', 400, 'invalid_request'],
      ['/clients/%ff/token', 400, 'invalid_request'],
      ['/clients//token', 404, 'invalid_request'],
      ['/', 404, 'invalid_request'],
      ['/metrics', 404, 'invalid_request'],
      ['/clients/keyless/assertion', 409, 'invalid_request'],
    ]) {
      const answered = await ask(target);
      assert.deepEqual([answered.status, answered.body.error], [status, error], `${target}: ${JSON.stringify(answered.body)}`);
      assert.ok(answered.body.error_description, target);
      assert.ok(page.includes(`| ${status} | \`${error}\` |`), `access-tokens.md: ${status} ${error}`);
    }
    assert.equal(standIn.forms.length, 0);
    const { stdout } = await curl('/clients/orders/token', OTHER);
    assert.match(stdout, /"unauthorized_client".*uid:60001.*\n403$/s, stdout);
  });

  it('the line of a request that cannot be read names the client of its path', async () => {
    const unknown = `unknown-${'x'.repeat(100)}`;
    for (const [target, options, event, client_id] of [
      ['/clients/orders/token?scoop=read', {}, 'GetAccessToken', 'orders'],
      ['/clients/a%2Fb%3F/assertion?audience=%zz', {}, 'CreateAssertion', 'a/b?'],
      ['/clients/orders/assertion', { method: 'POST' }, 'HttpRequest', 'orders'],
      [`/clients/${unknown}/token?scoop=read`, {}, 'GetAccessToken', unknown.slice(0, 64)],
      ['/clients/%ff/token', {}, 'GetAccessToken', undefined],
    ]) {
      const before = auditLines(event).length;
      await ask(target, options);
      const lines = auditLines(event).slice(before);
      assert.deepEqual(lines.map((line) => [line.outcome, line.client_id]), [['INVALID_ARGUMENT', client_id]], target);
    }
  });

  it('takes GET without content alone', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
      const { status, headers } = await ask('/clients/orders/token', { method });
      assert.deepEqual([status, headers.allow], [405, 'GET'], method);
    }
    assert.equal((await ask('/clients/orders/token', { body: 'x', headers: { 'Content-Length': 1 } })).status, 400);
    assert.equal(standIn.forms.length, 0);
  });

  it('tells when to come again', async () => {
    standIn.answer = [503, { error: 'temporarily_unavailable' }, { 'Retry-After': '2000' }];
    const failed = await ask('/clients/failing/token');
    assert.deepEqual([failed.status, failed.body.error], [503, 'temporarily_unavailable']);
    assert.ok(Number(failed.headers['retry-after']) > 1000, failed.headers['retry-after']);
    standIn.answer = [429, {}, { 'Retry-After': '100' }];
    const limited = await ask('/clients/limited/token');
    assert.deepEqual([limited.status, limited.body.error], [429, 'temporarily_unavailable']);
    assert.equal(standIn.forms.length, 2);
  });

  it('waits for a purchase without holding others up, and lets go of who has left', async () => {
    let release;
    standIn.held = new Promise((resolve) => { release = resolve; });
    const bought = once(standIn, 'form');
    const waiting = Array.from({ length: 10 }, () => ask('/clients/slow/token'));
    await bought;
    const leaver = net.connect(socket);
    leaver.write('GET /clients/slow/token HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(leaver, 'ready').catch(() => {});
    leaver.destroy();
    assert.equal((await ask('/clients/orders/assertion')).status, 200, 'who wants something else waits too');
    release();
    const answers = await new Deadline(30, 'all who waited').limit(Promise.all(waiting));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(standIn.forms.length, 1);
  });

  it('one user cannot hold all connections, nor a slow head one for long', async () => {
    const silent = Array.from({ length: 60 }, () => net.connect(socket));
    for (const one of silent) one.on('error', () => {});
    await Promise.all(silent.map((one) => new Promise((resolve) => { one.on('connect', resolve).on('close', resolve); })));
    const { stdout, stderr } = await curl('/clients/left/assertion', OTHER);
    assert.match(stdout, /\n200$/, stdout + stderr);
    await new Deadline(30, 'silent connections to be closed').limit(Promise.all(
      silent.map((one) => (one.destroyed ? undefined : once(one.resume(), 'close')))));
    assert.equal((await ask('/clients/orders/assertion')).status, 200);
  });

  it('answers all while another user leaves half-way again and again', async () => {
    const program = `
import socket, sys
for _ in range(15000):
    one = socket.socket(socket.AF_UNIX)
    try:
        one.connect(sys.argv[1])
        one.send(b"GET /cli")
    except OSError:
        pass
    one.close()`;
    const flood = run('setpriv', [`--reuid=${OTHER}`, `--regid=${NOGROUP}`, '--clear-groups', '/usr/bin/python3', '-c', program, socket],
      { env: { PATH: process.env.PATH } });
    let over = false;
    flood.finally(() => { over = true; });
    const answers = [];
    while (!over || answers.length === 0) answers.push((await ask('/clients/orders/assertion').catch(({ code }) => ({ status: code }))).status);
    // EAGAIN: the kernel's queue of connections was full, and took none.
    assert.deepEqual([...new Set(answers.filter((answer) => answer !== 'EAGAIN'))], [200]);
    assert.equal((await flood).status, 0);
  });

  it('a head that is too long, garbage and a second request get nothing more', async () => {
    const exchange = async (text) => {
      const connection = net.connect(socket);
      let answered = '';
      connection.on('data', (chunk) => { answered += chunk; }).on('error', () => {});
      connection.write(text);
      await new Deadline(30, 'the connection to be closed').limit(once(connection, 'close'));
      return answered;
    };
    assert.match(await exchange(`GET /clients/orders/token HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20000)}\r\n\r\n`), /^HTTP\/1\.1 400 /);
    assert.match(await exchange('\x16\x03\x01\x00garbage\r\n\r\n'), /^(HTTP\/1\.1 400 |$)/);
    const one = 'GET /clients/orders/assertion HTTP/1.1\r\nHost: x\r\n\r\n';
    assert.equal((await exchange(one + one)).match(/HTTP\/1\.1 /g).length, 1);
    // Neither is garbage: RFC 9112 section 6.3 lets equal lengths be one.
    assert.match(await exchange('GET /clients/orders/assertion HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
    assert.match(await exchange(one.replace('\r\n\r\n', '\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n')), /^HTTP\/1\.1 200 /);
    assert.match(await exchange(one.replace('\r\n\r\n', '\r\nContent-Length: 0\r\nContent-Length: 1\r\n\r\n')), /^HTTP\/1\.1 400 /);
  });

  it('a reload that removes the caller holds at once', async () => {
    const original = readFileSync(deployment.configuration, 'utf8');
    const reload = async (text) => {
      writeFileSync(deployment.configuration, text);
      const from = readFileSync(deployment.log, 'utf8').length;
      deployment.daemon.kill('SIGHUP');
      await new Deadline(30, 'the reload').until(() => /SIGHUP: (?!another reload follows)/.test(readFileSync(deployment.log, 'utf8').slice(from)));
    };
    const changed = JSON.parse(original);
    changed.clients.find((one) => one.client_id === 'left').callers = [`uid:${OTHER}`];
    await reload(JSON.stringify(changed));
    assert.equal((await ask('/clients/left/assertion')).status, 403);
    await reload(original);
    assert.equal((await ask('/clients/left/assertion')).status, 200);
  });

  it('is configured with a path of its own', async () => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    for (const [changed, message] of [
      [{ token_listen: configuration.listen }, /token_listen: is the socket of listen/],
      [{ token_listen: '127.0.0.1:1' }, /token_listen/],
      [{ token_listen: undefined }, /token_listen_group: is for token_listen/],
    ]) {
      const file = path.join(deployment.folder, 'wrong.json');
      writeFileSync(file, JSON.stringify({ ...configuration, ...changed }));
      const { status, stdout, stderr } = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'),
        ['--check-config', file], { env: deployment.environment });
      assert.notEqual(status, 0);
      assert.match(stdout + stderr, message);
    }
  });

  // The status of each of `count` requests for other paths, each on a connection of its own; 0: closed without an answer.
  const askAround = async (uid, count) => {
    const { stdout } = await run('setpriv',
      [`--reuid=${uid}`, `--regid=${NOGROUP}`, '--clear-groups', 'curl', '--silent', '--max-time', '120', '--output', '/dev/null',
        '--write-out', '%{http_code} %header{retry-after}\n', '--unix-socket', socket, `http://localhost/[1-${count}]`],
      { env: { PATH: process.env.PATH } });
    const answers = stdout.trim().split('\n').map((line) => line.split(' ').map(Number));
    assert.equal(answers.length, count);
    return answers;
  };

  it('charges requests for other paths and methods to the budget of refusals', async () => {
    const before = auditLines('HttpRequest').length;
    const answers = await askAround(OTHER, 300);
    const [first, last] = [answers[0], answers.at(-1)];
    assert.equal(first[0], 404);
    assert.ok(last[0] === 429 && last[1] >= 1, `${last}`);
    const lines = auditLines('HttpRequest').slice(before);
    assert.equal(lines.length, answers.filter(([status]) => status === 404).length);
    assert.deepEqual([...new Set(lines.map((line) => `${line.caller} ${line.outcome}`))], [`uid:${OTHER} NOT_FOUND`]);
    assert.equal((await ask('/clients/orders/assertion')).status, 200);
  });

  // What is answered to each of `count` connections that send this text, in JSON: a status; 0: closed without an answer.
  const sendText = async (uid, text, count, end = '') => {
    const { stdout, stderr } = await run('setpriv', [`--reuid=${uid}`, `--regid=${NOGROUP}`, '--clear-groups', '/usr/bin/python3', '-c', `
import socket, sys
for _ in range(${count}):
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    answer = b''
    try:
        connection.connect(sys.argv[1])
        connection.sendall(${JSON.stringify(text)}.encode())
        ${end}
        while octets := connection.recv(4096):
            answer += octets
    except OSError:
        pass
    connection.close()
    print(answer[9:12].decode() or 0)`, socket], { env: { PATH: process.env.PATH } });
    const answers = stdout.trim().split('\n').map(Number);
    assert.equal(answers.length, count, stderr);
    return answers;
  };
  const GARBAGE = '\u0016\u0003\u0001 garbage\r\n\r\n';
  const linesOf = (uid) => auditLines('HttpRequest').filter((line) => line.caller === `uid:${uid}`);

  it('text that is no request has a line', async () => {
    for (const [text, status, reason, end] of [
      [GARBAGE, 400, 'this is no HTTP/1.1 request'],
      [`GET /${'x'.repeat(9000)}`, 414, 'the request line is too long'],
      [`GET / HTTP/1.1\r\nX: ${'x'.repeat(9000)}`, 400, 'the header is too long'],
      ['GET / HTTP/1.1\r\nHost', 400, 'the header has no end', 'connection.shutdown(socket.SHUT_WR)'],
      ['GET / HTTP/1.1\r\nHost', 0, 'the header takes too long'],
    ]) {
      const before = linesOf(process.getuid()).length;
      assert.deepEqual(await sendText(process.getuid(), text, 1, end), [status], reason);
      await new Deadline(30, `the line: ${reason}`).until(() => linesOf(process.getuid()).length > before);
      const lines = linesOf(process.getuid()).slice(before);
      assert.deepEqual(lines.map((line) => [line.outcome, line.reason]), [['INVALID_ARGUMENT', reason]]);
    }
  });

  it('charges text that is no request to the budget of refusals', async () => {
    const listed = 60004;
    const before = auditLines('Refusals').length;
    const answers = await sendText(listed, GARBAGE, 300);
    const count = (status) => answers.filter((one) => one === status).length;
    assert.deepEqual([answers[0], answers.at(-1)], [400, 429]);
    assert.equal(count(400) + count(429), 300, `${[...new Set(answers)]}`);
    assert.equal(linesOf(listed).length, count(400));
    await new Deadline(30, 'the line of the rest').until(() => auditLines('Refusals').slice(before)
      .filter((line) => line.caller === `uid:${listed}`).reduce((sum, line) => sum + line.count, 0) === count(429));
  });

  it('closes what a stranger in the group asks beyond its budgets, and serves the others', async () => {
    const stranger = 60002;
    const answers = (await askAround(stranger, 2000)).map(([status]) => status);
    const count = (status) => answers.filter((one) => one === status).length;
    assert.equal(answers[0], 403, 'a stranger hears which paths there are');
    assert.equal(count(403) + count(429) + count(0), answers.length, `${[...new Set(answers)]}`);
    assert.ok(count(0) > 1000, `${count(0)} of ${answers.length} closed without an answer`);
    assert.equal(answers.at(-1), 0);
    const lines = auditLines('HttpRequest').filter((line) => line.caller === `uid:${stranger}`);
    assert.equal(lines.length, count(403));
    const said = new RegExp(`token_listen: .*uid:${stranger}`);
    await new Deadline(30, `the log to say it: ${deployment.log}`).until(() => said.test(readFileSync(deployment.log, 'utf8')));
    assert.match((await curl('/clients/left/assertion', OTHER)).stdout, /\n200$/);
    assert.equal((await ask('/clients/orders/assertion')).status, 200);
  });

  it('closes what a stranger in the group sends that is no request, and serves the others', async () => {
    const stranger = 60003;
    const answers = await sendText(stranger, GARBAGE, 2000);
    const count = (status) => answers.filter((one) => one === status).length;
    assert.equal(count(403) + count(429) + count(0), answers.length, `${[...new Set(answers)]}`);
    assert.equal(answers[0], 403);
    assert.ok(count(0) > 1000, `${count(0)} of ${answers.length} closed without an answer`);
    assert.equal(answers.at(-1), 0);
    assert.equal(linesOf(stranger).length, count(403));
    assert.equal((await ask('/clients/orders/assertion')).status, 200);
  });
});

describe('the end of the HTTP front', () => {
  it('answers who waits, and removes the socket', async () => {
    const standIn = http.createServer(() => standIn.emit('asked')).listen(0, '127.0.0.1');  // never answers
    await once(standIn, 'listening');
    const endpoint = `http://127.0.0.1:${standIn.address().port}/token`;
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [endpoint], tokens: { token_endpoint: endpoint } }],
      (folder) => ({ token_listen: `unix:${folder}/tokens.sock` }));
    await deployment.generateKey('orders');
    const socket = path.join(deployment.folder, 'tokens.sock');
    const asked = once(standIn, 'asked');
    const answered = new Promise((resolve, reject) => {
      http.get({ socketPath: socket, path: '/clients/orders/token', agent: false }, (reply) => resolve(reply.statusCode)).on('error', reject);
    });
    await asked;
    const stopped = deployment.stopDaemon();
    assert.equal(await new Deadline(30, 'an answer at the stop').limit(answered), 503);
    standIn.closeAllConnections();
    standIn.close();
    assert.deepEqual(await stopped, { status: 0, signal: null });
    assert.ok(!existsSync(socket));
  });
});
