// The metrics of a running server, as a real Prometheus reads them, and what of deploy/ lives on them: the alert rules and the
// dashboard.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { run } from './process.mjs';
import { DASHBOARD, Prometheus, RULES, withoutVariables } from './prometheus.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const AUDIENCE = 'https://localhost/token';
const CHOSEN = 'chosen-by-the-caller';

describe('the metrics', () => {
  let deployment;
  let caller;
  let prometheus;
  let endpoint;

  before(async () => {
    endpoint = await TokenEndpoint.start();
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [AUDIENCE], extra_claims: ['tenant'] },
      { client_id: 'keyless', audiences: [AUDIENCE] },
      { client_id: 'foreign', audiences: [AUDIENCE], callers: ['uid:4294967294'] },
      { client_id: 'buying', audiences: [endpoint.url], tokens: { token_endpoint: endpoint.url } },
    ], { http_listen: '127.0.0.1:0', sessions: 3, audit: { checkpoint_interval: '1s' } });
    await deployment.generateKey('orders');
    caller = new Caller(AssertionService, deployment.socket);
    prometheus = await Prometheus.start(deployment.httpOrigin);
  });

  after(async () => {
    caller?.close();
    endpoint?.close();
    await deployment?.close();
  });

  const metrics = async () => (await fetch(`${deployment.httpOrigin}/metrics`)).text();
  // The value of the one sample whose name and labels these are.
  const valueOf = (text, name, labels = {}) => {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const lines = text.split('\n').filter((line) => new RegExp(`^${name}[{ ]`).test(line))
      .filter((line) => wanted.every((label) => line.includes(label)));
    assert.equal(lines.length, 1, `${name} ${wanted}: ${lines.join('; ')}`);
    return Number(lines[0].split(' ').at(-1));
  };
  const code = (request) => caller.call('CreateAssertion', request).then(() => 'OK', (error) => grpc.status[error.code]);

  it('count assertions by configured client, algorithm and outcome', async () => {
    for (let i = 0; i < 3; ++i) assert.equal(await code({ client_id: 'orders' }), 'OK');
    assert.equal(await code({ client_id: 'orders', audience: 'https://elsewhere.example' }), 'INVALID_ARGUMENT');
    assert.equal(await code({ client_id: 'keyless' }), 'FAILED_PRECONDITION');
    assert.equal(await code({ client_id: 'foreign' }), 'PERMISSION_DENIED');
    const text = await metrics();
    const count = (labels) => valueOf(text, 'assertiond_assertions_total', labels);
    assert.equal(count({ client_id: 'orders', algorithm: 'RS256', outcome: 'OK' }), 3);
    assert.equal(count({ client_id: 'orders', outcome: 'INVALID_ARGUMENT' }), 1);
    assert.equal(count({ client_id: 'keyless', outcome: 'FAILED_PRECONDITION' }), 1);
    assert.equal(count({ client_id: 'foreign', outcome: 'PERMISSION_DENIED' }), 1);
    assert.equal(valueOf(text, 'assertiond_assertion_duration_seconds_count', { result: 'released' }), 3);
    assert.equal(valueOf(text, 'assertiond_assertion_duration_seconds_count', { result: 'refused' }), 3);
    assert.equal(valueOf(text, 'assertiond_queue_duration_seconds_count'), 3);
  });

  it('hold nothing that a caller chose', async () => {
    const extra = { fields: { [CHOSEN]: { stringValue: CHOSEN } } };
    for (const request of [{ client_id: CHOSEN }, { client_id: 'orders', audience: CHOSEN },
      { client_id: 'orders', extra_claims: extra }, { client_id: `orders"} 1\n${CHOSEN}` }]) {
      assert.notEqual(await code(request), 'OK');
    }
    const text = await metrics();
    assert.ok(!text.includes(CHOSEN), text);
    assert.equal(valueOf(text, 'assertiond_assertions_total', { client_id: '', outcome: 'NOT_FOUND' }), 2);
  });

  it('tell of sessions, queue, token and audit log', async () => {
    const text = await metrics();
    assert.equal(valueOf(text, 'assertiond_sessions_limit'), 3);
    const open = valueOf(text, 'assertiond_sessions_open');
    assert.ok(open >= 1 && open <= 3, `${open} sessions are open`);
    assert.ok(valueOf(text, 'assertiond_hsm_signatures_total') >= 3);
    assert.equal(valueOf(text, 'assertiond_hsm_duration_seconds_count'), valueOf(text, 'assertiond_hsm_signatures_total'));
    for (const [name, value] of [['token_usable', 1], ['breaker_open', 0], ['ready', 1], ['hsms_configured', 1],
      ['sessions_hung', 0], ['sessions_discarded_total', 0], ['hsm_failures_total', 0], ['queue_jobs', 0],
      ['audit_writable', 1], ['audit_waiting_lines', 0], ['build_info', 1]]) {
      assert.equal(valueOf(text, `assertiond_${name}`), value, name);
    }
    const { sequence } = JSON.parse(await deployment.ctl('audit', 'head', '--json'));
    assert.ok(valueOf(await metrics(), 'assertiond_audit_sequence') >= sequence);
    const started = valueOf(text, 'assertiond_start_time_seconds');
    assert.ok(Math.abs(Date.now() / 1000 - started) < 600, `started at ${started}`);
  });

  it('are as Prometheus wants them', async () => {
    const { status, stdout, stderr } = await run('promtool', ['check', 'metrics'], { input: await metrics() });
    assert.equal(status, 0, stdout + stderr);
  });

  it('are all that the alert rules and the dashboard ask for', async () => {
    await deployment.generateKey('buying');
    endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
    const buyer = new Caller(AccessTokenService, deployment.socket);   // a client has metrics of tokens once a caller asked for one
    await buyer.call('GetAccessToken', { client_id: 'buying' });
    buyer.close();
    const asked = (readFileSync(RULES, 'utf8').replace(/^ *runbook_url:.*$/gm, '') + JSON.stringify(DASHBOARD.panels))
      .match(/\bassertiond_\w+/g);
    const exported = new Set(Array.from((await metrics()).matchAll(/^(assertiond_\w+)/gm), ([, name]) => name));
    exported.add('assertiond_ledger_rolled_back');  // has a value only while a ledger is: see accept_ledger.test.mjs
    exported.add('assertiond_tls_certificate_not_after_seconds').add('assertiond_tls_crl_next_update_seconds');  // see tls_key.test.mjs
    assert.ok(asked.length > 40);
    assert.deepEqual([...new Set(asked)].filter((name) => !exported.has(name)), []);
  });

  it('give every panel of the dashboard something to show', async () => {
    let over = false;
    const load = (async () => {
      while (!over) {
        await code({ client_id: 'orders' });
        await code({ client_id: 'keyless' });
      }
    })();
    try {
      const expressions = DASHBOARD.panels.flatMap(({ targets = [] }) => targets).map(({ expr }) => withoutVariables(expr));
      assert.ok(expressions.length > 25);
      for (const expression of expressions) {
        const series = await prometheus.until(expression);
        assert.ok(series.every(({ value: [, value] }) => value !== ''), expression);
      }
    } finally {
      over = true;
      await load;
    }
  });

  it('let Prometheus evaluate every rule; the one that is true fires', async () => {
    await prometheus.until('ALERTS{alertname="AssertiondClientWithoutKey",client_id="keyless"}');
    const rules = await prometheus.rules();
    assert.deepEqual(rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError]), []);
    // A test of this length is no time for any other; the certificate of a fresh key lasts.
    const active = rules.filter(({ alerts }) => alerts.some(({ state }) => state === 'firing')).map(({ name }) => name);
    assert.deepEqual(active.filter((name) => !['AssertiondClientWithoutKey', 'AssertiondErrors'].includes(name)), []);
  });
});
