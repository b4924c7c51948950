// assertionctl console: as its person in Chromium without JavaScript, and as everybody else who can reach its port.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { desktop, exchange, launchChromium } from './browsing.mjs';
import { KeyAdminService } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const ME = `uid:${process.getuid()}`;
const SCRIPT = '<script>alert(1)</script>';
const STRANGE = `z${SCRIPT}&"'`;  // a client id

class RunningConsole {
  static async start(deployment, ...options) {
    return RunningConsole.launch(deployment.environment, '--no-browser', ...options);
  }

  static async launch(env, ...options) {
    const made = new RunningConsole();
    made.stderr = '';
    made.child = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ['console', ...options],
      { env, log: path.join(temporaryFolder(), 'console.log') });
    made.child.stderr.on('data', (chunk) => { made.stderr += chunk; });
    const lines = new Lines(made.child, 'stdout');
    const deadline = new Deadline(30, 'the console\'s address');
    while (!made.entrance) {
      const line = await lines.next(deadline);
      made.told = `${made.told ?? ''}${line}\n`;
      if (line.startsWith('http:')) made.entrance = line;
    }
    made.origin = new URL(made.entrance).origin;
    return made;
  }

  // Takes the one-time address as a browser does.
  async enter() {
    const { status, headers, body } = await exchange(this.entrance);
    assert.equal(status, 200, body);
    [this.setCookie] = headers['set-cookie'];
    [this.cookie] = this.setCookie.split(';');
    [, this.place] = /href="(\/[^"]+\/)"/.exec(body);
    return this;
  }

  get(page = '', headers = {}) {
    return exchange(this.origin + this.place + page, { headers: { cookie: this.cookie, ...headers } });
  }

  post(page, form, headers = {}) {
    return exchange(this.origin + this.place + page,
      { method: 'POST', form, headers: { cookie: this.cookie, origin: this.origin, ...headers } });
  }

  // The hidden fields of the form on a page.
  async form(page) {
    const { body } = await this.get(page);
    return Object.fromEntries([...body.matchAll(/type="hidden" name="([^"]*)" value="([^"]*)"/g)].map(([, name, value]) =>
      [name, value]));
  }

  async end(signal = 'SIGINT') {
    this.child.kill(signal);
    return new Deadline(30, 'the end of the console').limit(this.child.ended);
  }
}

describe('console', () => {
  let deployment;
  let provider;  // takes authorization requests from the browser, so that its address has the redirect URI
  let anna;
  let auditCopy;

  before(async () => {
    const authority = await CertificateAuthority.found('people');
    anna = await authority.identity('DNS:anna.example.org');
    provider = await OpenIdProvider.start({ logInForm: true, pushedRequests: false });
    deployment = await Deployment.start(['orders', 'reports', STRANGE].map((client_id) =>
      ({ client_id, audiences: [provider.issuer] })), (folder) => {
      const client_ca = path.join(folder, 'people.pem');
      writeFileSync(client_ca, authority.certificate);
      return {
        admin_listen: '127.0.0.1:0',
        tls: { listen: '127.0.0.1:0', certificate: path.join(folder, 'tls.pem'), client_ca },
        two_person_rule: { methods: ['RevokeKey', 'GenerateKey'], window: '1h' },
        operators: [
          { caller: ME, roles: ['operator', 'approver'] },
          { caller: 'dns:anna.example.org', roles: ['operator', 'approver'] },
        ],
      };
    }, async (made) => {
      await made.ctl('tls', 'generate', '--san', 'DNS:localhost', '--config', made.configuration);
    });
    for (const client_id of ['orders', 'reports']) {
      const { pending } = await ask('GenerateKey', { client_id, change: { expected_version: 0 } });
      await deployment.ctl('key', 'approve', pending.id, `--digest=${pending.digest}`);
    }
    provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders'), application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'] }]);
    auditCopy = path.join(deployment.folder, 'audit.log');
  });

  after(() => deployment?.close());

  // Anna, who is another person than this test's user.
  function ask(method, request) {
    const roots = readFileSync(path.join(deployment.folder, 'tls.pem'));
    const client = new KeyAdminService(`127.0.0.1:${deployment.tlsPort}`,
      grpc.credentials.createSsl(roots, Buffer.from(anna.key), Buffer.from(anna.cert)),
      { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' });
    return new Promise((resolve, reject) => {
      client[method](request, { deadline: Date.now() + 30_000 }, (error, answer) => {
        client.close();
        if (error) reject(error); else resolve(answer);
      });
    });
  }

  const keys = async () => JSON.parse(await deployment.ctl('key', 'list', '--json')).keys;
  const start = (...options) => RunningConsole.start(deployment, ...options);
  const entered = async (...options) => (await start(...options)).enter();

  describe('to others who reach its port', () => {
    let page;

    before(async () => { page = await entered(); });
    after(() => page?.end());

    it('listens on one loopback address alone, which nobody foresees', async () => {
      const { hostname, port } = new URL(page.origin);
      assert.match(hostname, /^127(\.[1-9]\d*){3}$/);
      for (const other of ['127.0.0.1', '127.0.0.2', '::1']) {
        const [error] = await once(net.connect(Number(port), other), 'error');
        assert.equal(error.code, 'ECONNREFUSED', other);
      }
      const another = await start();
      assert.notEqual(new URL(another.origin).hostname, hostname);
      await another.end();
    });

    it('has its style sheet at its secret place alone: a cached one of another server is not taken', async () => {
      assert.match((await page.get()).body, new RegExp(`href="${page.place}style\\.css"`));
      assert.match((await page.get('style.css')).headers['content-type'], /^text\/css/);
      assert.notEqual((await exchange(`${page.origin}/style.css`, { headers: { cookie: page.cookie } })).status, 200);
    });

    it('says to open a port that was named in a private window, and opens no browser for it', async () => {
      const taken = net.createServer().listen(0, '127.0.0.1');
      await once(taken, 'listening');
      const { port } = taken.address();
      taken.close();
      await once(taken, 'close');
      const { env } = desktop(deployment.environment);
      const named = await RunningConsole.launch(env, '--port', `${port}`);
      assert.equal(named.origin, `http://127.0.0.1:${port}`);
      assert.equal((await named.enter()).place.length, 45);
      assert.equal((await named.get('', { host: `localhost:${port}` })).status, 200);
      assert.match(named.told, /in a new private window/);
      assert.equal(existsSync(path.join(env.XDG_RUNTIME_DIR, 'opened')), false);
      await named.end();
    });

    it('gives the session once for its address, to a cookie that no script, other site or other port\'s path gets', async () => {
      assert.match(page.setCookie, /^assertiond_console_\d+=[\w-]{43}; Path=\/[\w-]{43}\/; HttpOnly; SameSite=Strict$/);
      assert.equal((await page.get()).status, 200);
      const again = await exchange(page.entrance);
      assert.equal(again.status, 403);
      assert.match(again.body, /was used already/);
      assert.equal(again.headers['set-cookie'], undefined);
      await new Deadline(30, 'the note in the terminal').until(() => page.stderr.includes('opened a second time'));
    });

    it('refuses a stale address, and one that was guessed', async () => {
      const other = await start();
      const stale = `${page.origin}${new URL(other.entrance).pathname}${new URL(other.entrance).search}`;
      assert.equal((await exchange(stale)).status, 403);
      for (const query of ['', '?secret=', '?secret=x', `?secret=${'A'.repeat(43)}`, '?secret=a&secret=b']) {
        const { status, headers } = await exchange(`${other.origin}/enter${query}`);
        assert.deepEqual([status, headers['set-cookie']], [403, undefined], query);
      }
      assert.equal((await other.enter()).place.length, 45);
      await other.end();
    });

    it('refuses who has no cookie of this session, whatever the path', async () => {
      const other = await entered();
      for (const cookie of ['', other.cookie, `${page.cookie}x`, page.cookie.replace(/=.*/, '='), page.cookie.split('=')[1]]) {
        for (const where of [page.place, `${page.place}audit`, '/', '/nowhere']) {
          const { status, body } = await exchange(page.origin + where, { headers: { cookie } });
          assert.deepEqual([status, body.includes('orders')], [403, false], `${where} ${cookie}`);
        }
      }
      assert.equal((await page.get('', { cookie: `a=b; assertiond_console=planted; ${page.cookie}` })).status, 200);
      assert.equal((await exchange(`${page.origin}/`, { headers: { cookie: page.cookie } })).status, 404);
      await other.end();
    });

    it('hears its own names alone: a page that rebinds its name has another Host', async () => {
      const { port, hostname } = new URL(page.origin);
      for (const host of [`evil.example:${port}`, hostname, 'localhost', `${hostname}:1${port}`, `${hostname}.:${port}`,
        `localhost.evil.example:${port}`, `user@${hostname}:${port}`, `127.0.0.1:${port}`, `localhost:${port}`]) {
        assert.equal((await page.get('', { host })).status, 421, host);
      }
    });

    it('takes a form from its own pages alone', async () => {
      const form = { ...await page.form('rotate?client_id=orders'), confirmation: 'orders' };
      const before = await keys();
      for (const headers of [{ origin: 'http://evil.example' }, { origin: 'null' }, { origin: '' }, { cookie: '' },
        { origin: page.origin.replace('http:', 'https:') }, { origin: page.origin.replace(/\d$/, '') },
        { origin: page.origin.replace(new URL(page.origin).hostname, 'localhost') },
        { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }, { 'content-type': 'text/plain' }]) {
        assert.equal((await page.post('rotate', form, headers)).status, 403, JSON.stringify(headers));
      }
      for (const changed of [{ form: '' }, { form: 'A'.repeat(43) }, { form: page.cookie.split('=')[1] }]) {
        assert.equal((await page.post('rotate', { ...form, ...changed })).status, 403);
      }
      const { form: _, ...without } = form;
      assert.equal((await page.post('rotate', without)).status, 403);
      const twice = await page.post('rotate', [...Object.entries(form), ['client_id', 'reports']]);
      assert.equal(twice.status, 403);
      assert.equal((await page.post(`rotate?${new URLSearchParams(form)}`, form)).status, 403);
      // With GET, which other pages can send, nothing changes.
      assert.equal((await page.get(`rotate?${new URLSearchParams(form)}`)).status, 200);
      assert.deepEqual(await keys(), before);
    });

    it('cannot be framed, scripted, cached or read by another site', async () => {
      for (const { status, headers } of [await page.get(), await page.get('nowhere'), await exchange(page.origin)]) {
        assert.match(headers['content-security-policy'], /default-src 'none'/);
        assert.match(headers['content-security-policy'], /frame-ancestors 'none'/);
        assert.match(headers['content-security-policy'], /base-uri 'none'/);
        assert.doesNotMatch(headers['content-security-policy'], /unsafe|script-src/);
        assert.deepEqual(['x-frame-options', 'x-content-type-options', 'cache-control', 'cross-origin-opener-policy',
          'cross-origin-resource-policy', 'referrer-policy', 'access-control-allow-origin'].map((name) => headers[name]),
        ['DENY', 'nosniff', 'no-store', 'same-origin', 'same-origin', 'same-origin', undefined], `${status}`);
      }
      assert.equal((await page.get('', { 'sec-fetch-site': 'cross-site', 'sec-fetch-dest': 'iframe' })).status, 403);
    });

    // Sends octets as they are; returns the answer's first line, or '' when the connection just ends.
    async function raw(text) {
      const { port, hostname } = new URL(page.origin);
      const socket = net.connect(Number(port), hostname);
      socket.on('error', () => {});
      socket.write(text);
      let answer = '';
      socket.on('data', (chunk) => { answer += chunk; });
      await new Deadline(30, 'the end of the connection').limit(once(socket, 'close'));
      return answer.split('\r\n')[0];
    }

    it('bounds what it reads, and refuses what can be read in two ways', async () => {
      const host = `Host: ${new URL(page.origin).host}\r\n`;
      assert.match(await raw(`GET / HTTP/1.1\r\n${host}a: ${'x'.repeat(20_000)}`), / 431 /);
      assert.match(await raw(`POST / HTTP/1.1\r\n${host}Content-Length: 8193\r\n\r\n`), / 413 /);
      assert.match(await raw(`POST / HTTP/1.1\r\n${host}Content-Length: 99999999999999999999\r\n\r\n`), / 400 /);
      assert.match(await raw(`POST / HTTP/1.1\r\n${host}Content-Length: -1\r\n\r\n`), / 400 /);
      assert.match(await raw(`POST / HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n`), / 411 /);
      assert.match(await raw(`GET / HTTP/1.1\r\n${host}${host}\r\n`), / 400 /);
      assert.match(await raw(`GET / HTTP/1.1\r\n${host}Cookie: a\r\ncookie: b\r\n\r\n`), / 400 /);
      assert.match(await raw(`GET / HTTP/1.1\r\nHost : x\r\n${host}\r\n`), / 400 /);
      assert.match(await raw(`GET / HTTP/1.0\r\n${host}\r\n`), / 400 /);
      assert.match(await raw(`GET http://evil.example/ HTTP/1.1\r\n${host}\r\n`), / 400 /);
      assert.match(await raw('GET / HTTP/1.1\r\n\r\n'), / 421 /);
      assert.match(await raw(`PUT / HTTP/1.1\r\n${host}\r\n`), / 405 /);
      assert.equal((await page.get()).status, 200);
    });

    it('is not kept from its person by those who only hold connections', async () => {
      const { port, hostname } = new URL(page.origin);
      const idle = Array.from({ length: 64 }, () => net.connect(Number(port), hostname));
      for (const socket of idle) socket.on('error', () => {});
      await Promise.all(idle.map((socket) => once(socket, 'connect')));
      assert.equal((await page.get()).status, 200);
      for (const socket of idle) socket.destroy();
    });
  });

  it('shows text of others as text', async () => {
    const { pending } = await ask('GenerateKey', { client_id: 'orders', common_name: `${SCRIPT}\u202e`,
      change: { expected_version: (await keys()).find(({ client_id }) => client_id === 'orders').version } });
    const log = path.join(deployment.folder, 'copy.log');
    copyFileSync(auditCopy, log);
    appendFileSync(log, `${SCRIPT}\u202e\u001b[2J\n`);
    const page = await entered('--audit-log', log);
    const shown = encodeURIComponent(STRANGE);
    for (const where of ['', 'audit', `approve?id=${pending.id}`, `rotate?client_id=${shown}`, `login?client_id=${shown}&issuer=${shown}`]) {
      const { status, body } = await page.get(where);
      assert.equal(status, 200, where);
      assert.match(body, /&lt;script&gt;alert\(1\)/, where);
      assert.doesNotMatch(body, /<script|\u202e|\u001b/, where);
    }
    await deployment.ctl('key', 'withdraw', pending.id);
    await page.end();
  });

  it('tells a changed audit log, one that cannot be read, and one that is whole', async () => {
    const lines = readFileSync(auditCopy, 'utf8').split('\n');
    const changed = path.join(deployment.folder, 'changed.log');
    writeFileSync(changed, lines.map((line, i) => (i === 1 ? line.replace('GenerateKey', 'RevokeKey') : line)).join('\n'));
    for (const [file, expected] of [[auditCopy, /class="good"><strong>chain/], [changed, /class="bad"><strong>/],
      ['/nowhere/audit.log', /Not verified: \/nowhere\/audit\.log cannot be read/]]) {
      const page = await entered('--audit-log', file);
      assert.match((await page.get('audit')).body, expected);
      await page.end();
    }
  });

  it('tells a last line that the server did not write, though it follows the others', async () => {
    const forged = path.join(deployment.folder, 'forged.log');
    copyFileSync(auditCopy, forged);
    const page = await entered('--audit-log', forged);
    // Once more if the server wrote a line meanwhile, such as a checkpoint.
    await new Deadline(60, 'the server to write nothing between the copy and the page').until(async () => {
      const lines = readFileSync(auditCopy, 'utf8').trimEnd().split('\n');
      const last = JSON.parse(lines.pop());
      writeFileSync(forged, `${[...lines, JSON.stringify({ ...last, event: 'GenerateKey', caller: 'uid:666' })].join('\n')}\n`);
      const { body } = await page.get('audit');
      if (!body.includes(`Sequence ${last.seq}, `)) return false;
      assert.match(body, /class="bad"><strong>replaced<\/strong>: \S+forged\.log:\d+: is another line than/);
      assert.match(body, new RegExp(`<td>${last.seq}</td><td>${last.time}</td><td>GenerateKey</td><td>uid:666</td>`));
      return true;
    });
    await page.end();
  });

  it('ends when idle, when nobody comes and with Ctrl-C, and hears nobody then', async () => {
    const idle = await entered('--idle', '1');
    assert.deepEqual(await new Deadline(30, 'the idle session to end').limit(idle.child.ended), { status: 0, signal: null });
    await assert.rejects(idle.get(), { code: 'ECONNREFUSED' });
    const unopened = await start('--idle', '1');
    assert.equal((await new Deadline(30, 'the wait to end').limit(unopened.child.ended)).status, 4);
    const stopped = await entered();
    assert.deepEqual(await stopped.end('SIGINT'), { status: null, signal: 'SIGINT' });
    await assert.rejects(stopped.get(), { code: 'ECONNREFUSED' });
  });

  it('opens the browser by a file that others cannot read, and removes it', async () => {
    for (const enters of [true, false]) {
      const { env, opened } = desktop(deployment.environment);
      const page = await RunningConsole.launch(env);
      const file = new URL(await opened()).pathname;
      assert.equal(statSync(file).mode & 0o777, 0o600);
      assert.ok(readFileSync(file, 'utf8').includes(page.entrance));
      if (enters) {
        await page.enter();
        await new Deadline(30, 'the file to go').until(() => !existsSync(file));
      }
      assert.equal((await page.end('SIGTERM')).signal, 'SIGTERM');
      assert.ok(!existsSync(file));
    }
  });

  it('ends when its person says so', async () => {
    const page = await entered();
    const { status, body } = await page.post('end', await page.form(''));
    assert.equal(status, 200, body);
    assert.deepEqual(await new Deadline(30, 'the end').limit(page.child.ended), { status: 0, signal: null });
  });

  it('says in the terminal that no server answers, and what is wrong with an option', async () => {
    assert.equal((await deployment.tryCtl('--server', 'unix:/nowhere', 'console')).status, 4);
    assert.equal((await deployment.tryCtl('console', '--monitor', 'http://192.0.2.1:9464')).status, 2);
    const taken = net.createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { status, stderr } = await deployment.tryCtl('console', '--port', `${taken.address().port}`);
    assert.equal(status, 4);
    assert.match(stderr, /Address already in use/);
    taken.close();
  });

  describe('tries a log-in', () => {
    const unescaped = (html) => html.replaceAll('&amp;', '&');
    const refused = (uri) => assert.rejects(exchange(uri), { code: 'ECONNREFUSED' });

    // Sends the form of a trial.
    async function begin(page, changed = {}, headers = {}) {
      const form = { ...await page.form('login'), do: 'log-in', client_id: 'orders', issuer: provider.issuer, ...changed };
      return page.post('login', form, headers);
    }

    // The provider's address on the page, once it is there, and where the browser would come back to.
    async function waiting(page) {
      let url;
      await new Deadline(30, 'the link to the provider').until(async () => {
        const { body } = await page.get('login');
        url = /<a class="provider" href="([^"]+)" target="_blank" rel="noopener noreferrer">/.exec(body)?.[1];
        return url;
      });
      url = unescaped(url);
      return { url, redirectUri: new URL(url).searchParams.get('redirect_uri') };
    }

    async function ended(page) {
      let body;
      await new Deadline(30, 'the end of the trial').until(async () => {
        const answer = await page.get('login');
        body = answer.body;
        assert.equal(answer.headers.refresh, body.includes('The last trial') ? undefined : '2');
        return body.includes('The last trial');
      });
      return body;
    }

    it('begins one for its own form alone, and shows it to its own session alone', async () => {
      const page = await entered();
      for (const headers of [{ origin: 'http://evil.example' }, { origin: 'null' }, { cookie: '' }, { 'sec-fetch-site': 'cross-site' }]) {
        assert.equal((await begin(page, {}, headers)).status, 403, JSON.stringify(headers));
      }
      assert.equal((await begin(page, { form: 'A'.repeat(43) })).status, 403);
      assert.equal((await begin(page, { issuer: '' })).status, 400);
      const query = new URLSearchParams({ ...await page.form('login'), do: 'log-in', client_id: 'orders', issuer: provider.issuer });
      assert.equal((await page.get(`login?${query}`)).status, 200);
      assert.doesNotMatch((await page.get('login')).body, /trial<\/h2>/);
      const { status, headers } = await begin(page);
      assert.deepEqual([status, headers.location], [303, `${page.place}login`]);
      const { url } = await waiting(page);
      for (const cookie of ['', `${page.cookie}x`]) {
        const { body } = await page.get('login', { cookie });
        assert.ok(!body.includes(new URL(url).searchParams.get('state')), body);
      }
      await page.end();
    });

    it('ends it when it is given up', async () => {
      const page = await entered();
      await begin(page);
      const { redirectUri } = await waiting(page);
      assert.equal((await exchange(redirectUri)).status, 404);  // it is heard
      assert.equal((await page.post('login', { ...await page.form('login'), do: 'give-up' })).status, 303);
      await refused(redirectUri);
      assert.match(await ended(page), /Not logged in: it was given up/);
      await page.end();
    });

    it('has one at a time: a second ends the first', async () => {
      const page = await entered();
      await begin(page);
      const first = await waiting(page);
      const { port } = new URL(first.redirectUri);
      // Both want the same port.
      await begin(page, { redirect_uri: first.redirectUri });
      const second = await waiting(page);
      assert.equal(second.redirectUri, first.redirectUri);
      assert.notEqual(new URL(second.url).searchParams.get('state'), new URL(first.url).searchParams.get('state'));
      await begin(page);
      await refused(`http://127.0.0.1:${port}/callback`);
      await waiting(page);
      await page.end();
    });

    it('ends it with the session, however that ends', async () => {
      for (const [options, end] of [
        [['--idle', '1'], () => {}],
        [[], async (page) => page.post('end', await page.form(''))],
        [[], (page) => page.child.kill('SIGINT')]]) {
        const page = await entered(...options);
        await begin(page);
        const { redirectUri } = await waiting(page);
        await end(page);
        await new Deadline(30, 'the end of the console').limit(page.child.ended);
        await refused(redirectUri);
      }
    });

    it('makes no link of an address that is none', async () => {
      const evil = http.createServer((request, response) => {
        const issuer = `http://127.0.0.1:${evil.address().port}`;
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ issuer, jwks_uri: `${issuer}/jwks`,
          token_endpoint: `${issuer}/token`, authorization_endpoint: `javascript:alert(1)//${SCRIPT}` }));
      }).listen(0, '127.0.0.1');
      await once(evil, 'listening');
      const page = await entered();
      await begin(page, { issuer: `http://127.0.0.1:${evil.address().port}` });
      const body = await ended(page);
      assert.match(body, /Not logged in: .*authorization_endpoint/);
      assert.match(body, /authorization_endpoint javascript:alert\(1\)\/\/&lt;script/);
      assert.doesNotMatch(body, /<script|href="javascript/);
      await page.end();
      evil.close();
    });

    describe('in Chromium without JavaScript', () => {
      let browser;
      let running;
      let context;
      let page;

      before(async () => {
        browser = await launchChromium();
        running = await start();
        context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 900, height: 1000 } });
        page = await context.newPage();
        await page.goto(running.entrance);
        await page.waitForURL(`${running.origin}/*/`);
      });

      after(async () => {
        await browser?.close();
        await running?.end();
      });

      // Begins a trial on the page and follows its link to the provider's form.
      async function toProvider() {
        await page.click('text=Try a log-in');
        await page.fill('input[name=client_id]', 'orders');
        await page.fill('input[name=issuer]', provider.issuer);
        await page.getByRole('button', { name: 'Begin the log-in' }).click();
        const link = page.locator('a.provider');  // the page loads itself again until it is there
        await link.waitFor();
        const url = new URL(await link.getAttribute('href'));
        const [tab] = await Promise.all([context.waitForEvent('page'), link.click()]);
        await tab.locator('input[name=login]').waitFor();
        return { tab, url };
      }

      it('and tells that the person said no', async () => {
        const { tab } = await toProvider();
        await tab.click('text=Cancel');
        await tab.waitForURL('http://127.0.0.1:*/callback?*');
        await tab.close();
        await page.locator('.exchange').waitFor();
        assert.match(await page.textContent('main'), /Not logged in: the provider refused the log-in: "access_denied".*Next: the person, or/s);
      });

      it('to its end, and shows requests, answers and checks with their secrets cut', async () => {
        const { tab, url } = await toProvider();
        await tab.fill('input[name=login]', 'ann');
        await tab.fill('input[name=password]', 'secret');
        await tab.click('button[type=submit]');
        await tab.click('button[type=submit]');
        await tab.waitForURL('http://127.0.0.1:*/callback?*');
        assert.equal(await tab.textContent('h1'), 'Logged in');
        const code = new URL(tab.url()).searchParams.get('code');
        await tab.close();
        await page.locator('.exchange').waitFor();
        const text = await page.textContent('main');
        assert.match(text, /Logged in; all \d+ checks are good/);
        for (const shown of ['Redirect URI asked beforehand', 'Token request', 'ID token, decoded', 'at_hash', 'Userinfo', '"sub": "ann"']) {
          assert.ok(text.includes(shown), shown);
        }
        for (const secret of [code, url.searchParams.get('state'), url.searchParams.get('nonce')]) {
          assert.ok(secret.length > 20 && !text.includes(secret), secret);
        }
        assert.doesNotMatch(await page.content(), /eyJ[\w-]{20,}/);
        await page.setViewportSize({ width: 360, height: 740 });
        for (const part of await page.locator('section, .exchange table').all()) {
          const { x, width } = await part.boundingBox();
          assert.ok(x + width <= 360, `${x} + ${width}`);
        }
        await page.setViewportSize({ width: 900, height: 1000 });
      });
    });
  });

  describe('in Chromium without JavaScript', () => {
    let browser;
    let running;
    let page;

    before(async () => {
      browser = await launchChromium();
      const { env, opened } = desktop(deployment.environment);
      running = await RunningConsole.launch(env, '--monitor', deployment.adminOrigin, '--audit-log', auditCopy);
      const context = await browser.newContext({ javaScriptEnabled: false, viewport: { width: 900, height: 1000 } });
      page = await context.newPage();
      await page.goto(await opened());
      await page.waitForURL(`${running.origin}/*/`);
    });

    after(async () => {
      await browser?.close();
      await running?.end();
    });

    it('is read', async () => {
      const text = await page.textContent('main');
      assert.equal(await page.textContent('h1'), 'Keys');
      assert.match(text, /Ready/);
      assert.match(text, /end-to-end\s*signs/);
      assert.match(text, /No key yet/);
      assert.match(text, /signing from/);
      assert.equal(await page.locator('svg.life rect.signing').count(), 2);
      assert.equal(await page.getByRole('img', { name: /^signing from/ }).count(), 2);
      await page.click('text=Audit log');
      assert.match(await page.textContent('main'), /chain: sequences 1 to \d+ follow each other/);
      assert.match(await page.textContent('tbody'), /GenerateKey/);
      await page.click('text=Keys');
    });

    it('fits 360 pixels, in light and dark', async () => {
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        await page.setViewportSize({ width: 360, height: 740 });
        const { width } = await page.locator('main').boundingBox();
        assert.ok(width <= 360, `${width}`);
        if (process.env.E2E_SCREENSHOT) await page.screenshot({ path: `${process.env.E2E_SCREENSHOT}.${colorScheme}.png`, fullPage: true });
        const { width: section } = await page.locator('section').last().boundingBox();
        assert.ok(section <= 360, `${section}`);
      }
      await page.emulateMedia({ colorScheme: 'light' });
      await page.setViewportSize({ width: 900, height: 1000 });
    });

    it('rotates, when the client id is typed', async () => {
      const before = await keys();
      await page.locator('.actions', { has: page.locator('a[href="generate?client_id=reports"]') }).getByText('Rotate').click();
      assert.equal(await page.textContent('h1'), 'Rotate: reports');
      assert.match(await page.textContent('main'), /takes this from callers with the role operator/);
      await page.fill('input[name=confirmation]', 'orders');
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'Not confirmed');
      assert.deepEqual(await keys(), before);
      await page.goBack();
      await page.fill('input[name=sign_from]', '+6h');
      await page.fill('input[name=confirmation]', 'reports');
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'The next key is generated');
      const made = (await keys()).filter((key) => !before.some(({ kid }) => kid === key.kid));
      assert.deepEqual(made.map(({ client_id }) => client_id), ['reports']);
      assert.ok((await page.textContent('pre')).includes(made[0].kid));
      // The page is loaded again: the same request, which does not act twice.
      await page.reload();
      assert.equal((await keys()).length, before.length + 1);
      await page.click('text=Back to the keys');
      assert.ok((await page.textContent('main')).includes(made[0].kid));
    });

    it('a change made meanwhile is not overrun', async () => {
      await page.goto(`${running.origin}${new URL(page.url()).pathname}rotate?client_id=reports`);
      await deployment.ctl('key', 'rotate', '--client-id', 'reports');
      const before = await keys();
      await page.fill('input[name=confirmation]', 'reports');
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'Not done');
      assert.deepEqual(await keys(), before);
      await page.click('text=Back to the keys');
    });

    it('approves what another asked for, with its digest, and refuses', async () => {
      const kid = (await keys()).find(({ client_id }) => client_id === 'orders').kid;
      const propose = async () => (await ask('RevokeKey', { client_id: 'orders', kid, change: { force_client_id: 'orders',
        expected_version: (await keys()).find(({ client_id }) => client_id === 'orders').version } })).pending;
      const refused = await propose();
      await page.click('text=day');
      assert.ok((await page.textContent('main')).includes(refused.digest));
      assert.equal(await page.locator('svg.life rect.published').count(), 2);
      assert.equal(await page.locator('svg.life rect.retiring').count(), 1);
      if (process.env.E2E_SCREENSHOT) await page.screenshot({ path: process.env.E2E_SCREENSHOT, clip: { x: 0, y: 0, width: 900, height: 1320 } , fullPage: true });
      await page.getByRole('link', { name: 'Refuse', exact: true }).click();
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'The change is refused');
      assert.match(await deployment.ctl('key', 'pending'), /no change waits/);

      const pending = await propose();
      await page.click('text=Back to the keys');
      await page.getByRole('link', { name: 'Approve', exact: true }).click();
      await page.fill('input[name=digest]', refused.digest.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')));
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'Not done');
      assert.equal((await keys()).find((key) => key.kid === kid).state, 'signing');
      await page.goBack();
      assert.ok((await page.textContent('main')).includes(`Requested by dns:anna.example.org`));
      assert.match(await page.textContent('main'), /takes this from callers with the role approver, but not from its requester/);
      await page.fill('input[name=digest]', `  ${pending.digest} `);  // as pasted
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'The change is made');
      assert.equal((await keys()).find((key) => key.kid === kid).state, 'withdrawn');
      await page.click('text=Back to the keys');
    });

    it('asks for a change that waits for another, who is not this person', async () => {
      const { kid } = (await keys()).find(({ client_id, state }) => client_id === 'reports' && state === 'signing');
      const revoke = page.locator(`a[href="revoke?client_id=reports&kid=${kid}"]`);
      await revoke.click();
      await page.check('input[name=force]');
      await page.fill('input[name=confirmation]', 'reports');
      await page.click('button');
      assert.equal(await page.textContent('h1'), 'Nothing has changed yet');
      const digest = await page.textContent('.digest');
      await page.click('text=Back to the keys');
      await page.getByRole('link', { name: 'Approve', exact: true }).click();
      assert.match(await page.textContent('main'), /You, uid:\d+, requested it/);
      await page.fill('input[name=digest]', digest);
      await page.click('button');
      assert.match(await page.textContent('main'), /who asked for this change/);
      assert.equal((await keys()).find((key) => key.kid === kid).state, 'signing');
      await page.click('text=Back to the keys');
    });

    it('gives the command of a trial log-in', async () => {
      await page.click('text=Try a log-in');
      await page.fill('input[name=client_id]', 'orders');
      await page.fill('input[name=issuer]', 'https://is.example/$(id)');
      await page.getByRole('button', { name: 'Show the command' }).click();
      assert.ok((await page.textContent('pre')).endsWith('oidc login --client-id=orders \'--issuer=https://is.example/$(id)\''));
    });

    it('is left alone by a page of another site, which can neither frame it nor send its forms', async () => {
      const place = new URL(page.url()).pathname.split('/')[1];
      const evil = http.createServer((request, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end(
          `<iframe name=f src="${running.origin}/${place}/"></iframe><form method=post action="${running.origin}/${place}/rotate">` +
          '<input name=client_id value=reports><input name=confirmation value=reports><button>Win</button></form>');
      }).listen(0, '127.0.0.1');
      await once(evil, 'listening');
      const before = await keys();
      const cookies = [];
      evil.on('request', (request) => cookies.push(request.headers.cookie));
      // Another port of the same host: browsers call that the same site, and cookies do not know ports.
      for (const host of ['127.0.0.1', 'localhost']) {
        const attack = await page.context().newPage();
        await attack.goto(`http://${host}:${evil.address().port}/`);
        assert.doesNotMatch(await attack.frame({ name: 'f' })?.content() ?? '', /orders/);
        await attack.click('button');
        assert.match(await attack.textContent('body'), /assertionctl console: /);
        await attack.close();
      }
      assert.ok(cookies.length > 0 && cookies.every((cookie) => cookie === undefined), `${cookies}`);
      assert.deepEqual(await keys(), before);
      evil.close();
    });
  });
});
