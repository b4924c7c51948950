// GetAccessToken: bought once for all who ask, from a real OpenID provider and from a stand-in that counts and fails.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline, run, temporaryFolder } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;
const OTHER = 'uid:4242';

describe('access tokens', () => {
  let provider;
  let deployment;
  let standIn;
  let hanging;
  let caller;
  let fifo;

  const refusal = (request) => caller.call('GetAccessToken', request).then(
    ({ scope }) => assert.fail(`a token with scope "${scope}" was handed out`), (error) => error);
  const auditLines = (event) => deployment.auditLines().filter((line) => line.event === event);

  // Of the deployment's configuration with the client "many" changed.
  const checkConfig = (change, environment = {}) => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const clients = configuration.clients.map((client) => (client.client_id === 'many' ? change(client) : client));
    const file = path.join(deployment.folder, 'other.json');
    writeFileSync(file, JSON.stringify({ ...configuration, clients }));
    return run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--check-config', file], { env: { ...deployment.environment, ...environment } });
  };

  before(async () => {
    standIn = await TokenEndpoint.start();
    const endpoint = standIn.url;
    hanging = await TokenEndpoint.start();
    provider = await OpenIdProvider.start();
    const client = (client_id, tokens) => ({ client_id, audiences: [endpoint], callers: [ME, OTHER],
      tokens: { token_endpoint: endpoint, ...tokens } });
    fifo = path.join(mkdtempSync(path.join(temporaryFolder(), 'fifo-')), 'fifo.pem');
    await run('mkfifo', [fifo]);
    deployment = await Deployment.start([
      { client_id: 'real', audiences: [provider.issuer], tokens: { token_endpoint: provider.tokenEndpoint } },
      client('many'),
      client('scoped', { scopes: ['read', 'write', { scope: 'admin', callers: [OTHER] }], resources: ['https://api.example.com/'] }),
      client('named', { resource_parameter: 'audience', resources: ['orders-api'] }),
      { ...client('auth0', { resources: ['https://api.example.com/'] }), audiences: ['https://shop.eu.auth0.com/'], profile: 'auth0' },
      client('failing'),
      client('limited'),
      client('hanging', { token_endpoint: hanging.url, scopes: ['a', 'b', 'c', 'd', 'e', 'f'] }),
      client('beside'),
      client('brief'),
      client('reloaded', { scopes: ['read', 'write'] }),
      client('nested'),
      client('nested-error'),
      client('late'),
      client('large'),
      client('worded'),
      client('typed'),
      client('lost'),
      client('waiting', { token_endpoint: endpoint.replace('http:', 'https:'), ca_file: fifo }),
      { client_id: 'without', audiences: [endpoint] },
    ], { http_listen: '127.0.0.1:0' });
    for (const id of ['real', 'many', 'scoped', 'named', 'auth0', 'failing', 'limited', 'hanging', 'beside', 'brief', 'reloaded', 'nested', 'nested-error', 'late', 'large', 'worded', 'typed', 'lost', 'waiting']) await deployment.generateKey(id);
    provider.register([{ client_id: 'real', jwks: await deployment.jwks('real') }]);
    caller = new Caller(AccessTokenService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    standIn?.close();
    hanging?.close();
    await deployment?.close();
  });

  beforeEach(() => {
    standIn.reset({ access_token: 'stand-in-token', token_type: 'Bearer', expires_in: 300, refresh_token: 'r' });
  });

  it('come from a real provider, and the audit log has their digests alone', async () => {
    const first = await caller.call('GetAccessToken', { client_id: 'real' });
    assert.equal(first.token_type, 'Bearer');
    assert.ok(first.expires_at.seconds > Date.now() / 1000 + 30);
    assert.equal((await caller.call('GetAccessToken', { client_id: 'real' })).access_token, first.access_token);
    const digest = createHash('sha256').update(first.access_token).digest('base64url');
    assert.deepEqual(auditLines('BuyAccessToken').map((line) => [line.outcome, line.token_sha256, line.jti]),
      [['OK', digest, auditLines('CreateAssertion').find((line) => line.client_id === 'real').jti]]);
    assert.deepEqual(auditLines('GetAccessToken').map((line) => [line.caller, line.token_sha256]), [[ME, digest], [ME, digest]]);
    for (const name of ['audit.log', 'assertiond.log']) {
      assert.ok(!readFileSync(path.join(deployment.folder, name), 'utf8').includes(first.access_token), name);
    }
  });

  it('1,000 callers at once, cold, are one token request', async () => {
    let release;
    standIn.held = new Promise((resolve) => { release = resolve; });
    const callers = Array.from({ length: 20 }, () => new Caller(AccessTokenService, deployment.socket));
    const calls = callers.flatMap((one) => Array.from({ length: 50 }, () => one.call('GetAccessToken', { client_id: 'many' })));
    const others = Promise.all(calls);
    while (standIn.forms.length === 0) await once(standIn, 'form');
    release();
    const tokens = new Set((await others).map(({ access_token }) => access_token));
    for (const one of callers) one.close();
    assert.deepEqual([...tokens], ['stand-in-token']);
    assert.equal(standIn.forms.length, 1);
    assert.equal(standIn.forms[0].get('grant_type'), 'client_credentials');
  });

  it('without the scope nothing is asked', async () => {
    for (const request of [{ scope: 'admin' }, { scope: 'read admin' }, { scope: 'nope' }, { resource: 'https://other.example.com/' }]) {
      const { code, details } = await refusal({ client_id: 'scoped', ...request });
      assert.equal(code, grpc.status.PERMISSION_DENIED, details);
    }
    assert.equal((await refusal({ client_id: 'without' })).code, grpc.status.FAILED_PRECONDITION);
    assert.equal(standIn.forms.length, 0);
    await caller.call('GetAccessToken', { client_id: 'scoped', resource: 'https://api.example.com/' });
    assert.deepEqual([standIn.forms[0].get('scope'), standIn.forms[0].get('resource')], ['read write', 'https://api.example.com/']);
    for (const event of ['BuyAccessToken', 'GetAccessToken']) assert.equal(auditLines(event).at(-1).resource, 'https://api.example.com/');
    await caller.call('GetAccessToken', { client_id: 'scoped', scope: 'write read', resource: 'https://api.example.com/' });
    assert.equal(standIn.forms.length, 1, 'the order of scopes matters');
  });

  it('the resource is sent under the name that the identity server reads', async () => {
    for (const [client_id, resource] of [['named', 'orders-api'], ['auth0', 'https://api.example.com/']]) {
      standIn.forms.length = 0;
      await caller.call('GetAccessToken', { client_id, resource });
      assert.deepEqual([standIn.forms[0].get('audience'), standIn.forms[0].get('resource')], [resource, null]);
      assert.equal(auditLines('GetAccessToken').at(-1).resource, resource);
    }
  });

  it('with a scope that the caller may not have is not handed out, though the server granted it', async () => {
    const request = { client_id: 'scoped', scope: 'read' };
    standIn.reset({ access_token: 'too-much', token_type: 'Bearer', expires_in: 300, scope: 'read admin' });
    const { code, details } = await refusal(request);
    assert.equal(code, grpc.status.FAILED_PRECONDITION, details);
    assert.doesNotMatch(details, /admin/);
    const { outcome, scope } = auditLines('GetAccessToken').at(-1);
    assert.deepEqual([outcome, scope], ['FAILED_PRECONDITION', 'read admin']);
    assert.equal(auditLines('BuyAccessToken').at(-1).scope, 'read admin');
    standIn.reset({ access_token: 'more', token_type: 'Bearer', expires_in: 300, scope: 'write openid' });
    assert.equal((await caller.call('GetAccessToken', { ...request, scope: 'write' })).scope, 'write openid');
  });

  it('a text of the server does not read like one of assertiond', async () => {
    const error = 'access granted to uid 0 by admin; audited';
    standIn.answer = [400, { error }];
    const { details } = await refusal({ client_id: 'worded' });
    assert.ok(details.startsWith(`the identity server answered HTTP 400, "${error}"; `), details);
    assert.equal(auditLines('BuyAccessToken').at(-1).reason, `the identity server answered HTTP 400, "${error}"`);
  });

  it('of a type that is none is not handed out', async () => {
    standIn.reset({ access_token: 'stand-in-token', token_type: 'Bearer stolen,', expires_in: 300 });
    const { code, details } = await refusal({ client_id: 'typed' });
    assert.equal(code, grpc.status.UNAVAILABLE);
    assert.match(details, /token_type is "Bearer stolen,", which is neither a name nor a URI/);
  });

  it('a scope for which the server does not authorize the client pauses alone', async () => {
    const request = { client_id: 'scoped', resource: 'https://api.example.com/' };
    standIn.answer = [400, { error: 'unauthorized_client' }];
    assert.match((await refusal({ ...request, scope: 'read' })).details, /HTTP 400, "unauthorized_client";/);
    standIn.reset({ access_token: 'granted', token_type: 'Bearer', expires_in: 300 });
    assert.match((await refusal({ ...request, scope: 'read' })).details, /unauthorized_client/);
    assert.equal((await caller.call('GetAccessToken', { ...request, scope: 'write' })).access_token, 'granted');
    assert.equal(standIn.forms.length, 1);
  });

  it('an answer of more than 128 KiB is not read', async () => {
    standIn.answer = [400, `[${'{},'.repeat(50_000)}0]`];
    assert.match((await refusal({ client_id: 'large' })).details, /larger than 128 KiB/);
  });

  it('a failing server is left alone, and callers are told until when', async () => {
    standIn.answer = [503, { error: 'temporarily_unavailable' }, { 'Retry-After': '2000' }];
    const first = await refusal({ client_id: 'failing' });
    assert.equal(first.code, grpc.status.UNAVAILABLE, first.details);
    assert.match(first.metadata.get('grpc-status-details-bin')[0].toString('latin1'), /google\.rpc\.RetryInfo/);
    assert.equal((await refusal({ client_id: 'failing' })).code, grpc.status.UNAVAILABLE);
    assert.equal(standIn.forms.length, 1);
    standIn.answer = [429, {}, { 'Retry-After': new Date(Date.now() + 2e6).toUTCString() }];
    assert.equal((await refusal({ client_id: 'limited' })).code, grpc.status.RESOURCE_EXHAUSTED);
    assert.equal((await refusal({ client_id: 'limited' })).code, grpc.status.RESOURCE_EXHAUSTED);
    assert.equal(standIn.forms.length, 2);
    const lines = () => readFileSync(deployment.log, 'utf8').match(/'failing' cannot be bought/g)?.length ?? 0;
    await new Deadline(30, 'the line of the log').until(() => lines() > 0);
    assert.equal(lines(), 1);
  });

  it('a server that hangs holds up no purchase from another', async () => {
    let release;
    hanging.reset({ access_token: 'late', token_type: 'Bearer', expires_in: 300 });
    await caller.call('GetAccessToken', { client_id: 'hanging', scope: 'f' });   // quick, and so it may have four at once
    hanging.forms.length = 0;
    hanging.held = new Promise((resolve) => { release = resolve; });
    const wants = Array.from({ length: 31 }, (_, i) => [...'abcde'].filter((_scope, bit) => ((i + 1) >> bit) & 1).join(' '));
    const late = Promise.all(wants.map((scope) => caller.call('GetAccessToken', { client_id: 'hanging', scope })));
    while (hanging.forms.length < 4) await once(hanging, 'form');
    assert.equal((await caller.call('GetAccessToken', { client_id: 'beside' })).access_token, 'stand-in-token');
    assert.equal(hanging.forms.length, 4, 'more than four purchases at once from one server');
    release();
    assert.equal((await late).length, 31);
    assert.equal(hanging.forms.length, 31);
  });

  it('a deeply nested answer costs its own client alone', async () => {
    for (const [client_id, status, body] of [['nested', 200, '['.repeat(60_000) + ']'.repeat(60_000)],
      ['nested-error', 400, `{"error":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_001)}`]]) {
      standIn.answer = [status, body];
      const { code, details } = await refusal({ client_id });
      assert.equal(code, grpc.status.UNAVAILABLE, details);
      standIn.reset({ access_token: 'stand-in-token', token_type: 'Bearer', expires_in: 300 });
    }
    assert.equal((await caller.call('GetAccessToken', { client_id: 'late' })).access_token, 'stand-in-token');
  });

  it('are counted by client, and no metric holds one', async () => {
    const text = await (await fetch(`${deployment.httpOrigin}/metrics`)).text();
    const value = (name, labels) => Number(text.split('\n').find((line) => line.startsWith(`assertiond_access_${name}{${labels}}`))
      ?.split(' ').at(-1));
    assert.equal(value('token_purchases_total', 'client_id="many",result="granted"'), 1);
    assert.equal(value('tokens_handed_out_total', 'client_id="many"'), 1000);
    const handed = auditLines('GetAccessToken').filter(({ client_id, outcome }) => client_id === 'scoped' && outcome === 'OK');
    assert.equal(value('tokens_handed_out_total', 'client_id="scoped"'), handed.length, 'those that were refused at last count');
    assert.equal(value('tokens_held', 'client_id="hanging"'), 32);
    assert.ok(value('token_age_seconds', 'client_id="many"') > 0);
    assert.equal(value('token_pause_seconds', 'client_id="many"'), 0);
    assert.equal(value('token_purchases_total', 'client_id="failing",result="failed"'), 1);
    assert.equal(value('token_purchases_total', 'client_id="limited",result="limited"'), 1);
    const pause = value('token_pause_seconds', 'client_id="failing"');
    assert.ok(pause > 1900 && pause <= 2000, `${pause}`);
    assert.ok(!text.includes('stand-in-token'));
  });

  it('whose file of authorities is a FIFO are refused at once', async () => {
    const { code, details } = await refusal({ client_id: 'waiting' });
    assert.equal(code, grpc.status.UNAVAILABLE);
    assert.match(details, /the file of authorities \S+fifo\.pem: cannot be read: it is a FIFO, not a regular file/);
  });

  it('--check-config reads the file of authorities', async () => {
    const empty = path.join(deployment.folder, 'empty.pem');
    writeFileSync(empty, 'no certificate');
    const check = async (authorities) => {
      const checked = await checkConfig(({ tokens, ...client }) => ({ ...client, tokens: { ...tokens, ca_file: authorities } }));
      assert.equal(checked.status, 0, checked.stderr);
      return checked.stderr;
    };
    assert.match(await check(empty), /:\d+: warning: clients\[1\]\.tokens\.ca_file: \S+empty\.pem: .*no access token of client 'many' can be bought/);
    assert.match(await check('/nonexistent/ca.pem'), /tokens\.ca_file: \/nonexistent\/ca\.pem/);
    assert.match(await check(deployment.folder), /ca_file: \S+: cannot be read: it is a folder/);
    assert.match(await check(fifo), /ca_file: \S+fifo\.pem: cannot be read: it is a FIFO, not a regular file/);
    // A start warns in the same words, and a reload: this one's client is 'waiting'.
    assert.match(readFileSync(deployment.log, 'utf8'), /clients\[\d+\]\.tokens\.ca_file: \S+fifo\.pem: cannot be read: it is a FIFO.*client 'waiting'/);
    assert.doesNotMatch(await check('/etc/ssl/certs/ca-certificates.crt'), /'many'.*ca_file/);
  });

  it('--check-config warns of a machine without authorities', async () => {
    const nowhere = { SSL_CERT_FILE: '/nonexistent', SSL_CERT_DIR: mkdtempSync(path.join(deployment.folder, 'certs-')) };
    const check = async (url, environment) => (await checkConfig(({ tokens, ...client }) => (
      { ...client, tokens: { ...tokens, token_endpoint: url } }), environment)).stderr;
    assert.match(await check('https://is.example.com/token', nowhere),
      /:\d+: warning: clients\[1\]\.tokens\.ca_file: is absent, and this machine trusts no authority \(\/nonexistent and .*client 'many' can be bought/);
    for (const [url, environment] of [['https://is.example.com/token', { ...nowhere, SSL_CERT_DIR: '/etc/ssl/certs' }], [standIn.url, nowhere]]) {
      assert.doesNotMatch(await check(url, environment), /trusts no authority/);
    }
  });

  it('--check-config warns of an audience that was chosen for want of a better one', async () => {
    const check = async (audiences, tokens) => (await checkConfig((client) => ({ ...client, audiences,
      tokens: { ...client.tokens, ...tokens } }))).stderr;
    const others = ['https://one.example.com', 'https://two.example.com'];
    assert.match(await check(others, {}), /: warning: clients\[1\]\.tokens\.audience: .*first audience, https:\/\/one\.example\.com/);
    assert.doesNotMatch(await check(others, { audience: others[1] }), /tokens\.audience/);
    assert.doesNotMatch(await check([...others, standIn.url], {}), /tokens\.audience/);
    assert.doesNotMatch(await check([others[0]], {}), /tokens\.audience/);
  });

  it('are refused to a configuration that cannot buy them', async () => {
    for (const [changed, message] of [
      [{ purposes: ['client_assertion', 'dpop'] }, /tokens: needs the field dpop_client beside the purpose "dpop"/],
      [{ tokens: { token_endpoint: standIn.url, dpop_client: 'nobody' } }, /dpop_client: "nobody" is no client_id here/],
      [{ tokens: { token_endpoint: standIn.url, dpop_client: 'many' } }, /dpop_client: names a client without the purpose "dpop"/],
      [{ tokens: { token_endpoint: standIn.url, dpop_client: 'Many' }, purposes: ['client_assertion', 'dpop'] },
        /dpop_client: "Many" is no client_id here; did you mean "many"/],
      [{ tokens: { token_endpoint: standIn.url, dpop_client: '' } }, /dpop_client: must name a client with the purpose "dpop"/],
      [{ purposes: ['request_object'] }, /tokens: needs the purpose "client_assertion"/],
      [{ tokens: {} }, /tokens.*token_endpoint/],
      [{ tokens: { token_endpoint: 'http://is.example.com/token' } }, /token_endpoint: must be https:/],
      [{ tokens: { token_endpoint: standIn.url, audience: 'https://other.example.com' } }, /audience: must be one of the client's/],
      [{ tokens: { token_endpoint: standIn.url, scopes: ['a', 'a'] } }, /scopes\[1\]: is listed twice/],
      [{ tokens: { token_endpoint: standIn.url, scopes: ['a b'] } }, /scopes\[0\]: must be one scope/],
      [{ tokens: { token_endpoint: standIn.url, scopes: [{ scope: 'a', callers: ['uid:1'] }] } }, /is not one of the client's callers/],
      [{ tokens: { token_endpoint: standIn.url, scopes: [{ scope: 'a', callers: [] }] } }, /must name at least one caller/],
      [{ tokens: { token_endpoint: standIn.url, resources: ['api'] } }, /resources\[0\]: must be an absolute URI/],
      [{ tokens: { token_endpoint: standIn.url, resource_parameter: 'audience', resources: ['an api'] } }, /resources\[0\]: must be visible ASCII/],
      [{ tokens: { token_endpoint: standIn.url, resource_parameter: 'scope' } }, /resource_parameter: must be "resource" .* or "audience"/],
    ]) {
      const { status, stdout, stderr } = await checkConfig((client) => ({ ...client, ...changed }));
      assert.notEqual(status, 0, JSON.stringify(changed));
      assert.match(stdout + stderr, message);
    }
  });

  it('are valid for as long as was asked when the call was sent, by the expiry that is told', async () => {
    standIn.answer = [200, { access_token: 'brief', token_type: 'Bearer', expires_in: 4 }];
    const tooSlow = ({ details }) => assert.match(details, /its answer took/);   // a busy machine
    for (const end = Date.now() + 3000; Date.now() < end || standIn.forms.length < 2;) {
      const sent = Date.now() / 1000;
      const got = await caller.call('GetAccessToken', { client_id: 'brief', minimum_validity: { seconds: 2 } }).catch(tooSlow);
      if (got) assert.ok(got.expires_at.seconds - sent >= 2, `${got.expires_at.seconds - sent} s are left`);
    }
  });

  it('a reload during a purchase asks again for all who wait, by the new configuration', async () => {
    let answer;
    standIn.held = new Promise((resolve) => { answer = resolve; });
    const wait = (scope) => Array.from({ length: 10 }, () => caller.call('GetAccessToken',
      { client_id: 'reloaded', scope }).then(({ access_token }) => access_token, (error) => error));
    const asked = once(standIn, 'form');
    const allowed = wait('read');
    const refused = wait('write');
    await asked;
    while (standIn.forms.length < 2) await once(standIn, 'form');
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    configuration.clients.find(({ client_id }) => client_id === 'reloaded').tokens.scopes = ['read'];
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    deployment.daemon.kill('SIGHUP');
    for (const error of await Promise.all(refused)) {
      assert.equal(error.code, grpc.status.PERMISSION_DENIED, error.details);
    }
    while (standIn.forms.length < 3) await once(standIn, 'form');
    answer();
    assert.deepEqual([...new Set(await Promise.all(allowed))], ['stand-in-token']);
    assert.equal(standIn.forms.length, 3);
    assert.deepEqual(auditLines('GetAccessToken').filter(({ client_id }) => client_id === 'reloaded').map(({ outcome }) => outcome).sort(),
      [...Array(10).fill('OK'), ...Array(10).fill('PERMISSION_DENIED')]);
  });

  it('whose purchase the audit log does not hold is handed to nobody, and is bought again', async () => {
    const log = path.join(deployment.folder, 'audit.log');
    let answer;
    standIn.held = new Promise((resolve) => { answer = resolve; });
    standIn.answer = [200, { access_token: 'lost-token', token_type: 'Bearer', expires_in: 300 }];
    const asked = once(standIn, 'form');
    const waiting = Array.from({ length: 20 }, () => refusal({ client_id: 'lost' }));
    await asked;  // the assertion's line is durable
    rmSync(log);
    answer();
    for (const { code, details } of await Promise.all(waiting)) {
      assert.equal(code, grpc.status.UNAVAILABLE);
      assert.match(details, /audit log cannot be written|could not be recorded/);
    }
    standIn.answer = [200, { access_token: 'next-token', token_type: 'Bearer', expires_in: 300 }];
    deployment.daemon.kill('SIGHUP');  // begins another log
    let got;
    await new Deadline(30, 'a token').until(async () => {
      got = await caller.call('GetAccessToken', { client_id: 'lost' }).catch(({ code }) => assert.equal(code, grpc.status.UNAVAILABLE));
      return got;
    });
    assert.equal(got.access_token, 'next-token');
    assert.equal(standIn.forms.length, 2);
    const digest = createHash('sha256').update('lost-token').digest('base64url');
    assert.ok(!readFileSync(log, 'utf8').includes(digest));
  });
});
