// What a mistyped command line is told: the word as typed, and the nearest one that would do.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { run } from './process.mjs';

const DAEMON = path.join(process.env.E2E_BIN_DIR, 'assertiond');
const LONG_ID = '7f3c2a10-5b6e-4d0a-9c1f-2e8d4b6a9f01';

describe('a mistyped command line', () => {
  let deployment;
  let kid;

  before(async () => {
    deployment = await Deployment.start(['orders', LONG_ID].map((client_id) => ({ client_id, audiences: ['https://idp.example/token'] })));
    ({ kid } = await deployment.generateKey('orders'));
  });

  after(() => deployment?.close());

  // Each: words, exit status, the first line on standard error.
  async function areTold(...cases) {
    for (const [words, status, told] of cases) {
      const result = await deployment.tryCtl(...words);
      assert.deepEqual([result.status, result.stdout], [status, ''], words.join(' '));
      assert.equal(result.stderr.split('\n').find((line) => !line.includes('is not in memory') && !line.startsWith('  next:')), `assertionctl: ${told}`);
    }
  }

  it('an unknown command: the nearest one, or each that has the word beneath its noun', () => areTold(
    [['kye', 'list'], 2, 'unknown command "kye" for "assertionctl"; did you mean "key"?'],
    [['rotate', '--client-id', 'orders'], 2, 'unknown command "rotate" for "assertionctl"; did you mean "assertionctl key rotate"?'],
    [['generate'], 2, 'unknown command "generate" for "assertionctl"; did you mean "assertionctl key generate" or "assertionctl tls generate"?'],
    [['key', 'evidence', 'verfy', 'x'], 2, 'unknown command "verfy" for "assertionctl key evidence"; did you mean "verify"?'],
    [['completion', 'bsh'], 2, 'unknown command "bsh" for "assertionctl completion"; did you mean "bash"?'],
    [['key'], 2, '"assertionctl key" needs a command'],
    [['key', 'rotat', '--help'], 2, 'unknown command "rotat" for "assertionctl key"; did you mean "rotate"?'],
    [['access-token', '-h'], 2, 'unknown command "access-token" for "assertionctl"'],
  ));

  it('an unknown option, a missing one and a word too many', async () => {
    await areTold(
      [['key', 'list', '--clint-id', 'orders'], 2, 'unknown option "--clint-id" for "assertionctl key list"; did you mean "--client-id"?'],
      [['key', 'list', '-x'], 2, 'unknown option "-x" for "assertionctl key list"'],
      [['key', 'list', 'orders'], 2, 'unexpected argument "orders" for "assertionctl key list"'],
      [['key', 'generate'], 2, '--client-id is required'],
      [['key', 'list', '--client-id'], 2, '--client-id needs a value'],
      [['key', 'schedule', '--client-id', 'orders', '--kid=', '--sign-from', 'now'], 2, '--kid= has no value: a variable may be empty'],
      // Each would leave out what the option asks for.
      ...[['key', 'generate', '--client-id', 'orders', '--common-name', ''], ['tls', 'generate', '--config', '/none', '--common-name', ''],
        ['assertion', 'inspect', '/dev/null', '--certificate', ''], ['assertion', 'inspect', '/dev/null', '--jwks', ''],
        ['audit', 'verify', '/none', '--key', '/none', '--head', ''], ['audit', 'show', '/none', '--jti', ''],
        ['key', 'adopt', '--client-id', 'orders', '--cka-id', '00', '--kid', ''], ['key', 'evidence', 'verify', '/none', '--kid', '']]
        .map((words) => [words, 2, `an empty word follows ${words.at(-2)}: a variable may be empty`]),
      [['audit', 'verify'], 2, 'FILE... is required'],
      [['assertion', 'refresh', '--client-id', 'orders', '--out', '/x', 'true'], 2, 'write -- before the command to run: -- true'],
      [['assertion', 'refresh', '--client-id', 'orders', '--out', '/x', 'sh', '-c', 'true'], 2,
        'unknown option "-c" for "assertionctl assertion refresh"; write -- before the command to run: -- sh'],
      [['--server', 'localhost:8443', 'key', 'list'], 2, '--server: must be unix:/PATH, and so must $ASSERTIOND_SERVER, not '
        + '"localhost:8443": assertionctl speaks to the server\'s Unix socket only, on its machine'],
      [['tls', 'generate', '--config', '/none', '--san', 'signer.example'], 2,
        '--san: "signer.example" lacks its kind; did you mean "DNS:signer.example"?'],
      [['tls', 'csr', '--config', '/none', '--san', '192.0.2.7'], 2,
        '--san: "192.0.2.7" lacks its kind; did you mean "IP:192.0.2.7"?'],
      [['tls', 'csr', '--config', '/none'], 2, '--subject or --san is required'],
      [['profile', 'show'], 2, 'NAME is required'],
      [['help', 'key', 'rotat'], 2, 'unknown command "rotat" for "assertionctl key"; did you mean "rotate"?'],
      [['profile', 'show', 'entra'], 2, 'there is no profile "entra"; did you mean "entra-id"?'],
      [['assertion', 'inspect', '/dev/null'], 1, '/dev/null is empty'],
    );
    assert.match((await deployment.tryCtl('key', 'generate')).stderr, /^ {2}next: assertionctl key generate --help$/m);
  });

  it('a value that is none of a few', () => areTold(
    [['certificate', 'get', '--client-id', 'orders', '--format', 'pme'], 2, '--format: "pme" is none of: pem, der; did you mean "pem"?'],
    [['key', 'list', '--output', 'ymal'], 2, '--output: "ymal" is none of: json, yaml, table; did you mean "yaml"?'],
    [['key', 'generate', '--client-id', 'orders', '--bits', '2047'], 2, '--bits: "2047" is none of: 2048, 3072, 4096; did you mean "2048"?'],
    [['key', 'rotate', '--client-id', 'orders', '--publish', 'wos2'], 2, '--publish: "wos2" is none of: wso2; did you mean "wso2"?'],
  ));

  it('a client id, a kid and an HSM, whichever verb asks', async () => {
    const client = 'client_id: no client "ordes" is configured; did you mean "orders"?';
    const cut = `${kid.slice(0, -2)}${kid.at(-1) === 'A' ? 'BB' : 'AA'}`;
    const key = `kid: client 'orders' has no such key; did you mean "${kid}"?`;
    const named = ['--client-id', 'ordes'];
    await areTold(
      [['assertion', 'create', ...named], 1, client],
      [['assertion', 'create', ...named, '--count', '2'], 1, `2 of 2 were refused, the first: ${client}`],
      [['assertion', 'refresh', ...named, '--out', path.join(deployment.folder, 'kept')], 1, client],
      [['key', 'csr', ...named], 1, client],
      [['key', 'evidence', ...named], 1, client],
      [['key', 'rotate', ...named], 1, client],
      [['key', 'csr', '--client-id', 'orders', `--kid=${cut}`], 1, key],
      [['key', 'evidence', '--client-id', 'orders', `--kid=${cut}`], 1, key],
      [['jwks', 'get', '--client-id', `${LONG_ID.slice(0, -2)}10`], 1, `client_id: no client "${LONG_ID.slice(0, -2)}10" is configured; did you mean "${LONG_ID}"?`],
      [['key', 'generate', '--client-id', 'orders', '--hsm', 'end-to-nd'], 1, 'hsm: no HSM named "end-to-nd" (available: end-to-end)'],
    );
  });

  it('of assertiond: options, values and fields of its configuration', async () => {
    const told = async (...words) => {
      const { status, stderr } = await run(DAEMON, words, { env: deployment.environment });
      return [status, stderr.split('\n')[0]];
    };
    assert.deepEqual(await told('--chek-config', 'x'), [2, 'assertiond: unknown option "--chek-config"; did you mean "--check-config"?']);
    assert.deepEqual(await told('--config'), [2, 'assertiond: --config needs a value: FILE']);
    assert.deepEqual(await told('--log-format'), [2, 'assertiond: --log-format needs a value: FORMAT']);
    assert.deepEqual(await told('serve'), [2, 'assertiond: unexpected argument "serve"']);
    assert.deepEqual(await told('--log-format', 'jsn', '--check-config', 'x'),
      [2, 'assertiond: --log-format: "jsn" is none of: text, json; did you mean "json"?']);
    const file = path.join(deployment.folder, 'mistyped.json');
    for (const [from, to, message] of [
      ['"audiences"', '"algorithm": "ES265", "audiences"', /clients\[0\]\.algorithm: must be one of: .*; did you mean "ES256"\?/],
      ['"audiences"', '"binding": "jkws", "audiences"', /clients\[0\]\.binding: must be "certificate" or "jwks"; did you mean "jwks"\?/],
      ['"audiences"', '"audienes"', /clients\[0\]\.audienes: is not a known field; did you mean "audiences"\?/],
    ]) {
      writeFileSync(file, readFileSync(deployment.configuration, 'utf8').replace(from, to));
      const { status, stderr } = await run(DAEMON, ['--check-config', file], { env: deployment.environment });
      assert.equal(status, 3, stderr);
      assert.match(stderr, message);
    }
  });

  it('--help of a verb and of a noun has the exit statuses that they can end with', async () => {
    assert.match(await deployment.ctl('token', 'request', '--help'), /^Exit status:\n {2}0 {2}done\n(?: {2}[1-4] {2}.*\n)+ {2}5 {2}the identity server refused/m);
    assert.doesNotMatch(await deployment.ctl('key', 'list', '--help'), /identity server/);
    assert.match(await deployment.ctl('audit', '--help'), /\n {2}1 {2}refused, or something is wrong\n {2}2 {2}.*\n {2}3 {2}/);
    assert.doesNotMatch(await deployment.ctl('jwks', '--help'), /^ {2}5 /m);
  });

  it('help in front of a command is its --help', async () => {
    for (const words of [[], ['key'], ['key', 'rotate'], ['status'], ['key', 'evidence', 'verify']]) {
      assert.equal(await deployment.ctl('help', ...words), await deployment.ctl(...words, '--help'), words.join(' '));
    }
  });

  it('--help and --version say when standard output cannot be written', async () => {
    for (const words of [['--help'], ['--version'], ['key', 'rotate', '--help'], ['help']]) {
      const { status, stderr } = await run('sh', ['-c', 'exec "$@" >/dev/full', 'sh',
        path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ...words], { env: deployment.environment });
      assert.deepEqual([status, stderr.split('\n')[0]],
        [3, 'assertionctl: cannot write standard output: No space left on device'], words.join(' '));
    }
    for (const option of ['--help', '--version']) {
      assert.equal((await run('sh', ['-c', 'exec "$@" >/dev/full', 'sh', DAEMON, option])).status, 2, option);
    }
  });

  it('--help of each change that may wait for a second person says so', async () => {
    for (const verb of ['generate', 'adopt', 'import-certificate', 'rotate', 'schedule', 'revoke', 'destroy', 'accept-ledger']) {
      assert.match(await deployment.ctl('key', verb, '--help'),
        /^ {2}0 {2}done; or it waits for a second person: .* --json prints \{"pending": \{"id": …\}\}$/m, verb);
    }
    assert.match(await deployment.ctl('key', 'import', '--help'), /^ {2}3 {2}the key or its passphrase cannot be read/m);
  });

  it('--help tells what an option takes without the names of CLI11\'s types and checks', async () => {
    assert.match(await deployment.ctl('key', 'rotate', '--help'), /--validity-days N \(1 to 3650\).*\n? +Validity/);
    assert.match(await deployment.ctl('key', 'list', '--help'), /--output json\|yaml\|table \(not with --json\)/);
    assert.match(await deployment.ctl('key', 'list', '--help'), /--server unix:\/PATH/);
    assert.match(await deployment.ctl('request-object', 'create', '--help'), /How long the request object is valid/);
    assert.match(await deployment.ctl('assertion', 'create', '--help'), /How long the assertion is valid/);
    assert.match(await deployment.ctl('tls', 'import-certificate', '--help'), /leaf first; -: standard input/);
    for (const words of [['key', 'rotate'], ['key', 'import'], ['assertion', 'create'], ['assertion', 'refresh'], ['audit', 'verify'],
      ['dpop', 'create'], ['oidc', 'login'], ['console'], ['status'], ['tls', 'generate'], ['profile', 'show'], ['token', 'get'], ['token', 'request']]) {
      assert.doesNotMatch(await deployment.ctl(...words, '--help'), /\bU?INT\b|\bTEXT\b|NONNEGATIVE|:FILE|:\{| in \[|REQUIRED|Excludes|Needs:/, words.join(' '));
    }
  });
});
