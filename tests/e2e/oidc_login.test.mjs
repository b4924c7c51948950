// assertionctl oidc login: against oidc-provider with its own log-in form, filled by a plain HTTP client and in Chromium, and
// against a stand-in that makes one mistake at a time.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import { desktop, exchange, fillForms, launchChromium } from './browsing.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const NATIVE = { application_type: 'native', redirect_uris: ['http://127.0.0.1/callback'] };
const ALERT = '<script>alert(1)</script>';

// A log-in that waits for its browser.
class RunningLogin {
  static start(deployment, issuer, ...options) {
    return RunningLogin.launch(deployment.environment, issuer, '--no-browser', ...options);
  }

  static async launch(env, issuer, ...options) {
    const login = new RunningLogin();
    login.child = startProcess('sh', ['-c', env.LOGIN_STDOUT ? 'exec "$@" >"$LOGIN_STDOUT"' : 'exec "$@"', 'sh',
      path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'oidc', 'login', '--client-id', 'orders', '--issuer', issuer, '--json', ...options],
      { env, log: path.join(temporaryFolder(), 'login.log') });
    login.stdout = '';
    login.stderr = '';
    login.child.stdout.on('data', (chunk) => { login.stdout += chunk; });
    login.child.stderr.on('data', (chunk) => { login.stderr += chunk; });
    const lines = new Lines(login.child, 'stderr');
    const deadline = new Deadline(30, 'the address to log in at');
    while (!login.url) {
      const line = await lines.next(deadline);
      if (/^https?:/.test(line)) login.url = line;
    }
    return login;
  }

  async end() {
    const { status } = await new Deadline(60, 'the end of the log-in').limit(this.child.ended);
    return { status, stderr: this.stderr, ...JSON.parse(this.stdout) };
  }
}

describe('oidc login', () => {
  let provider;
  let plain;  // the same without pushed requests
  let deployment;
  let standIn;
  let issuer;
  let tokenAnswer;  // what the stand-in's token endpoint answers: [status, body], or a function of the form that came
  let userinfo;  // an object, or [status, body]
  let parAnswer;
  let beforehand;  // what the authorization endpoint answers without a person: [status, body, header], or nothing at all
  let asked;  // the query of that request
  let keys;
  let metadata;

  before(async () => {
    provider = await OpenIdProvider.start({ logInForm: true });
    plain = await OpenIdProvider.start({ logInForm: true, pushedRequests: false });
    keys = await generateKeyPair('RS256');
    const jwk = { ...await exportJWK(keys.publicKey), kid: 'one', use: 'sig', alg: 'RS256' };
    standIn = http.createServer((request, response) => {
      const answers = {
        '/.well-known/openid-configuration': () => [200, metadata],
        '/jwks': () => [200, { keys: [jwk] }],
        '/token': (form) => (typeof tokenAnswer === 'function' ? tokenAnswer(form) : tokenAnswer),
        '/userinfo': () => (Array.isArray(userinfo) ? userinfo : [200, userinfo]),
        '/par': () => parAnswer,
        '/authorize': () => beforehand,
      };
      const { pathname, searchParams } = new URL(request.url, issuer);
      if (pathname === '/authorize') asked = searchParams;
      if (pathname === '/authorize' && !beforehand) return;
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        const form = new URLSearchParams(Buffer.concat(chunks).toString());
        const [status, body, headers] = answers[pathname]?.(form) ?? [404, {}];
        response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    }).listen(0, '127.0.0.1');
    await once(standIn, 'listening');
    issuer = `http://127.0.0.1:${standIn.address().port}`;
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [provider.issuer, plain.issuer, issuer] }]);
    await deployment.generateKey('orders');
    for (const one of [provider, plain]) one.register([{ client_id: 'orders', jwks: await deployment.jwks('orders'), ...NATIVE }]);
  });

  after(async () => {
    standIn?.close();
    await deployment?.close();
  });

  // What the stand-in says of itself.
  function publish(changed) {
    metadata = { issuer, authorization_endpoint: `${issuer}/authorize`, token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`, userinfo_endpoint: `${issuer}/userinfo`,
      token_endpoint_auth_methods_supported: ['private_key_jwt'], ...changed };
  }

  beforeEach(() => { beforehand = [404, {}]; });

  // A log-in at the stand-in, up to where the browser comes back. claims: of the ID token that differ; signer: its key; clock:
  // by how many seconds the provider's is ahead; published: metadata that differs; accessToken: what it gives.
  async function atStandIn({ claims = {}, signer = keys.privateKey, clock = 0, published = {}, alg = 'RS256', accessToken = 'the-access-token', env } = {},
    ...options) {
    publish(published);
    userinfo = { sub: 'ann' };
    const login = env ? await RunningLogin.launch(env, issuer, '--audience', issuer, ...options)
      : await RunningLogin.start(deployment, issuer, '--audience', issuer, ...options);
    const asked = new URL(login.url).searchParams;
    const now = Date.now() / 1000 + clock;
    const half = (text) => createHash('sha256').update(text).digest().subarray(0, 16).toString('base64url');
    const idToken = await new SignJWT({ iss: issuer, aud: 'orders', sub: 'ann', nonce: asked.get('nonce'), iat: Math.floor(now),
      exp: Math.floor(now) + 3600, at_hash: half(accessToken), c_hash: half('the-code'), ...claims })
      .setProtectedHeader({ alg, kid: 'one' }).sign(signer);
    tokenAnswer = [200, { access_token: accessToken, token_type: 'Bearer', id_token: idToken }];
    login.asked = asked;
    login.back = (answer) => exchange(`${asked.get('redirect_uri')}?${new URLSearchParams(answer)}`);
    return login;
  }

  const state = (login) => login.asked.get('state');

  it('logs in through the real forms, by a plain HTTP client', async () => {
    const login = await RunningLogin.start(deployment, provider.issuer, '--audience', provider.issuer);
    const page = await fillForms(login.url);
    const result = await login.end();
    assert.deepEqual([result.status, result.logged_in, result.failure], [0, true, ''], result.stderr);
    assert.equal(result.claims.sub, 'ann');
    assert.deepEqual(result.checks.filter(({ good }) => !good), []);
    assert.match(page.body, /<h1 class="good">Logged in/);
    for (const header of ['content-security-policy', 'cache-control', 'referrer-policy', 'x-frame-options']) {
      assert.ok(page.headers[header], header);
    }
    assert.match(page.headers['content-security-policy'], /default-src 'none'/);
    // The request was pushed, and no secret is on the page or in the JSON whole.
    assert.ok(result.steps.some(({ step }) => step === 'Pushed authorization request'));
    for (const text of [page.body, login.stdout]) assert.doesNotMatch(text, /eyJ[\w-]{20,}/);
  });

  it('logs in in Chromium', async () => {
    const browser = await launchChromium();
    try {
      const login = await RunningLogin.start(deployment, provider.issuer, '--audience', provider.issuer);
      const page = await browser.newPage({ viewport: { width: 900, height: 760 } });
      const errors = [];
      page.on('pageerror', (error) => errors.push(error.message));
      await page.goto(login.url);
      await page.fill('input[name=login]', 'ann');
      await page.fill('input[name=password]', 'secret');
      await page.click('button[type=submit]');
      await page.click('button[type=submit]');
      await page.waitForURL('http://127.0.0.1:*/callback?*');
      assert.equal(await page.textContent('h1'), 'Logged in');
      assert.ok((await page.textContent('body')).includes('at_hash'));
      if (process.env.E2E_SCREENSHOT) await page.screenshot({ path: process.env.E2E_SCREENSHOT });
      const result = await login.end();
      assert.deepEqual([result.status, errors], [0, []], result.stderr);
    } finally {
      await browser.close();
    }
  });

  it('takes a log-in at the stand-in, which the mistakes below change', async () => {
    const login = await atStandIn();
    assert.equal(login.asked.get('code_challenge_method'), 'S256');
    await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.deepEqual([result.status, result.failure], [0, ''], result.stderr);
  });

  it('ends with 3 when the JSON cannot be written', async () => {
    const login = await atStandIn({ env: { ...deployment.environment, LOGIN_STDOUT: '/dev/full' } }, '--no-browser');
    await login.back({ code: 'the-code', state: state(login) });
    assert.equal((await new Deadline(60, 'the end of the log-in').limit(login.child.ended)).status, 3, login.stderr);
    assert.match(login.stderr, /cannot write standard output: No space left on device/);
  });

  const mistakes = {
    'another state': [{}, { code: 'the-code', state: 'another' }, 11, /another state/],
    'no state': [{}, { code: 'the-code' }, 11, /another state/],
    'access_denied': [{}, { error: 'access_denied', error_description: ALERT }, 12, /refused the log-in: "access_denied"/],
    'another issuer in the redirect': [{}, { code: 'the-code', iss: 'https://evil.example' }, 1, /mix-up/],
    'no issuer in the redirect of a provider that sends one':
      [{ published: { authorization_response_iss_parameter_supported: true } }, { code: 'the-code' }, 1,
        /iss is missing in the redirect, though .*mix-up/],
    'another error': [{}, { error: 'server_error' }, 5, /refused the log-in: "server_error"/],
    'no code': [{}, {}, 5, /no code/],
    'another nonce': [{ claims: { nonce: 'another' } }, { code: 'the-code' }, 1, /nonce is "another"/],
    'another audience': [{ claims: { aud: 'others' } }, { code: 'the-code' }, 1, /for another client/],
    'another access token': [{ claims: { at_hash: 'AAAA' } }, { code: 'the-code' }, 1, /at_hash is of another access token/],
    'a clock ten minutes slow': [{ clock: -600 }, { code: 'the-code' }, 15, /issued 60\d s ago.*clock/],
    'a clock ten minutes fast': [{ clock: 600 }, { code: 'the-code' }, 15, /in the future.*clock/],
    'an expired ID token': [{ claims: { exp: 1_000_000_000 } }, { code: 'the-code' }, 15, /it expired \d+ s ago/],
    'an expiry that is a text': [{ claims: { exp: 'soon' } }, { code: 'the-code' }, 1, /exp is "soon"$/],
    'no time of issue': [{ claims: { iat: undefined } }, { code: 'the-code' }, 1, /iat is missing$/],
    'another audience, and a clock ten minutes slow': [{ clock: -600, claims: { aud: 'others' } }, { code: 'the-code' }, 1, /clock/],
    'a symmetric signature': [{ alg: 'HS256', signer: new Uint8Array(32) }, { code: 'the-code' }, 1,
      /alg is "HS256".*; the signature is not checked: alg is refused; at_hash is not checked: alg is refused; c_hash is not checked/],
  };
  for (const [name, [changed, answer, status, message]] of Object.entries(mistakes)) {
    it(`refuses ${name}`, async () => {
      const login = await atStandIn(changed);
      const sent = { ...(name.endsWith('state') ? {} : { state: state(login) }), ...answer };
      const page = await login.back(sent);
      const result = await login.end();
      assert.equal(result.status, status, result.stderr);
      assert.match(result.failure, message);
      assert.match(page.body, /<h1 class="bad">Not logged in/);
      assert.ok(!page.body.includes('<script'), 'text from elsewhere is escaped');
    });
  }

  it('tells the exchange to nobody who comes without the state: any program of the machine can', async () => {
    for (const answer of [{ code: 'the-code', state: 'another' }, { code: 'the-code' }]) {
      const login = await atStandIn({});
      const page = await login.back(answer);
      assert.match(page.body, /another state/);
      assert.doesNotMatch(page.body, /Discovery|client_assertion|orders/);
      assert.ok((await login.end()).steps.length > 1, 'its person has all of it');
    }
  });

  it('refuses an ID token by another key', async () => {
    const login = await atStandIn({ signer: (await generateKeyPair('RS256')).privateKey });
    await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 14);
    assert.match(result.failure, /not by this key of the provider/);
  });

  it('tells of a code that was used before', async () => {
    const login = await atStandIn();
    tokenAnswer = [400, { error: 'invalid_grant', error_description: 'the code was used' }];
    await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 13);
    assert.match(result.failure, /refused the code: HTTP 400, "invalid_grant", "the code was used/);
  });

  for (const [answer, message] of [
    [[500, { error: 'server_error' }], /^the provider failed: HTTP 500, "server_error"$/],
    [[503, 'busy'], /^the provider failed: HTTP 503$/],
    [[200, {}], /^the provider answered HTTP 200 without an access token$/],
    [[400, { error: 'invalid_request' }], /^the provider refused the token request: HTTP 400, "invalid_request"$/]]) {
    it(`does not blame the code for ${JSON.stringify(answer)}`, async () => {
      const login = await atStandIn();
      tokenAnswer = answer;
      await login.back({ code: 'the-code', state: state(login) });
      const result = await login.end();
      assert.equal(result.status, 5);
      assert.match(result.failure, message);
    });
  }

  for (const [answer, status, message] of [
    [[400, { error: 'invalid_request', error_description: 'Registered callback does not match' }], 10, /callback does not match/],
    [[400, { error: 'invalid_redirect_uri' }], 10, /invalid_redirect_uri/],
    [[400, { error: 'invalid_scope' }], 5, /refused the authorization request: HTTP 400, "invalid_scope"/],
    [[502, 'bad gateway'], 5, /the provider failed: HTTP 502/],
    [[201, {}], 5, /the provider answered HTTP 201 without a request_uri/]]) {
    it(`tells what the answer ${JSON.stringify(answer)} to a pushed request means`, async () => {
      publish({ pushed_authorization_request_endpoint: `${issuer}/par` });
      parAnswer = answer;
      const result = await deployment.tryCtl('oidc', 'login', '--client-id', 'orders', '--issuer', issuer, '--audience', issuer,
        '--no-browser');
      assert.equal(result.status, status, result.stderr);
      assert.match(result.stderr, message);
    });
  }

  it('shows what was sent and received as JWTs, without their signatures', async () => {
    const accessToken = await new SignJWT({ scope: 'all', sub: 'ann' }).setProtectedHeader({ alg: 'RS256', typ: 'at+jwt' })
      .sign(keys.privateKey);
    const login = await atStandIn({ accessToken });
    const page = await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 0, result.stderr);
    const named = Object.fromEntries(result.decoded.map(({ token, ...parts }) => [token, parts]));
    assert.deepEqual(Object.keys(named), ['Client assertion of: Token request', 'Access token', 'ID token']);
    assert.deepEqual(named['Access token'], { header: { alg: 'RS256', typ: 'at+jwt' }, claims: { scope: 'all', sub: 'ann' } });
    const sent = named['Client assertion of: Token request'];
    assert.equal(sent.header.alg, 'RS256');
    assert.deepEqual([sent.claims.iss, sent.claims.sub, sent.claims.aud], ['orders', 'orders', issuer]);
    assert.match(page.body, /<h2>Client assertion of: Token request, decoded<\/h2><pre>\{[^<]*&quot;kid&quot;/);
    assert.match(page.body, /<h2>Access token, decoded<\/h2><pre>\{[^<]*at\+jwt/);
    const signature = accessToken.split('.')[2].slice(0, 12);
    for (const text of [page.body, login.stdout]) assert.ok(!text.includes(signature), text);
  });

  it('refuses a scope without openid, and an endpoint that it may not send to, before anybody logs in', async () => {
    const options = ['oidc', 'login', '--client-id', 'orders', '--issuer', issuer, '--audience', issuer, '--no-browser'];
    publish({});
    const scope = await deployment.tryCtl(...options, '--scope', 'email openid2');
    assert.equal(scope.status, 2, scope.stderr);
    assert.match(scope.stderr, /--scope must contain openid/);
    for (const name of ['token_endpoint', 'jwks_uri', 'userinfo_endpoint', 'pushed_authorization_request_endpoint']) {
      publish({ [name]: 'http://is.example.com/x' });
      const { status, stderr } = await deployment.tryCtl(...options, '--timeout', '1');
      assert.equal(status, 5, stderr);
      assert.match(stderr, new RegExp(name));
      assert.doesNotMatch(stderr, /Log in at this address/);
    }
  });

  it('tells a refused assertion from a refused code', async () => {
    const login = await atStandIn();
    tokenAnswer = [401, { error: 'invalid_client', error_description: 'no such kid' }];
    await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 5);
    assert.equal(result.failure, 'the provider refused the assertion: HTTP 401, "invalid_client", "no such kid"');
    assert.match(result.stderr, /^ {2}next: compare audience, certificate and clock: /m);
  });

  it('shows no secret that the provider sends back, wherever it stands', async () => {
    const login = await atStandIn();
    const sent = [state(login), login.asked.get('nonce'), 'code-of-this-log-in'];
    tokenAnswer = (form) => {
      sent.push(form.get('client_assertion'), form.get('code_verifier'));
      return [400, { error: 'invalid_client', error_description: `got ${form.get('client_assertion')}`,
        details: [{ text: sent.join(' | '), form: Object.fromEntries(form) }] }];
    };
    const page = await login.back({ code: 'code-of-this-log-in', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 5);
    assert.match(result.failure, /refused the assertion: HTTP 400, "invalid_client", "got eyJ/);
    assert.equal(sent.length, 5);
    const told = login.stderr.replace(login.url, '');
    for (const secret of sent) {
      for (const text of [page.body, login.stdout, told]) assert.ok(!text.includes(secret.slice(0, 12)), `${secret} in ${text}`);
    }
  });

  for (const [name, changed, message] of [
    ['that ends a header line', { access_token: 'x\r\nX-Evil: 1' }, /access_token is empty, too long, or not printable/],
    ['with a NUL', { access_token: 'x\0' }, /access_token is empty, too long, or not printable/],
    ['of two words', { access_token: 'x y' }, /RFC 6750/],
    ['without its type', { token_type: undefined }, /no token_type/]]) {
    it(`refuses an access token ${name}`, async () => {
      const login = await atStandIn();
      tokenAnswer[1] = { ...tokenAnswer[1], ...changed };
      await login.back({ code: 'the-code', state: state(login) });
      const result = await login.end();
      assert.equal(result.status, 5, result.stderr);
      assert.match(result.failure, message);
    });
  }

  it('opens the browser by a file that others cannot read, and removes it', async () => {
    const { env, opened } = desktop(deployment.environment);
    const login = await atStandIn({ env });
    const named = await opened();
    assert.doesNotMatch(named, new RegExp(state(login)));
    const file = new URL(named).pathname;
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.ok(readFileSync(file, 'utf8').includes(login.url.replaceAll('&', '&amp;')));
    await login.back({ error: 'access_denied', state: state(login) });
    await login.end();
    assert.ok(!existsSync(file));
  });

  it('does not use the userinfo of somebody else', async () => {
    const login = await atStandIn();
    userinfo = { sub: 'bob' };
    await login.back({ code: 'the-code', state: state(login) });
    const result = await login.end();
    assert.equal(result.status, 1);
    assert.match(result.failure, /another sub/);
  });

  it('says that userinfo is a JWT, or no JSON', async () => {
    for (const [body, message] of [[await new SignJWT({ sub: 'ann' }).setProtectedHeader({ alg: 'RS256' }).sign(keys.privateKey),
      /^userinfo_endpoint answers with a JWT/], ['hello', /^userinfo_endpoint answers HTTP 200 without a JSON object$/]]) {
      const login = await atStandIn();
      userinfo = [200, body];
      await login.back({ code: 'the-code', state: state(login) });
      const result = await login.end();
      assert.equal(result.status, 5);
      assert.match(result.failure, message);
    }
  });

  it('is told by the provider that the redirect URI is not registered', async () => {
    const { status, stderr } = await deployment.tryCtl('oidc', 'login', '--client-id', 'orders', '--issuer', provider.issuer,
      '--audience', provider.issuer, '--no-browser', '--redirect-uri', 'http://127.0.0.1:0/another');
    assert.equal(status, 10, stderr);
    assert.match(stderr, /refused the authorization request.*redirect_uri/);
  });

  it('asks a provider that takes no pushed request whether it knows the redirect URI, before anybody logs in', async () => {
    const { status, stderr } = await deployment.tryCtl('oidc', 'login', '--client-id', 'orders', '--issuer', plain.issuer,
      '--audience', plain.issuer, '--no-browser', '--redirect-uri', 'http://127.0.0.1:0/another');
    assert.equal(status, 10, stderr);
    assert.match(stderr, /refused the redirect URI: HTTP 400, .*redirect_uri/);
    assert.match(stderr, /next: register the redirect URI http:\/\/127\.0\.0\.1:\d+\/another for the client/);
    assert.doesNotMatch(stderr, /Log in at this address/);
    // One that it knows: it says login_required, and the person logs in.
    const login = await RunningLogin.start(deployment, plain.issuer, '--audience', plain.issuer);
    await fillForms(login.url);
    const result = await login.end();
    assert.deepEqual([result.status, result.failure], [0, ''], result.stderr);
    const [{ sent, received }] = result.steps.filter(({ step }) => step === 'Redirect URI asked beforehand');
    assert.equal(sent.prompt, 'none');
    assert.match(received, /^HTTP 30\d, Location: http:\/\/127\.0\.0\.1:\d+\/callback\nerror login_required\n/);
  });

  const refusals = {
    'an error page as WSO2\'s': [[302, '', { location: '/error.do?oauthErrorCode=invalid_callback&oauthErrorMsg=callback.not.match' }],
      /error page says "invalid_callback, callback\.not\.match"/],
    'a page as Keycloak\'s': [[400, '<p>Invalid parameter: redirect_uri</p>'], /HTTP 400, its page says " Invalid parameter: redirect_uri "/],
  };
  for (const [name, [answer, message]] of Object.entries(refusals)) {
    it(`reads from ${name} that the redirect URI is not registered`, async () => {
      publish({});
      beforehand = answer;
      const { status, stderr } = await deployment.tryCtl('oidc', 'login', '--client-id', 'orders', '--issuer', issuer, '--no-browser');
      assert.equal(status, 10, stderr);
      assert.match(stderr, message);
    });
  }

  it('goes on after any other answer to that question, or none', async () => {
    for (const answer of [[500, 'oops'], [200, '<form>Log in</form>'], [400, { error: 'invalid_request' }], undefined,
      [302, '', { location: '/login?redirect_uri=x' }], [200, 'x'.repeat(1_000_000)]]) {
      beforehand = answer;
      const login = await atStandIn();
      await login.back({ code: 'the-code', state: state(login) });
      const { status, stderr } = await login.end();
      assert.equal(status, 0, `${JSON.stringify(answer)} ${stderr}`);
    }
  });

  it('drops a code that comes unasked, and has other secrets in that question than in the log-in', async () => {
    publish({});
    beforehand = [302, '', { location: 'http://127.0.0.1/x?code=code-that-came-unasked&state=y' }];
    const login = await atStandIn();
    for (const name of ['state', 'nonce', 'code_challenge']) assert.notEqual(asked.get(name), login.asked.get(name), name);
    for (const name of ['redirect_uri', 'client_id', 'scope', 'response_type']) assert.equal(asked.get(name), login.asked.get(name), name);
    const page = await login.back({ error: 'access_denied', state: state(login) });
    const { steps } = await login.end();
    assert.match(steps.find(({ step }) => step === 'Redirect URI asked beforehand').received, /\ncode \(dropped\)\nstate … \(1 characters\)$/);
    for (const text of [page.body, login.stdout]) {
      for (const secret of ['code-that', asked.get('state'), asked.get('nonce')]) assert.ok(!text.includes(secret), `${secret} in ${text}`);
    }
  });

  it('is told that the provider refused the assertion of a pushed request', async () => {
    const another = { ...await exportJWK((await generateKeyPair('RS256')).publicKey), kid: 'another', use: 'sig', alg: 'RS256' };
    provider.register([{ client_id: 'orders', jwks: { keys: [another] }, ...NATIVE }]);
    try {
      const { status, stderr } = await deployment.tryCtl('oidc', 'login', '--client-id', 'orders', '--issuer', provider.issuer,
        '--audience', provider.issuer, '--no-browser');
      assert.equal(status, 5, stderr);
      assert.match(stderr, /refused the authorization request: HTTP 401, "invalid_client"/);
      assert.match(stderr, /^ {2}next: compare audience, certificate and clock: /m);
    } finally {
      provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders'), ...NATIVE }]);
    }
  });

  it('ends when nobody comes', async () => {
    const login = await atStandIn({}, '--timeout', '1');
    const result = await login.end();
    assert.equal(result.status, 4);
    assert.match(result.failure, /nobody came back/);
  });

  it('hears the one path from its own address alone, and strangers cannot keep the browser out', async () => {
    const login = await atStandIn();
    const uri = login.asked.get('redirect_uri');
    const query = `code=the-code&state=${state(login)}`;
    const { port } = new URL(uri);
    const idle = Array.from({ length: 64 }, () => net.connect(Number(port), '127.0.0.1'));
    for (const socket of idle) socket.on('error', () => {});
    assert.equal((await exchange(`${uri}?${query}`, { headers: { host: `evil.example:${port}` } })).status, 421);
    assert.equal((await exchange(`${uri}?${query}`, { method: 'POST', form: { a: 'b' } })).status, 405);
    assert.equal((await exchange(`${uri}/more?${query}`)).status, 404);
    assert.equal((await exchange(uri)).status, 404);
    assert.equal((await login.back({ code: 'the-code', state: state(login) })).status, 200);
    assert.equal((await login.end()).status, 0);
    for (const socket of idle) socket.destroy();
  });
});
