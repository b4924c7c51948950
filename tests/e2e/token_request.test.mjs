// assertionctl token request beyond its standard grants: metadata, pushed requests, resources, parameters, and grants that are
// assertions. Against a real OpenID provider, and against a stand-in for what that one never says.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, beforeEach, describe, it } from 'node:test';
import { decodeJwt } from 'jose';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider, REDIRECT_URI } from './openid_provider.mjs';

const API = 'https://api.example.com/';
const VERIFIER = 'v'.repeat(43);
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const bearer = (client, changed = {}) => ({ client_id: client, grant: 'jwt-bearer', subjects: ['ann', 'bob'], ...changed });

describe('token request', () => {
  const providers = {};
  let deployment;
  let standIn;
  let origin;
  let answers;   // path to [status, body, headers]; a text stands for JSON with status 200
  let requests;

  before(async () => {
    standIn = http.createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
        requests.push({ method: request.method, path: request.url, form: Buffer.concat(chunks).toString() });
        const [status, body, headers] = answers[request.url] ?? [404, '{}'];
        response.writeHead(status, headers).end(body);
      });
    }).listen(0, '127.0.0.1');
    await once(standIn, 'listening');
    origin = `http://127.0.0.1:${standIn.address().port}`;
    providers.http = await OpenIdProvider.start();
    providers.https = await OpenIdProvider.start({ tls: true });
    const issuers = Object.values(providers).map(({ issuer }) => issuer);
    const audiences = [...issuers, providers.http.tokenEndpoint, origin, `${origin}/token`];
    deployment = await Deployment.start([
      { client_id: 'orders', audiences },
      bearer('grants', { audiences: [`${origin}/token`] }),
      bearer('scoped', { audiences: [`${origin}/token`], subject: 'ann', scopes: ['read', 'write'] }),
      { client_id: '12345', profile: 'github-app' },
    ]);
    for (const client of ['orders', 'grants', 'scoped', '12345']) await deployment.generateKey(client);
    for (const provider of Object.values(providers)) {
      provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders') }]);
    }
  });

  after(async () => {
    standIn?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    requests = [];
    answers = { '/token': [200, '{"access_token":"t","token_type":"Bearer"}'] };
    for (const provider of Object.values(providers)) provider.forgetDecisions();
  });

  const ask = (...options) => deployment.tryCtl('token', 'request', '--client-id', ...options);
  const metadata = (changed = {}) => [200, JSON.stringify({
    issuer: origin, token_endpoint: `${origin}/token`, grant_types_supported: ['client_credentials', GRANT],
    token_endpoint_auth_methods_supported: ['private_key_jwt'],
    token_endpoint_auth_signing_alg_values_supported: ['RS256'], ...changed,
  })];
  const posts = () => requests.filter(({ method }) => method === 'POST');

  // The form that one token request to the stand-in sent, without the assertion; its claims.
  async function sent(...options) {
    requests.length = 0;
    const { status, stdout, stderr } = await ask(...options);
    assert.equal(status, 0, stderr);
    assert.equal(JSON.parse(stdout).access_token, 't');
    assert.deepEqual(posts().map(({ path }) => path), ['/token']);
    const { assertion, client_assertion: authentication, ...form } =
      Object.fromEntries(new URLSearchParams(posts()[0].form));
    return { form, claims: decodeJwt(assertion ?? authentication), isGrant: assertion !== undefined };
  }

  async function assertRefused(options, status, message) {
    const outcome = await ask(...options);
    assert.equal(outcome.status, status, `${options}: ${outcome.stderr}`);
    assert.match(outcome.stderr, message);
    assert.equal(outcome.stdout, '');
    assert.deepEqual(posts(), []);
  }

  it('finds the endpoint by the metadata of --issuer, over http and https', async () => {
    const caFile = ['--ca-file', providers.https.caFile];
    for (const [scheme, more] of [['http', []], ['https', caFile]]) {
      const { issuer } = providers[scheme];
      const { status, stdout, stderr } = await ask('orders', '--issuer', issuer, '--audience', issuer, ...more);
      assert.equal(status, 0, stderr);
      assert.ok(JSON.parse(stdout).access_token);
      assert.equal((await providers[scheme].decision()).event, 'grant.success');
    }
    await assertRefused(['orders', '--issuer', providers.https.issuer, '--audience', providers.https.issuer], 4,
      /TLS with https:.*: its certificate is self-signed/);
  });

  it('--resource says what the token is for; a server may take but one', async () => {
    const { issuer, tokenEndpoint } = providers.http;
    const options = ['orders', '--issuer', issuer, '--audience', tokenEndpoint, '--resource', API];
    const { status, stdout, stderr } = await ask(...options);
    assert.equal(status, 0, stderr);
    assert.equal(decodeJwt(JSON.parse(stdout).access_token).aud, API);
    const two = await ask(...options, '--resource', `${API}other`);
    assert.equal(two.status, 5);
    assert.match(two.stderr, /only a single resource indicator value is supported/);
  });

  it('--par pushes the request; its code is redeemed with the same verifier', async () => {
    const { issuer, tokenEndpoint } = providers.http;
    const to = ['--issuer', issuer, '--audience', issuer];
    const options = ['orders', '--par', ...to, '--redirect-uri', REDIRECT_URI, '--scope', 'openid',
      '--param', 'state=s 1', '--code-verifier', VERIFIER];
    const { status, stdout, stderr } = await ask(...options);
    assert.equal(status, 0, stderr);
    const pushed = JSON.parse(stdout);
    assert.deepEqual(Object.keys(pushed), ['request_uri', 'expires_in', 'authorization_url']);
    assert.ok(pushed.expires_in > 0);
    const url = new URL(pushed.authorization_url);
    assert.deepEqual([...url.searchParams], [['client_id', 'orders'], ['request_uri', pushed.request_uri]]);
    const code = await providers.http.authorizeAt(pushed.authorization_url, 's 1');
    const redeem = (verifier) => ask('orders', '--token-endpoint', tokenEndpoint, '--audience', tokenEndpoint,
      '--grant', 'authorization_code', '--code', code, '--redirect-uri', REDIRECT_URI, '--code-verifier', verifier);
    const redeemed = await redeem(VERIFIER);
    assert.equal(redeemed.status, 0, redeemed.stderr);
    assert.ok(JSON.parse(redeemed.stdout).id_token);

    const elsewhere = await ask(...options.map((option) => option === REDIRECT_URI ? 'https://elsewhere.example/' : option));
    assert.equal(elsewhere.status, 5);
    assert.match(elsewhere.stderr, /the identity server refused: HTTP 400, "invalid_re/);
    // Without metadata the browser's URL is not known.
    const direct = await ask('orders', '--par', '--par-endpoint', `${issuer}/request`, '--audience', issuer,
      '--redirect-uri', REDIRECT_URI, '--scope', 'openid', '--code-verifier', VERIFIER);
    assert.equal(direct.status, 0, direct.stderr);
    assert.deepEqual(Object.keys(JSON.parse(direct.stdout)), ['request_uri', 'expires_in']);
  });

  it('a server that the metadata shows to refuse the client gets no assertion', async () => {
    const wellKnown = '/.well-known/oauth-authorization-server';
    const options = ['orders', '--issuer', origin, '--audience', origin];
    for (const [changed, message] of [
      [{ token_endpoint_auth_methods_supported: ['client_secret_post'] }, /is client_secret_post; client "orders" authenticates by/],
      [{ token_endpoint_auth_signing_alg_values_supported: ['ES256'] }, /is ES256; client "orders" signs with RS256: set clients\[\]\.algorithm/],
      [{ grant_types_supported: ['authorization_code'] }, /grant_types_supported is authorization_code, without client_credentials/],
      [{ issuer: `${origin}/` }, /the server says that its issuer is "http[^"]+\/", and --issuer is/],
      [{ token_endpoint: undefined }, /metadata has no token_endpoint/],
      [{ token_endpoint: 'http://is.example.com/token' }, /token_endpoint of the server's metadata must be https/],
      [{ token_endpoint: 'https://\u001b[2J/' }, /token_endpoint of the server's metadata must be https/],
    ]) {
      answers[wellKnown] = metadata(changed);
      await assertRefused(options, 1, message);
    }
    answers[wellKnown] = metadata({ issuer: `${origin}/` });
    assert.ok((await ask(...options)).stderr.endsWith(`\n  next: no request was sent; give --issuer ${origin}/\n`));
    answers[wellKnown] = metadata({ issuer: 'https://is.example.com' });
    await assertRefused(options, 1, /^ {2}next: no request was sent; if that is the server you mean, give its issuer as --issuer$/m);
    answers[wellKnown] = metadata();
    await assertRefused(['orders', '--issuer', origin, '--audience', providers.http.issuer], 1,
      /takes as audience http\S+, http\S+\/token; the assertion of client "orders" has "http[^"]+": give --audience http/);
    await assertRefused(['orders', '--issuer', origin, '--audience', origin, '--par', '--redirect-uri', REDIRECT_URI], 1,
      /metadata has no pushed_authorization_request_endpoint/);
    assert.equal((await sent(...options)).claims.aud, origin);
  });

  it('asks both places for metadata, and follows no redirect', async () => {
    const options = ['orders', '--issuer', origin, '--audience', origin];
    const places = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'];
    answers[places[0]] = [302, '', { Location: `${providers.http.issuer}/.well-known/openid-configuration` }];
    await assertRefused(options, 5, /publishes no metadata of --issuer/);
    assert.deepEqual(requests.map(({ path }) => path), places);
    answers[places[0]] = [200, '<html>'];
    answers[places[1]] = metadata();
    await sent(...options);
    requests = [];
    answers[places[0]] = [200, JSON.stringify({ issuer: origin, padding: 'x'.repeat(1 << 20) })];
    await assertRefused(options, 4, /larger than 1 MiB/);
    await assertRefused(['orders', '--issuer', `${origin}/?x=1`], 2, /without query/);
  });

  it('--param sends whatever else a server needs, and nothing that a flag sets', async () => {
    const options = ['orders', '--token-endpoint', `${origin}/token`, '--audience', `${origin}/token`];
    const { form } = await sent(...options, '--param', 'audience=https://api/?a=b&c', '--param', 'x=1');
    assert.deepEqual(form, { grant_type: 'client_credentials', client_id: 'orders', audience: 'https://api/?a=b&c', x: '1',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' });
    requests = [];
    await assertRefused([...options, '--param', 'scope=x'], 2, /--param scope: scope is what --scope sets/);
    await assertRefused([...options, '--param', 'client_secret=hunter2'], 2, /client_secret is what the assertion replaces/);
    await assertRefused([...options, '--resource', '/relative'], 2, /absolute URI/);
  });

  it('an assertion that is a grant is sent as one, with subject and scope', async () => {
    const to = ['--token-endpoint', `${origin}/token`];
    const plain = await sent('grants', ...to, '--subject', 'bob', '--scope', 'api');
    assert.deepEqual(plain.form, { grant_type: GRANT, scope: 'api' });
    assert.deepEqual([plain.isGrant, plain.claims.iss, plain.claims.sub, plain.claims.scope], [true, 'grants', 'bob', undefined]);
    // With scopes as a claim, --scope chooses among them.
    const all = await sent('scoped', ...to, '--grant', 'jwt-bearer');
    assert.deepEqual([all.form, all.claims.sub, all.claims.scope], [{ grant_type: GRANT }, 'ann', 'read write']);
    const one = await sent('scoped', ...to, '--scope', 'read');
    assert.deepEqual([one.form, one.claims.scope], [{ grant_type: GRANT }, 'read']);
    requests = [];
    await assertRefused(['scoped', ...to, '--scope', 'admin'], 1, /scope: .*admin.* is not among the scopes configured/);
    await assertRefused(['grants', ...to, '--subject', 'eve'], 1, /is not among the subjects configured/);
    // The metadata need not offer private_key_jwt for it.
    answers['/.well-known/oauth-authorization-server'] = metadata({ token_endpoint_auth_methods_supported: ['none'] });
    assert.equal((await sent('grants', '--issuer', origin, '--subject', 'ann')).isGrant, true);
  });

  it('flags that contradict each other, or the client, are told', async () => {
    const to = ['--token-endpoint', `${origin}/token`];
    const aud = ['--audience', `${origin}/token`];
    for (const [options, message] of [
      [['orders'], /give one of --token-endpoint and --issuer/],
      [['orders', ...to, '--issuer', origin], /give one of --token-endpoint and --issuer/],
      [['orders', ...to, '--par', '--redirect-uri', REDIRECT_URI], /--par sends nothing to the token endpoint/],
      [['orders', '--par', '--redirect-uri', REDIRECT_URI], /one of --issuer and --par-endpoint/],
      [['orders', ...to, '--par-endpoint', origin], /--par-endpoint is for --par/],
      [['orders', '--par', '--par-endpoint', origin], /--par needs --redirect-uri/],
      [['orders', '--par', '--par-endpoint', origin, '--redirect-uri', 'x', '--code-verifier', 'short'], /--code-verifier has 5 characters; it must have 43 to 128/],
      [['orders', '--par', '--par-endpoint', origin, '--redirect-uri', 'x', '--code', 'x'], /--par takes no --grant, --code/],
      [['orders', '--par', '--par-endpoint', 'http://is.example.com/par', '--redirect-uri', 'x'], /--par-endpoint must be https/],
      [['orders', ...to, '--grant', 'client_credentials', '--subject', 'ann'], /--subject is for --grant jwt-bearer/],
      [['orders', ...to, '--code', 'x'], /--grant authorization_code needs --code and --redirect-uri/],
      [['orders', ...to, ...aud, '--grant', 'jwt-bearer'], /authenticate it, not grants: its field grant must be jwt-bearer/],
      [['grants', ...to, '--subject', 'ann', '--grant', 'client_credentials'], /--subject is for --grant jwt-bearer/],
      [['scoped', ...to, '--grant', 'client_credentials'], /--grant client_credentials needs a client with the grant client-authentication/],
      [['scoped', '--par', '--par-endpoint', origin, '--redirect-uri', 'x'], /--par needs a client with the grant client-authentication/],
      [['12345', ...to], /an API's bearer tokens: only --grant jwt-bearer sends one/],
    ]) {
      await assertRefused(options, 2, message);
    }
    assert.equal((await sent('12345', ...to, '--grant', 'jwt-bearer')).isGrant, true);
  });
});
