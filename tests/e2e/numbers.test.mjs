// Claims are signed as the caller wrote them, down to the octet, where a double would change them.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const PYJWT = fileURLToPath(new URL('verify_with_pyjwt.py', import.meta.url));
const CLAIMS = '"account":9007199254740993,"rate" : 1.0,"limits":[1e400,-0,0.10,1E+2,123456789012345678901234567890]';

const payloadOf = (jwt) => Buffer.from(jwt.split('.')[1], 'base64url').toString();

describe('numbers in claims', () => {
  let deployment;
  let caller;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE], extra_claims: ['account', 'rate', 'limits'] }]);
    await deployment.generateKey('orders');
    caller = new Caller(AssertionService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    await deployment?.close();
  });

  const create = (claims) => caller.call('CreateAssertion', { client_id: 'orders', ...claims });
  const number = (value) => ({ extra_claims: { fields: { account: { numberValue: value } } } });

  it('extra_claims_json is signed to the octet', async () => {
    const { assertion } = await create({ extra_claims_json: `\n{ ${CLAIMS} }\n` });
    assert.ok(payloadOf(assertion).endsWith(`,${CLAIMS}}`), payloadOf(assertion));
    const { keys } = await deployment.jwks('orders');
    const { status, stdout, stderr } = await run('/usr/bin/python3', [PYJWT], { input: JSON.stringify({
      assertion, algorithm: 'RS256', audience: AUDIENCE, client_id: 'orders', jwks: JSON.stringify({ keys }) }) });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /"account": 9007199254740993, "rate": 1\.0, "limits": \[Infinity, 0, 0\.1, 100\.0, 123456789012345678901234567890\]/);
  });

  it('extra_claims refuses a whole number that a double may not hold, and names the other field', async () => {
    for (const value of [9007199254740992, 9007199254740993, -9007199254740993, 1e300]) {
      await assert.rejects(create(number(value)),
        { code: grpc.status.INVALID_ARGUMENT, details: /^extra_claims: a whole number of 2\^53 or more .* extra_claims_json/ });
    }
    assert.match(payloadOf((await create(number(-9007199254740991))).assertion), /"account":-9007199254740991}$/);
  });

  it('one of the two fields, and never a reserved or repeated name', async () => {
    for (const [request, details] of [
      [{ ...number(1), extra_claims_json: '{}' }, /^extra_claims_json: must not be set beside extra_claims$/],
      [{ extra_claims_json: '{"account":1},"sub":"mallory"' }, /^extra_claims_json: octet 14: nothing may follow the object$/],
      [{ extra_claims_json: '{"account":1,"\\u0061ccount":2}' }, /^extra_claims_json: octet 28: the object has a member of this name already$/],
      [{ extra_claims_json: '{"\\u0053ub":"mallory"}' }, /^extra_claims_json: "Sub" is reserved: the client's profile decides it$/],
      [{ extra_claims_json: '{"role":1}' }, /^extra_claims_json: "role" is not among the claims allowed for this client$/],
      [{ extra_claims_json: '{"account":01}' }, /^extra_claims_json: octet 13: a number has no zero in front$/],
    ]) {
      await assert.rejects(create(request), (error) => error.code === grpc.status.INVALID_ARGUMENT && details.test(error.details) ||
        assert.fail(error.details));
    }
  });

  it('assertionctl: --claim is signed, and inspect shown, as it is written', async () => {
    const options = ['--claim', 'rate=1.0', '--claim', 'account=9007199254740993', '--claim', 'limits=[1e400, -0]'];
    const many = await deployment.createAssertion('orders', ...options, '--count', '2');
    for (const jwt of [await deployment.createAssertion('orders', ...options), ...many.split('\n')]) {
      assert.ok(payloadOf(jwt).endsWith(',"rate":1.0,"account":9007199254740993,"limits":[1e400, -0]}'), payloadOf(jwt));
      const file = path.join(deployment.folder, 'assertion.jwt');
      writeFileSync(file, jwt);
      assert.match(await deployment.ctl('assertion', 'inspect', file),
        /"rate": 1\.0,\n {2}"account": 9007199254740993,\n {2}"limits": \[\n {4}1e400,\n {4}-0\n {2}\]\n}/);
      assert.match(await deployment.ctl('assertion', 'inspect', '--json', file), /"rate": 1\.0,\n {4}"account": 9007199254740993,/);
    }
    for (const claim of ['account=1,"sub":"mallory"', 'account=01', 'account=', 'account', '=1', 'account=1}']) {
      const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'orders', '--claim', claim);
      assert.equal(status, 2, claim);
      assert.match(stderr, /--claim must be name=json/);
    }
    assert.match((await deployment.tryCtl('assertion', 'create', '--client-id', 'orders', '--claim', 'rate=1', '--claim', 'rate=2')).stderr,
      /--claim rate is repeated/);
  });
});
