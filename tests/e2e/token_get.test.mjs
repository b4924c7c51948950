// assertionctl token get: the access token that GetAccessToken hands out, for a shell.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { run } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const CTL = path.join(process.env.E2E_BIN_DIR, 'assertionctl');
const ME = `uid:${process.getuid()}`;
const OTHER = 'uid:4242';
const TOKEN = 'stand-in.token-~+/=';

describe('token get', () => {
  let deployment;
  let standIn;
  let withTls;

  before(async () => {
    standIn = await TokenEndpoint.start();
    withTls = await TokenEndpoint.start(await (await CertificateAuthority.found('nobody trusts it')).identity('IP:127.0.0.1'));
    const client = (client_id, tokens, fields) => ({ client_id, audiences: [standIn.url],
      tokens: { token_endpoint: standIn.url, ...tokens }, ...fields });
    const scopes = ['orders.read', 'orders.write', { scope: 'admin', callers: [OTHER] }];
    deployment = await Deployment.start([
      client('orders', { scopes, resources: ['https://api.example.com/'] }, { callers: [ME, OTHER] }),
      client('plain'), client('limited'), client('failing'), client('mistaken'), client('refused'), client('keyless'),
      client('untrusted', { token_endpoint: withTls.url }),
      client('foreign', { scopes: ['orders.read'] }, { callers: [OTHER] }),
      client('bound', { dpop_client: 'proofs' }),
      { client_id: 'proofs', purposes: ['dpop'], algorithm: 'ES256' },
      { client_id: 'without', audiences: [standIn.url] },
    ]);
    for (const id of ['orders', 'plain', 'limited', 'failing', 'mistaken', 'refused', 'untrusted', 'bound', 'proofs']) await deployment.generateKey(id);
  });

  after(async () => {
    standIn?.close();
    withTls?.close();
    await deployment?.close();
  });

  beforeEach(() => standIn.reset({ access_token: TOKEN, token_type: 'Bearer', expires_in: 300 }));

  // Without Deployment's tryCtl, which keeps what assertionctl printed in a file.
  const get = (client, ...options) => run(CTL, ['token', 'get', '--client-id', client, ...options], { env: deployment.environment });
  const onTerminal = (client) => run('script', ['-qec', `${CTL} token get --client-id ${client}`, '/dev/null'],
    { env: { ...deployment.environment, TERM: 'dumb' } });

  async function isRefused(told, next, ...words) {
    const { status, stdout, stderr } = await get(...words);
    assert.deepEqual([status, stdout], [1, ''], stderr);
    assert.match(stderr, told);
    assert.match(stderr, next);
    assert.ok(!stderr.includes(TOKEN));
  }

  it('prints the token alone, from the memory of the server after the first time', async () => {
    assert.deepEqual(await get('plain'), { status: 0, stdout: `${TOKEN}\n`, stderr: '' });
    assert.equal((await get('plain', '--minimum-validity', '1m')).stdout, `${TOKEN}\n`);
    assert.equal(standIn.forms.length, 1);
  });

  it('asks for scope and resource as given', async () => {
    await get('orders', '--scope', 'orders.write orders.read', '--resource', 'https://api.example.com/');
    assert.deepEqual([standIn.forms[0].get('scope'), standIn.forms[0].get('resource')],
      ['orders.read orders.write', 'https://api.example.com/']);
  });

  it('--json has the fields of RFC 6749, and when it expires', async () => {
    const { status, stdout, stderr } = await get('orders', '--scope', 'orders.read', '--json');
    assert.deepEqual([status, stderr], [0, '']);
    const answer = JSON.parse(stdout);
    assert.deepEqual(answer, { access_token: TOKEN, token_type: 'Bearer', expires_in: answer.expires_in, scope: 'orders.read',
      expires_at: answer.expires_at });
    assert.ok(answer.expires_in > 200 && answer.expires_in <= 300, stdout);
    assert.ok(Math.abs(Date.parse(answer.expires_at) / 1000 - Date.now() / 1000 - answer.expires_in) < 30, stdout);
  });

  it('a bound token comes with its key, and a person is told what each use needs', async () => {
    standIn.reset({ access_token: TOKEN, token_type: 'DPoP', expires_in: 300 });
    const { kid } = await deployment.key('proofs');
    const answer = JSON.parse((await get('bound', '--json')).stdout);
    assert.deepEqual([answer.token_type, answer.kid], ['DPoP', kid]);
    const { stdout } = await onTerminal('bound');
    assert.ok(stdout.includes(`each use needs a DPoP proof by the key ${kid}: assertionctl dpop create`), stdout);
  });

  it('on a terminal it says when the token expires', async () => {
    const { status, stdout } = await onTerminal('plain');
    assert.equal(status, 0);
    assert.match(stdout, /^stand-in\.token-~\+\/=\r\nassertionctl: this Bearer token expires on \S+Z \(in \d+ \w+\)\r\n$/);
  });

  it('refusals say what to change, and never show a token', async () => {
    await isRefused(/who may not ask for access tokens of this client/, /clients\[\]\.callers/, 'foreign', '--scope', 'orders.raed');
    await isRefused(/may not ask for the scope "admin"/, /next: /, 'orders', '--scope', 'admin');
    await isRefused(/scope: the client's configuration names no scope "orders\.raed"; did you mean "orders\.read"\?/,
      /^ {2}next: clients\[\]\.tokens\.scopes in /m, 'orders', '--scope', 'orders.read orders.raed');
    await isRefused(/the client's configuration names no scope "admim"$/m, /next: /, 'orders', '--scope', 'admim');
    const resources = /^ {2}next: clients\[\]\.tokens\.resources in /m;
    await isRefused(/resource: the client's configuration names no resources: ask without "https:\/\/api"$/m, resources,
      'plain', '--resource', 'https://api');
    await isRefused(/names no resource "https:\/\/api\.example\.com"; did you mean "https:\/\/api\.example\.com\/"\?/, resources,
      'orders', '--resource', 'https://api.example.com');
    await isRefused(/has no field tokens in the configuration/, /^ {2}next: add clients\[\]\.tokens to /m, 'without');
    await isRefused(/keyless/, /^ {2}next: assertionctl key list /m, 'keyless');
    await isRefused(/no client "ordes" is configured; did you mean "orders"\?/, /next: /, 'ordes');
    await isRefused(/minimum_validity: must be whole seconds/, /next: /, 'plain', '--minimum-validity', '2h');
    await isRefused(/minimum_validity: the identity server's tokens are valid for/, /^ {2}next: ask for less with --minimum-validity$/m,
      'plain', '--minimum-validity', '1h');
    await isRefused(/TLS with https:\S+: its certificate is /, /^ {2}next: name a PEM file with .* as clients\[\]\.tokens\.ca_file /m,
      'untrusted');
    standIn.answer = [429, {}, { 'Retry-After': '2000' }];
    await isRefused(/HTTP 429/, /^ {2}next: try again in (1\d\d\d|2000) s$/m, 'limited');
    standIn.answer = [503, { error: 'temporarily_unavailable' }, { 'Retry-After': '2000' }];
    await isRefused(/HTTP 503/, /^ {2}next: try again in (1\d\d\d|2000) s; the identity server failed: its log says why$/m, 'failing');
    // The description is the server's own text, and the audit line of the call has the message.
    standIn.answer = [401, { error: 'invalid_client', error_description: 'description of the server' }];
    const { kid } = await deployment.key('mistaken');
    await isRefused(new RegExp('^assertionctl: the identity server refused the assertion: HTTP 401, "invalid_client"; '
      + `check that it knows the certificate or JWK Set of the kid ${kid}, the audience and the clock; `
      + "assertiond's audit log has it as BuyAccessToken$", 'm'),
    /^ {2}next: compare with what the identity server has: assertionctl assertion create /m, 'mistaken');
    standIn.answer = [400, { error: 'invalid_scope' }];
    await isRefused(/HTTP 400, "invalid_scope"/, /^ {2}next: compare clients\[\]\.tokens .* with the client at the identity server/m, 'refused');
  });

  it('a wrong span is wrong usage, and a missing server exit status 4', async () => {
    const { status, stderr } = await get('plain', '--minimum-validity', '30');
    assert.equal(status, 2);
    assert.match(stderr, /--minimum-validity must be digits and s, m or h, for example 60s/);
    assert.equal((await get('plain', '--server', `unix:${deployment.folder}/none.sock`)).status, 4);
  });
});
