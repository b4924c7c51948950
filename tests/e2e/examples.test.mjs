// The example clients: each gets an assertion of assertiond's and exchanges it at a real OpenID provider.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { output, run } from './process.mjs';
import { startRegistered } from './registered_client.mjs';

const EXAMPLES = fileURLToPath(new URL('./examples/', import.meta.url));
const PROTOS = path.resolve(process.env.E2E_PROTO_DIR);  // protoc compares texts
const BIN = process.env.E2E_BIN_DIR;

describe('the example clients', () => {
  let provider;
  let deployment;
  let modules;

  before(async () => {
    ({ provider, deployment } = await startRegistered());
    modules = path.join(deployment.folder, 'modules');
    mkdirSync(modules);
    await output('protoc', ['-I', PROTOS, `--python_out=${modules}`, `--grpc_python_out=${modules}`,
      '--plugin=protoc-gen-grpc_python=/usr/bin/grpc_python_plugin',
      path.join(PROTOS, 'assertion/v1/assertion.proto'), path.join(PROTOS, 'google/rpc/status.proto')]);
  });

  after(() => deployment?.close());

  beforeEach(() => provider.forgetDecisions());

  const example = (name) => path.join(EXAMPLES, name);
  const commands = {
    'Python': (client) => ['/usr/bin/python3', example('client.py'), client, provider.tokenEndpoint],
    'C++': (client) => [path.join(BIN, 'example_client'), client, provider.tokenEndpoint],
    'shell': (client) => ['/bin/sh', example('client.sh'), client, provider.tokenEndpoint],
  };

  for (const [name, command] of Object.entries(commands)) {
    const start = (client) => {
      const [program, ...options] = command(client);
      return run(program, options,
        { env: { ...deployment.environment, PYTHONPATH: modules, PATH: `${BIN}:${process.env.PATH}` } });
    };

    it(`${name}: gets a token`, async () => {
      const { status, stdout, stderr } = await start('orders');
      assert.equal(status, 0, stderr);
      assert.ok(JSON.parse(stdout).access_token, stdout);
      assert.deepEqual(await provider.decision(), { event: 'grant.success', client_id: 'orders' });
    });

    it(`${name}: says why it gets none`, async () => {
      const { status, stdout, stderr } = await start('foreign');
      assert.equal(status, 1, stdout);
      assert.match(stderr, /who may not ask for assertions of this client/);
    });
  }

  it('Python: a wrong argument is answered without a traceback', async () => {
    for (const [options, expected] of [[['orders'], /usage: client\.py/], [['orders', provider.tokenEndpoint, 'nonsense'], /^assertiond: [A-Z_]+: /]]) {
      const { status, stderr } = await run('/usr/bin/python3', [example('client.py'), ...options],
        { env: { ...deployment.environment, PYTHONPATH: modules } });
      assert.equal(status, 1);
      assert.match(stderr, expected);
      assert.doesNotMatch(stderr, /Traceback/);
    }
  });

  it('Python: without the modules of the protos it shows the command that makes them', async () => {
    const { status, stderr } = await run('/usr/bin/python3', [example('client.py'), 'orders', provider.tokenEndpoint],
      { env: deployment.environment });
    assert.equal(status, 1);
    assert.match(stderr, /^client\.py: No module named 'assertion[^\n]*\n[^]*\n    protoc -I proto /);
  });
});
