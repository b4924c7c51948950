// deploy/clients/python: the wheel is built and installed, and programs that use it buy tokens and make assertions.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline, Lines, output, run, startProcess } from './process.mjs';

const PACKAGE = path.resolve(process.env.E2E_PROTO_DIR, '../deploy/clients/python');
const PROGRAM = fileURLToPath(new URL('./clients_python.py', import.meta.url));
const PYTHON = '/usr/bin/python3';

describe('the Python package', () => {
  let provider;
  let deployment;
  let environment;

  before(async () => {
    provider = await OpenIdProvider.start();
    deployment = await Deployment.start([
      { client_id: 'orders', audiences: [provider.tokenEndpoint] },
      { client_id: 'foreign', audiences: [provider.tokenEndpoint], callers: ['uid:4294967294'] },
    ]);
    await deployment.generateKey('orders');
    provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders') }]);

    const wheels = path.join(deployment.folder, 'wheels');
    const modules = path.join(deployment.folder, 'modules');
    await output(path.join(PACKAGE, 'build.sh'), [wheels]);
    const [wheel] = readdirSync(wheels);
    await output(PYTHON, ['-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--target', modules,
      path.join(wheels, wheel)]);
    environment = { ...deployment.environment, PYTHONPATH: modules };
  });

  after(() => deployment?.close());

  const example = (...options) => run(PYTHON, [path.join(PACKAGE, 'examples/buy_token.py'), ...options], { env: environment });

  async function program(...options) {
    const { status, stdout, stderr } = await run(PYTHON, [PROGRAM, ...options], { env: environment });
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  }

  it('the example buys an access token', async () => {
    const { status, stdout, stderr } = await example('orders', provider.tokenEndpoint);
    assert.equal(status, 0, stderr);
    assert.ok(JSON.parse(stdout).access_token, stdout);
    assert.deepEqual(await provider.decision(), { event: 'grant.success', client_id: 'orders' });
  });

  it('the example says in a line what was wrong', async () => {
    for (const [options, expected] of [
      [['foreign', provider.tokenEndpoint], /^assertiond: PERMISSION_DENIED: .*\n$/],
      [['orders'], /^usage: buy_token\.py CLIENT_ID TOKEN_ENDPOINT/],
      [['orders', 'nonsense'], /^assertiond: INVALID_ARGUMENT: .*\n$|^assertiond: PERMISSION_DENIED: .*\n$/],
    ]) {
      const { status, stderr } = await example(...options);
      assert.equal(status, 1);
      assert.match(stderr, expected);
    }
  });

  it('matches the replies of one stream to their requests', async () => {
    const { jtis, refused } = await program('stream', '600');
    assert.deepEqual(refused.filter(([i, code]) => i % 10 !== 0 || code !== 'PERMISSION_DENIED'), []);
    assert.deepEqual({ jtis, refused: refused.length }, { jtis: 540, refused: 60 });
  });

  it('repeats a refused call when the server says, within its deadline', async () => {
    const limited = await Deployment.start([{ client_id: 'orders', audiences: [provider.tokenEndpoint] }],
      { caller_rate: { per_second: 2, burst: 1 } });
    try {
      await limited.generateKey('orders');
      const call = (...options) => run(PYTHON, [PROGRAM, 'rate', ...options],
        { env: { ...limited.environment, PYTHONPATH: environment.PYTHONPATH } });
      const patient = await call('4', '20');
      assert.equal(patient.status, 0, patient.stderr);
      const { seconds } = JSON.parse(patient.stdout);
      assert.ok(seconds >= 1.4, `4 calls at 2 a second took ${seconds} s`);
      const hasty = await call('4', '0.2');
      assert.equal(hasty.status, 1, hasty.stdout);
      assert.match(hasty.stderr, /^RESOURCE_EXHAUSTED, retry after 0\.\d+/);
    } finally {
      await limited.close();
    }
  });

  it('finds a restarted server, with a new socket file', async () => {
    const child = startProcess(PYTHON, [PROGRAM, 'restart'], { env: environment, log: path.join(deployment.folder, 'restart.log') });
    const lines = new Lines(child, 'stdout');
    const deadline = new Deadline(60, 'the program that calls across a restart');
    assert.equal(await lines.next(deadline), 'called');
    await deployment.stopDaemon();
    await deployment.startDaemon();
    child.stdin.write('\n');
    assert.deepEqual(JSON.parse(await lines.next(deadline)), { jtis: 4 });
    assert.deepEqual(await deadline.limit(child.ended), { status: 0, signal: null });
  });

  it('gives up on a server that is down at the deadline', async () => {
    await deployment.stopDaemon();
    try {
      const { code, retryable, seconds } = await program('down', '1');
      assert.deepEqual({ code, retryable }, { code: 'UNAVAILABLE', retryable: true });
      assert.ok(seconds < 5, `${seconds} s`);
    } finally {
      await deployment.startDaemon();
    }
  });
});
