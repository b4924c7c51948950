// deploy/clients/node: the npm package is packed and unpacked, and programs that use it buy tokens and make assertions.
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync, readdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { describeClient } from './client_contract.mjs';
import { output, run } from './process.mjs';

const PACKAGE = path.resolve(process.env.E2E_PROTO_DIR, '../deploy/clients/node');
const HERE = fileURLToPath(new URL('.', import.meta.url));
const MODULES = path.resolve(HERE, '../node_modules');
const NODE = [process.execPath, ...globalThis.crypto ? [] : ['--experimental-global-webcrypto']];

// As npm would, but for the registry: the packages that package.json names, and openid-client for its example.
async function install(folder) {
  const app = path.join(folder, 'app');
  const modules = path.join(app, 'node_modules');
  const root = path.join(modules, 'assertiond-client');
  mkdirSync(root, { recursive: true });
  await output(path.join(PACKAGE, 'build.sh'), [folder],
    { env: { ...process.env, PATH: `${path.join(MODULES, '.bin')}:${process.env.PATH}` } });
  const [archive] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  await output('tar', ['-xzf', path.join(folder, archive), '--strip-components=1', '-C', root]);
  const { dependencies } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  for (const name of [...Object.keys(dependencies), 'openid-client']) {
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
    symlinkSync(path.join(MODULES, name), path.join(modules, name));
  }
  for (const program of ['node.mjs', 'node_types.mts']) copyFileSync(path.join(HERE, 'clients', program), path.join(app, program));
  const example = (name) => [...NODE, path.join(root, 'examples', name)];
  return {
    app, root, archive,
    program: [process.execPath, path.join(app, 'node.mjs')],
    examples: { 'buy-token': example('buy-token.mjs'), 'openid-client': example('openid-client.mjs') },
    boundExample: example('use-bound-token.mjs'),
    tellsClosed: true,
  };
}

describeClient('Node.js', install, ({ program, installed, runIn }) => {
  it('has its files and nothing else in it', async () => {
    assert.equal(installed.archive, 'assertiond-client-0.1.0.tgz');
    assert.deepEqual(readdirSync(installed.root).sort(), ['README.md', 'examples', 'package.json', 'proto', 'src', 'types']);
    const { status, stdout } = await run('grep',
      ['-rlF', '-e', path.resolve(PACKAGE, '../../..'), '-e', '/tmp/', installed.root]);
    assert.equal(status, 1, `paths of the machine that built it: ${stdout}`);
  });

  it('refuses a misspelt field, a field of another type and a request without client', async () => {
    assert.deepEqual(await program('fields'), [
      'CreateAssertionRequest has no field "audiense" (known: clientId, audience, lifetime, extraClaims, extraClaimsJson, subject, scope)',
      'CreateAssertionRequest.audience must be a string',
      'CreateAssertionRequest.clientId is required',
      'CreateAssertionRequest.clientId is required',
    ]);
  });

  it('refuses a duration or a Struct that would be dropped, changed or not encoded', async () => {
    const { refusals, jtis } = await program('messages');
    const messages = [...Array(16).fill('lifetime must be a duration of whole seconds such as { seconds: 60 }'),
      ...Array(10).fill('extraClaims must be a google.protobuf.Struct; the field whose name ends with Json takes JSON text')];
    assert.deepEqual(refusals, messages.map((message) => `TypeError: CreateAssertionRequest.${message}`));
    assert.equal(jtis, 4);
  });

  it('says of a server that is down what gRPC says, without its empty note', async () => {
    const { stdout } = await runIn({ ASSERTIOND_SERVER: `unix:${installed.app}/nobody.sock` }, installed.program, 'down', '1');
    assert.match(JSON.parse(stdout).message, /ENOENT.*nobody\.sock$/);
  });

  it('close() ends calls, waits and streams', async () => {
    assert.deepEqual(await program('close'), { call: 'CANCELLED', stream: 'CANCELLED', next: 'the client is closed' });
  });

  it('keeps 256 requests in flight and lets the rest wait', async () => {
    assert.deepEqual(await program('crowd', '300'), { inFlight: 256, jtis: 300 });
  });

  it('its types accept the right program and refuse wrong ones', async () => {
    const { status, stdout } = await run(process.execPath, [path.join(MODULES, 'typescript/bin/tsc'), '--noEmit', '--strict',
      '--skipLibCheck', '--module', 'nodenext', '--target', 'es2022', 'node_types.mts'],
    { cwd: installed.app });
    assert.equal(status, 0, stdout);
  });
});
