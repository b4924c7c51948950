// deploy/clients/go: the module is built with Debian's packages, and programs that use it buy tokens and make assertions.
import assert from 'node:assert/strict';
import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { describeClient } from './client_contract.mjs';
import { output, run } from './process.mjs';

const PACKAGE = path.resolve(process.env.E2E_PROTO_DIR, '../deploy/clients/go');
const PROGRAM = fileURLToPath(new URL('./clients/go/', import.meta.url));
const DEBIAN = '/usr/share/gocode';
const MODULE = 'assertiond/client';

// Debian's Go packages are no modules: they are found by GOPATH.
async function install(folder) {
  const root = path.join(folder, 'go/src', MODULE);
  const environment = { ...process.env, GO111MODULE: 'off', GOPATH: `${path.join(folder, 'go')}:${DEBIAN}`, GOFLAGS: '' };
  const go = (...options) => output('go', options, { env: environment, cwd: root, seconds: 240 });
  await output(path.join(PACKAGE, 'build.sh'), [root]);
  cpSync(PROGRAM, path.join(root, 'contract'), { recursive: true });
  await go('build', '-o', `${folder}/`, './examples/buy_token', './contract');
  return {
    root, go,
    program: [path.join(folder, 'contract')],
    examples: { buy_token: [path.join(folder, 'buy_token')] },
  };
}

describeClient('Go', install, ({ program, installed }) => {
  it('names in go.mod what it imports', async () => {
    const { Module, Require } = JSON.parse(await output('go', ['mod', 'edit', '-json', path.join(installed.root, 'go.mod')]));
    assert.equal(Module.Path, MODULE);
    const imports = (await installed.go('list', '-f', '{{join .Imports "\\n"}}', './...')).trim().split('\n')
      .filter((name) => name.split('/')[0].includes('.'));
    assert.ok(imports.length > 0);
    const required = Require.map(({ Path }) => `${Path}/`);
    assert.deepEqual(imports.filter((name) => !required.some((prefix) => `${name}/`.startsWith(prefix))), []);
  });

  it('is formatted and vetted', async () => {
    assert.equal(await output('gofmt', ['-l', PACKAGE, PROGRAM]), '');
    await installed.go('vet', './...');
  });

  it('ends calls with their context and with the client', async () => {
    assert.deepEqual(await program('abandoned'), { cancelled: 'CANCELLED', late: 'DEADLINE_EXCEEDED', closed: 'CANCELLED',
      after: 'assertiond: the stream is closed' });
  });

  it('refuses a request that cannot be encoded, and others of its stream go on', async () => {
    const { failures, jti } = await program('wrong');
    assert.deepEqual(failures.map((failure) => failure.replace(/^(assertiond: the request cannot be encoded: ).*(nil|UTF-8).*$/s, '$1$2')),
      ['nil', 'nil', 'UTF-8', 'UTF-8'].map((what) => `assertiond: the request cannot be encoded: ${what}`));
    assert.match(jti, /^[0-9a-f-]{36}$/);
  });

  it('refuses TLS without a client certificate', async () => {
    assert.match((await program('misuse')).anonymous, /no client certificate/);
  });
});
