// What assertiond publishes over HTTP: JWK Sets, certificates, health, metrics.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, readdirSync } from 'node:fs';
import { X509Certificate, createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import { after, before, describe, it } from 'node:test';
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose';
import { AssertionService, Caller, KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { Deadline } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const MIB = 1 << 20;
const ODD = 'a/b%2F..?#~';  // a client id may hold any printable character

describe('the HTTP listener', () => {
  let deployment;
  let admin;
  let kid;
  let base;

  const descriptors = () => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;

  before(async () => {
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [AUDIENCE], binding: 'jwks', publish_lead: '100s' },
      { client_id: ODD, audiences: [AUDIENCE] },
      { client_id: 'keyless', audiences: [AUDIENCE] },
      { client_id: 'later', audiences: [AUDIENCE], binding: 'jwks' },
      { client_id: 'ending', audiences: [AUDIENCE] },
    ], { http_listen: '127.0.0.1:0' });
    ({ kid } = await deployment.generateKey('orders'));
    await deployment.generateKey(ODD);
    admin = new Caller(KeyAdminService, deployment.socket);
    base = descriptors();
  });

  after(async () => {
    admin?.close();
    await deployment?.close();
  });

  // Returns { status, headers, body } of one request.
  function ask(path, { method = 'GET', headers = {}, body } = {}) {
    return new Promise((resolve, reject) => {
      const outgoing = http.request(deployment.httpOrigin + path, { method, headers, agent: false }, (reply) => {
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('end', () => resolve({
          status: reply.statusCode, headers: reply.headers, body: Buffer.concat(chunks).toString(),
        }));
      });
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }

  // What the listener answers to these octets until it closes the connection.
  async function sendRaw(text) {
    const socket = net.connect(new URL(deployment.httpOrigin).port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk) => { answer += chunk; });
    socket.on('error', () => {});
    socket.write(text);
    await new Deadline(30, 'the connection to be closed').limit(once(socket, 'close'));
    return answer;
  }

  it('publishes a JWK Set that a verifier takes', async () => {
    const { status, headers, body } = await ask('/clients/orders/jwks.json');
    assert.equal(status, 200);
    assert.deepEqual([headers['content-type'], headers.vary], ['application/json', 'Accept']);
    assert.equal(headers['cache-control'], 'public, max-age=50');  // half of publish_lead
    assert.equal(headers['x-content-type-options'], 'nosniff');
    const [key, ...others] = JSON.parse(body).keys;
    assert.deepEqual(others, []);
    assert.deepEqual(Object.keys(key).sort(), ['alg', 'e', 'kid', 'kty', 'n', 'use', 'x5c', 'x5t#S256']);
    assert.deepEqual([key.kid, key.alg, key.use, key.kty], [kid, 'RS256', 'sig', 'RSA']);
    const verified = await jwtVerify(await deployment.createAssertion('orders'),
      createRemoteJWKSet(new URL(`${deployment.httpOrigin}/clients/orders/jwks.json`)), { audience: AUDIENCE });
    assert.equal(verified.payload.iss, 'orders');
  });

  // The grammar is tested in tests/observe/accept_test.cc.
  it('is application/jwk-set+json for readers that name it', async () => {
    const path = '/clients/orders/jwks.json';
    for (const [accept, type] of [
      ['application/jwk-set+json', 'jwk-set+json'], [['text/html', 'application/jwk-set+json;q=0.5'], 'jwk-set+json'],
      ['*/*', 'json'], ['application/json, application/*', 'json'], ['application/jwk-set+json;q=0', 'json'],
      ['"', 'json'], [`application/jwk-set+json;q="${',;\\"'.repeat(1500)}`, 'json'],
    ]) {
      const { status, headers } = await ask(path, { headers: { Accept: accept } });
      assert.deepEqual([status, headers['content-type'], headers.vary], [200, `application/${type}`, 'Accept'], accept);
    }
    // A cache that has one of the two does not give it out as the other.
    const { headers: { etag } } = await ask(path);
    const known = (accept) => ask(path, { headers: { Accept: accept, 'If-None-Match': etag } });
    const same = await known('*/*');
    assert.deepEqual([same.status, same.headers.vary], [304, 'Accept']);
    assert.equal((await known('application/jwk-set+json')).status, 200);
  });

  it('shows a browser one page: ready or not, and what is published', async () => {
    const { status, headers, body } = await ask('/', { headers: { Accept: 'text/html,application/xhtml+xml,*/*;q=0.8' } });
    assert.deepEqual([status, headers['content-type'], headers['cache-control']], [200, 'text/html; charset=utf-8', 'no-store']);
    const style = /<style>(.*?)<\/style>/s.exec(body)[1];
    const hash = createHash('sha256').update(style).digest('base64');
    assert.equal(headers['content-security-policy'],
      `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`);
    assert.match(body, /<p class="state good">Ready<\/p>/);
    assert.doesNotMatch(body, /<script|javascript:|<img| on[a-z]+=/i);
    // Every link leads somewhere, also for a client id that is no plain text.
    const links = [...body.matchAll(/href="([^"]*)"/g)].map(([, link]) => link);
    assert.ok(links.includes(`/clients/${encodeURIComponent(ODD)}/jwks.json`), links.join(' '));
    assert.ok(links.includes('/clients/keyless/jwks.json') && links.includes('/metrics'), links.join(' '));
    for (const link of links.filter((one) => !/keyless|later|ending/.test(one))) {
      assert.equal((await ask(link)).status, 200, link);
    }
    // Others are told what is here, as before.
    assert.equal((await ask('/')).status, 404);
    assert.equal((await ask('/', { headers: { Accept: '*/*' } })).status, 404);
  });

  it('lets a cache keep keys until the next change of the schedule', async () => {
    const age = async (client, page = 'jwks.json') =>
      Number(/^public, max-age=(\d+)$/.exec((await ask(`/clients/${client}/${page}`)).headers['cache-control'])[1]);
    // A key may sign as soon as it is published: without a key that signs, and with the binding "certificate".
    assert.equal(await age('later'), 0);
    assert.equal(await age(encodeURIComponent(ODD)), 0);
    assert.equal(await age(encodeURIComponent(ODD), 'certificate.pem'), 0);
    const first = await deployment.generateKey('later');
    assert.equal(await age('later'), 300);
    assert.equal(await age('later', 'certificate.pem'), 300);
    const next = await deployment.generateKey('later');
    const { key } = await admin.call('ScheduleKey', { client_id: 'later', kid: next.kid,
      sign_from: { seconds: Math.floor(Date.now() / 1000) + 1000 }, change: { expected_version: next.version } });
    assert.notEqual(first.kid, key.kid);
    const until = Number(key.publish_from.seconds) - Math.floor(Date.now() / 1000);
    assert.ok(until > 60, `${until} s until it is published`);
    const left = await age('later');
    assert.ok(left > 0 && left <= until, `max-age=${left}, published in ${until} s`);
  });

  it('answers 304 to who has it already, until it changes', async () => {
    const { headers: { etag } } = await ask('/clients/orders/jwks.json');
    assert.match(etag, /^"[\w-]{43}"$/);
    for (const header of [etag, `W/${etag}`, `"other" ,\t${etag}`, '*']) {
      const { status, headers, body } = await ask('/clients/orders/jwks.json', { headers: { 'If-None-Match': header } });
      assert.deepEqual([status, headers.etag, headers['cache-control'], body], [304, etag, 'public, max-age=50', '']);
    }
    for (const header of ['"other"', etag.slice(0, -1), etag.slice(1, -1), ',', '"']) {
      assert.equal((await ask('/clients/orders/jwks.json', { headers: { 'If-None-Match': header } })).status, 200);
    }
    const change = { expected_version: (await admin.call('GetKey', { client_id: 'orders' })).key.version };
    const { key } = await admin.call('RotateKey', { client_id: 'orders', change });
    const { status, headers, body } = await ask('/clients/orders/jwks.json', { headers: { 'If-None-Match': etag } });
    assert.equal(status, 200);
    assert.notEqual(headers.etag, etag);
    assert.deepEqual(JSON.parse(body).keys.map((jwk) => jwk.kid), [kid, key.kid]);
    // The certificate of the key that signs, or of the one that is asked for.
    const kidOf = async (query) => {
      const answer = await ask(`/clients/orders/certificate.pem${query}`);
      assert.equal(answer.headers['content-type'], 'application/pem-certificate-chain');
      return new X509Certificate(answer.body).publicKey.export({ format: 'jwk' }).n;
    };
    const moduli = JSON.parse(body).keys.map((jwk) => jwk.n);
    assert.deepEqual(await Promise.all(['', `?kid=${kid}`, `?kid=${key.kid}`].map(kidOf)),
      [moduli[0], moduli[0], moduli[1]]);
  });

  it('knows a client by its whole id, whatever characters it has', async () => {
    const { status, body } = await ask(`/clients/${encodeURIComponent(ODD)}/jwks.json`);
    assert.equal(status, 200);
    const expected = (await deployment.jwks(ODD)).keys[0].kid;
    assert.equal(JSON.parse(body).keys[0].kid, expected);
    const caller = new Caller(AssertionService, deployment.socket);
    const { assertion } = await caller.call('CreateAssertion', { client_id: ODD });
    caller.close();
    assert.equal(decodeProtectedHeader(assertion).kid, expected);
    assert.equal((await ask(`/clients/${encodeURIComponent(ODD)}/certificate.pem`)).body.slice(0, 5), '-----');
  });

  it('publishes an empty set where there is no key yet', async () => {
    const { status, body } = await ask('/clients/keyless/jwks.json');
    assert.deepEqual([status, body], [200, '{"keys":[]}']);
    assert.equal((await ask('/clients/keyless/certificate.pem')).status, 404);
  });

  it('tells of nothing else', async () => {
    for (const path of ['/', '/clients', '/clients/', '/clients//jwks.json', '/clients/nobody/jwks.json',
      '/clients/orders', '/clients/orders/', '/clients/orders/jwks.json/', '/clients/orders/certificate.pem.bak',
      '/clients/orders/certificate.pem?kid=unknown', '/jwks.json',
      '/clients/orders%00/jwks.json', `/clients/${'x'.repeat(4000)}/jwks.json`]) {
      assert.equal((await ask(path)).status, 404, path);
    }
  });

  // A page of evil.example, whose name leads to 127.0.0.1 now, asks in its own name: with no Origin, and over plain HTTP with no
  // Sec-Fetch-Site either.
  it('on loopback tells a page that rebinds its name nothing but what is published', async () => {
    const asked = async (page, Host, headers = {}) => (await ask(page, { headers: { Host, ...headers } })).status;
    const { port } = new URL(deployment.httpOrigin);
    for (const page of ['/metrics', '/readyz', '/readyz?x', '/%6Detrics', '/none']) {
      const { status, body } = await ask(page, { headers: { Host: `evil.example:${port}` } });
      assert.equal(status, 421, page);
      assert.equal(body, 'this page is for this machine alone, and Host names another: ask for it at localhost or 127.0.0.1; a '
        + 'proxy must send such a Host\n');
    }
    assert.equal(await asked('/', 'evil.example', { Accept: 'text/html' }), 421);
    for (const host of ['evil.example', `localhost:${port}`, '127.0.0.1']) {
      assert.equal(await asked('/healthz', host), 200, host);
      assert.equal(await asked('/clients/orders/jwks.json', host), 200, host);
      assert.equal(await asked('/metrics', host), host === 'evil.example' ? 421 : 200, host);
    }
    assert.match(await sendRaw(`GET /readyz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n`), /^HTTP\/1\.1 4/);
    assert.match(await sendRaw('GET /readyz HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /);
  });

  it('answers HEAD without content, and no other method', async () => {
    const { status, headers, body } = await ask('/clients/orders/jwks.json', { method: 'HEAD' });
    assert.deepEqual([status, body], [200, '']);
    assert.equal(headers['content-length'], String((await ask('/clients/orders/jwks.json')).body.length));
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const refused = await ask('/clients/orders/jwks.json', { method, body: method === 'OPTIONS' ? undefined : 'x=1' });
      assert.deepEqual([refused.status, refused.headers.allow], [405, 'GET, HEAD'], method);
    }
  });

  it('takes one request a connection: content is not read as a second one', async () => {
    const hidden = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
    for (const framing of [`Content-Length: ${hidden.length}`, 'Transfer-Encoding: chunked']) {
      const answer = await sendRaw(`GET /clients/orders/jwks.json HTTP/1.1\r\nHost: x\r\n${framing}\r\n\r\n${hidden}`);
      assert.match(answer, /^HTTP\/1\.1 400 /);
      assert.equal(answer.match(/HTTP\/1\.1/g).length, 1);
    }
    assert.equal((await sendRaw(hidden + hidden)).match(/HTTP\/1\.1/g).length, 1);
  });

  it('does not multiply an answer by overlapping ranges', async () => {
    const whole = await ask('/clients/orders/jwks.json');
    const ranges = await ask('/clients/orders/jwks.json', { headers: { Range: `bytes=${Array(100).fill('0-').join(',')}` } });
    assert.deepEqual([ranges.status, ranges.body], [200, whole.body]);
  });

  it('answers garbage with a refusal', async () => {
    for (const garbage of ['\r\n\r\n', 'GET\r\n\r\n', 'GET / HTTP/9.9\r\n\r\n', '\0\0\0\0\r\n\r\n',
      `GET /${'x'.repeat(20_000)} HTTP/1.1\r\n\r\n`, `GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`]) {
      assert.match(await sendRaw(garbage), /^HTTP\/1\.1 4\d\d /, JSON.stringify(garbage.slice(0, 30)));
    }
    assert.equal((await ask('/healthz')).status, 200);
  });

  it('tells health and readiness', async () => {
    assert.deepEqual(await ask('/healthz').then(({ status, body }) => [status, body]), [200, 'ok\n']);
    const { status, headers, body } = await ask('/readyz');
    assert.deepEqual([status, headers['cache-control'], body], [200, 'no-store', 'ready\n']);
  });

  it('tells when certificates expire, and who has no key', async () => {
    const { status, headers, body } = await ask('/metrics');
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/plain; version=0\.0\.4/);
    const certificate = new X509Certificate((await ask('/clients/orders/certificate.pem')).body);
    const expiry = new RegExp(`^assertiond_certificate_not_after_seconds{client_id="orders",hsm="[^"]+",kid="${kid}"} (\\S+)$`, 'm');
    assert.equal(Number(expiry.exec(body)?.[1]), Date.parse(certificate.validTo) / 1000, body);
    assert.match(body, /^assertiond_client_signing_keys\{client_id="keyless",hsm="[^"]+"\} 0$/m);
    assert.match(body, /^assertiond_client_signing_keys\{client_id="orders",hsm="[^"]+"\} 1$/m);
    assert.match(body, /^assertiond_ledger_version\{client_id="keyless",hsm="[^"]+"\} 0$/m);
  });

  it('tells when signing ends: with the last of the keys that follow each other', async () => {
    const client = 'ending';
    const ends = async () => {
      const found = /^assertiond_client_signs_until_seconds\{client_id="ending",hsm="[^"]+",kid="(\S+)"\} (\S+)$/m.exec((await ask('/metrics')).body);
      return found && [found[1], Number(found[2])];
    };
    const schedule = async (of, ...times) =>
      JSON.parse(await deployment.ctl('key', 'schedule', '--client-id', client, `--kid=${of}`, ...times, '--force', client, '--json'));
    assert.equal(await ends(), null);
    const first = await deployment.generateKey(client);
    assert.deepEqual(await ends(), [first.kid, 253402300799]);   // 9999-12-31: no end
    const key = await schedule(first.kid, '--sign-until', '+1d');
    assert.deepEqual(await ends(), [first.kid, Date.parse(key.sign_until) / 1000]);
    const next = await deployment.generateKey(client);
    assert.equal((await ends())[0], first.kid);   // staged: it does not follow yet
    await schedule(next.kid, '--sign-from', key.sign_until);
    assert.deepEqual(await ends(), [next.kid, 253402300799]);
    const last = await schedule(next.kid, '--sign-until', '+3d');
    assert.deepEqual(await ends(), [next.kid, Date.parse(last.sign_until) / 1000]);
  });

  // From the prober's own address, and from another one.
  for (const localAddress of ['127.0.0.1', '127.0.0.2']) {
    it(`with 2,000 silent connections from ${localAddress} still answers`, async (context) => {
      const silent = Array.from({ length: 2000 }, () => net.connect(
        { port: new URL(deployment.httpOrigin).port, host: '127.0.0.1', localAddress }).on('error', () => {}));
      context.after(() => silent.forEach((socket) => socket.destroy()));
      const deadline = new Deadline(30, 'answers beside 2,000 silent connections');
      await deadline.until(() => silent.every((socket) => !socket.connecting));
      assert.ok(descriptors() < base + 256 + 16, `${descriptors()} descriptors, ${base} before`);
      for (let i = 0; i < 5; ++i) assert.equal((await deadline.limit(ask('/readyz'))).status, 200);
      await deployment.createAssertion('orders');
      assert.ok(silent.some((socket) => !socket.closed));
    });
  }

  it('takes no more than 8 KiB of headers', async (context) => {
    const resident = () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`))[1]) * 1024;
    const start = resident();
    const closed = Array.from({ length: 32 }, () => new Promise((resolve) => {
      const socket = net.connect({ port: new URL(deployment.httpOrigin).port, host: '127.0.0.1' });
      context.after(() => socket.destroy());
      socket.on('error', () => {}).on('close', resolve).resume();
      const pour = () => {
        while (socket.writable && socket.write('a:b\r\n'.repeat(3000)));
      };
      socket.on('drain', pour).write('GET /healthz HTTP/1.1\r\n', pour);
    }));
    await new Deadline(30, 'connections with endless headers to be closed').limit(Promise.all(closed));
    const grown = (resident() - start) / MIB;
    assert.ok(grown < 16, `${grown} MiB more`);
    const fits = 'x'.repeat(7000);
    assert.match(await sendRaw(`GET /healthz HTTP/1.1\r\nX: ${fits}\r\n\r\n`), /^HTTP\/1\.1 200 /);
    assert.match(await sendRaw(`GET /healthz HTTP/1.1\r\nX: ${fits}\r\nY: ${fits}\r\n\r\n`), /^HTTP\/1\.1 400 /);
    assert.match(await sendRaw(`GET /${fits}${fits} HTTP/1.1\r\n\r\n`), /^HTTP\/1\.1 414 /);
  });

  it('refuses a port that is taken', async () => {
    const { port } = new URL(deployment.httpOrigin);
    await assert.rejects(deployment.startReplica({ http_listen: `127.0.0.1:${port}` }), /ended with 20/);
  });
});

describe('the end of the HTTP listener', () => {
  it('does not wait for a peer who sends an octet now and then', async () => {
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }],
      { http_listen: '127.0.0.1:0' });
    const socket = net.connect(new URL(deployment.httpOrigin).port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('GET /healthz HTTP/1.1\r\n');
    const drip = setInterval(() => socket.write('X: y\r\n'), 100);
    try {
      await once(socket, 'connect');
      const { status } = await deployment.stopDaemon();  // fails after 30 s
      assert.equal(status, 0);
    } finally {
      clearInterval(drip);
      socket.destroy();
    }
  });
});
