// Many assertions on one stream: with a client of another language, and with assertionctl assertion create --count.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { AssertionService } from './caller.mjs';
import { Deployment } from './deployment.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const COUNT = 1000;

describe('a stream of assertions', () => {
  let deployment;
  let jwks;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }]);
    await deployment.generateKey('orders');
    jwks = createLocalJWKSet(await deployment.jwks('orders'));
  });

  after(() => deployment?.close());

  const verify = async (assertion) =>
    (await jwtVerify(assertion, jwks, { issuer: 'orders', subject: 'orders', audience: AUDIENCE })).payload.jti;

  it('answers each request by its tag, and refuses what is wrong alone', async () => {
    const client = new AssertionService(`unix:${deployment.socket}`, grpc.credentials.createInsecure());
    const stream = client.CreateAssertions();
    const answers = new Map();
    const ended = new Promise((resolve) => { stream.on('status', resolve); });
    stream.on('data', (answer) => answers.set(answer.tag, answer));
    for (let tag = 0; tag < COUNT; ++tag) {
      stream.write({ tag, assertion: { client_id: tag % 100 === 99 ? 'nobody' : 'orders' }, timeout: { seconds: 20 } });
    }
    stream.end();
    assert.equal((await ended).code, grpc.status.OK);
    client.close();
    assert.equal(answers.size, COUNT);
    const made = [...answers.values()].filter(({ assertion }) => assertion);
    assert.equal(new Set(await Promise.all(made.map(({ assertion }) => verify(assertion.assertion)))).size, COUNT * 0.99);
    for (const { tag, error } of [...answers.values()].filter(({ assertion }) => !assertion)) {
      assert.equal(tag % 100, 99);
      assert.equal(error.code, grpc.status.NOT_FOUND);
    }
  });

  it('is what assertion create --count asks on', async () => {
    const lines = (await deployment.ctl('assertion', 'create', '--client-id', 'orders', '--count', `${COUNT}`)).trimEnd().split('\n');
    assert.equal(new Set(await Promise.all(lines.map(verify))).size, COUNT);
    const json = await deployment.ctl('assertion', 'create', '--client-id', 'orders', '--count', '3', '--json');
    for (const { assertion, jti } of json.trimEnd().split('\n').map((line) => JSON.parse(line))) {
      assert.equal(await verify(assertion), jti);
    }
  });

  it('says how many were refused, and the first reason', async () => {
    const { status, stdout, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'nobody', '--count', '20');
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /20 of 20 were refused, the first: client_id: no client "nobody" is configured/);
  });
});
