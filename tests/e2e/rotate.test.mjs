// assertionctl key rotate --publish wso2: the cut-over of a client whose identity server knows one certificate.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, describe, it } from 'node:test';
import { calculateJwkThumbprint } from 'jose';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline } from './process.mjs';
import { closeDeployment, deploymentFor } from './wso2_deployment.mjs';
import { Wso2StandIn } from './wso2_stand_in.mjs';

describe('key rotate --publish wso2', () => {
  const ELSEWHERE = 'https://elsewhere.example/oauth2/token';
  let provider;
  let standIn;
  let deployment;
  let application;
  let next = 0;
  let client;

  before(async () => {
    provider = await OpenIdProvider.start();
    standIn = await Wso2StandIn.start({ provider });
    deployment = await deploymentFor(standIn, Array.from({ length: 11 }, (unused, at) =>
      ({ client_id: `client-${at}`, audiences: [provider.tokenEndpoint, ELSEWHERE] })));
  });

  after(() => closeDeployment(deployment));

  // Each test rotates a client of its own, whose present key is published.
  beforeEach(async () => {
    client = `client-${next++}`;
    application = await standIn.add(client);
    await deployment.ctl('wso2', 'publish', '--configure', ...options());
    standIn.requests.length = 0;
    standIn.faults.length = 0;
    assert.equal(await request(), 0);
    provider.forgetDecisions();
  });

  const options = () => ['--client-id', client, '--application', application, '--base-url', standIn.origin,
    '--token-file', deployment.tokenFile];
  const rotate = (...more) => deployment.tryCtl('key', 'rotate', '--publish', 'wso2', ...options(),
    '--token-endpoint', provider.tokenEndpoint, ...more);
  const request = async () => (await deployment.tryCtl('token', 'request', '--client-id', client,
    '--token-endpoint', provider.tokenEndpoint)).status;
  const signing = async () =>
    JSON.parse(await deployment.ctl('assertion', 'create', '--json', '--client-id', client)).kid;
  const certificateOf = async () => (await deployment.ctl('certificate', 'get', '--client-id', client)).trimEnd();
  const kidOfSlot = () => calculateJwkThumbprint(
    new X509Certificate(standIn.slot(application).value).publicKey.export({ format: 'jwk' }));
  const published = (stderr) => /key ([\w-]{43}) is published and does not sign/.exec(stderr)?.[1];

  it('makes the key on the HSM that --hsm names, or none', async () => {
    const old = await signing();
    const { status, stderr } = await rotate('--hsm', 'elsewhere');
    assert.equal(status, 1, stderr);
    assert.match(stderr, /^assertionctl: hsm: /);
    assert.equal(await signing(), old);
    assert.deepEqual(standIn.requests.filter(({ method }) => method !== 'GET'), []);
  });

  it('tells a caller without a role which one a rotation needs, and uploads nothing', async () => {
    const original = readFileSync(deployment.configuration, 'utf8');
    const reload = async (text) => {
      writeFileSync(deployment.configuration, text);
      const before = readFileSync(deployment.log, 'utf8').length;
      deployment.daemon.kill('SIGHUP');
      await new Deadline(30, `the reload; the log is ${deployment.log}`)
        .until(() => /SIGHUP: .*as the configuration says now/.test(readFileSync(deployment.log, 'utf8').slice(before)));
    };
    await reload(JSON.stringify({ ...JSON.parse(original), operators: [] }));
    try {
      const { status, stderr } = await rotate();
      assert.equal(status, 1, stderr);
      assert.match(stderr, /who may not change keys: the role operator is needed/);
    } finally {
      await reload(original);
    }
    assert.deepEqual(standIn.requests.filter(({ method }) => method !== 'GET'), []);
  });

  it('switches under load; assertions are refused for no longer than it says', async () => {
    const old = await signing();
    let over = false;
    const refusals = [];
    const load = (async () => {
      for (let after = 0; after < 3; after += over ? 1 : 0) {
        const began = performance.now();
        const kid = await signing();
        if (await request() !== 0) refusals.push({ kid, began, ended: performance.now() });
      }
    })();
    const { status, stdout, stderr } = await rotate('--json');
    over = true;
    await load;
    assert.equal(status, 0, stderr);
    const answer = JSON.parse(stdout);
    assert.deepEqual(answer, { client_id: client, kid: await signing(), predecessor: old, application,
      refused_ms: answer.refused_ms });
    assert.notEqual(answer.kid, old);
    assert.equal(await kidOfSlot(), answer.kid);
    assert.ok(refusals.every(({ kid }) => kid === old), JSON.stringify(refusals));
    // The window reaches at least from the upload to its reading back.
    const [patch, readBack] = standIn.requests.slice(-2);
    assert.deepEqual([patch.method, readBack.method], ['PATCH', 'GET']);
    assert.ok(answer.refused_ms >= readBack.at - patch.at, JSON.stringify(answer));
    // What was refused began before the window's end and ended after its beginning.
    if (refusals.length > 1) {
      assert.ok(refusals.at(-1).began - refusals[0].ended <= answer.refused_ms, JSON.stringify({ answer, refusals }));
    }
    assert.equal(await request(), 0);
  });

  it('says to a person what happened', async () => {
    const { status, stdout, stderr } = await rotate();
    assert.equal(status, 0, stderr);
    assert.match(stdout, /key [\w-]{43} signs in place of [\w-]{43}\n.*\n.*refused for \d+ ms at most\n$/);
  });

  it('a refusal by the token endpoint puts the old certificate back; a second attempt takes the same key', async () => {
    const old = await signing();
    const certificate = await certificateOf();
    const { status, stdout, stderr } = await rotate('--audience', ELSEWHERE);
    assert.equal(status, 5, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /the token endpoint refused the new key: HTTP 401, "invalid_client".*rolled back/);
    assert.equal(standIn.slot(application).value, certificate);
    assert.equal(await signing(), old);
    assert.equal(await request(), 0);
    const kid = published(stderr);
    assert.match(stderr, new RegExp(`--kid=${kid} .*key revoke`));
    const again = await rotate(`--kid=${kid}`);
    assert.equal(again.status, 0, again.stderr);
    assert.equal(await signing(), kid);
  });

  for (const [what, faults] of Object.entries({
    'the upload is refused': [{ method: 'PATCH', status: 403 }],
    'the upload is ignored': [{ method: 'PATCH', ignore: true }],
    'the upload cannot be read back': [{ method: 'GET' }, { method: 'GET', status: 500 }],
  })) {
    it(`${what}: the old certificate is there afterwards`, async () => {
      const old = await signing();
      const certificate = await certificateOf();
      standIn.faults.push(...faults);
      const { status, stderr } = await rotate();
      assert.equal(status, 5, stderr);
      assert.match(stderr, /the new certificate was not taken: .*rolled back/);
      assert.equal(standIn.slot(application).value, certificate);
      assert.equal(await signing(), old);
      assert.equal(await request(), 0);
    });
  }

  it('when nothing can be put back it says what state the server is in, and what mends that', async () => {
    const certificate = standIn.slot(application).value;
    // The new certificate gets in, the old one does not get back.
    standIn.faults.push({ method: 'PATCH' }, { method: 'PATCH', status: 500 }, { method: 'PATCH', status: 500 });
    const { status, stderr } = await rotate('--audience', ELSEWHERE);
    assert.equal(status, 5, stderr);
    assert.match(stderr, /COULD NOT BE PUT BACK.*EVERY TOKEN REQUEST OF CLIENT client-\d IS REFUSED/);
    assert.ok(stderr.includes(certificate), 'the old certificate is printed');
    assert.notEqual(standIn.slot(application).value, certificate);
    assert.equal(await request(), 5);
    const [, mend] = /next: assertionctl (wso2 publish .*) --token-file FILE/.exec(stderr);
    await deployment.ctl(...mend.split(' '), '--token-file', deployment.tokenFile);
    assert.equal(standIn.slot(application).value, certificate);
    assert.equal(await request(), 0);
  });

  for (const [what, certificate] of [['an empty slot', undefined],
    ['a JWK Set', { type: 'JWKS', value: 'https://keys.example.com/jwks.json' }]]) {
    it(`does not begin with ${what}: nothing could be put back`, async () => {
      await standIn.setSlot(application, certificate);
      const { status, stderr } = await rotate();
      assert.equal(status, 1, stderr);
      assert.match(stderr, /no certificate that could be put back/);
      assert.deepEqual(standIn.requests.map(({ method }) => method), ['GET']);
    });
  }
});
