// deploy/clients/python: the wheel is built and installed, and programs that use it buy tokens and make assertions.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { describeClient } from './client_contract.mjs';
import { output } from './process.mjs';

const PACKAGE = path.resolve(process.env.E2E_PROTO_DIR, '../deploy/clients/python');
const PROGRAM = fileURLToPath(new URL('./clients/python.py', import.meta.url));
const PYTHON = '/usr/bin/python3';

async function install(folder) {
  const wheels = path.join(folder, 'wheels');
  const modules = path.join(folder, 'modules');
  await output(path.join(PACKAGE, 'build.sh'), [wheels]);
  const [wheel] = readdirSync(wheels);
  await output(PYTHON, ['-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--target', modules,
    path.join(wheels, wheel)]);
  return {
    program: [PYTHON, PROGRAM],
    examples: { 'buy_token.py': [PYTHON, path.join(PACKAGE, 'examples/buy_token.py')] },
    boundExample: [PYTHON, path.join(PACKAGE, 'examples/use_bound_token.py')],
    variables: { PYTHONPATH: modules },
    streamRepeats: false,
    tellsClosed: true,
  };
}

describeClient('Python', install, ({ program }) => {
  it('takes a lifetime as seconds or timedelta, and says so of other forms', async () => {
    const { made, refused, token } = await program('lifetimes');
    const text = (value) => `lifetime must be whole seconds or a datetime.timedelta, not ${value}`;
    assert.deepEqual(made, [...Array(8).fill(60), 300, 300]);
    assert.deepEqual(refused, Array(3).fill([text("'60s'"), text('60.5'), text('True')]).flat());
    assert.ok(token);
  });

  it('tells the fields of a request whose field it does not know', async () => {
    assert.deepEqual(await program('fields'), [
      'CreateAssertionRequest has no field "audiense" (known: audience, lifetime, extra_claims, extra_claims_json, subject, scope)',
      'CreateDpopProofRequest has no field "access_token" (known: htm, htu, ath, nonce)',
      'GetAccessTokenRequest has no field "scopes" (known: scope, resource, minimum_validity)',
      'CreateAssertionRequest has no field "audiense" (known: audience, lifetime, extra_claims, extra_claims_json, subject, scope)',
    ]);
  });

  it('takes claims as a dict, and says so of what is none', async () => {
    const { claims, refused } = await program('claims');
    const given = { acr: 'high', amr: ['hwk', { nested: true }], level: 2, nothing: null };
    assert.deepEqual(claims, [given, given, given]);
    assert.deepEqual(refused, Array(4).fill('extra_claims must be a dict of values that JSON has; extra_claims_json takes JSON text'));
  });
});
