// key import: a private key that another party made goes into the token, and stays nowhere else.
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { jwtVerify } from 'jose';
import { Deployment } from './deployment.mjs';
import { asRoot, output, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';

describe('key import', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start([
      { client_id: 'github', audiences: [AUDIENCE], imported_keys: true },
      { client_id: 'apple', audiences: [AUDIENCE], imported_keys: true, algorithm: 'ES256' },
      { client_id: 'orders', audiences: [AUDIENCE] },
      { client_id: 'store', audiences: ['https://appleid.apple.com'], imported_keys: true, algorithm: 'ES256', profile: 'apple',
        issuer: 'A1B2C3D4E5', kids: {} },
    ]);
  });

  after(() => deployment?.close());

  const openssl = (...options) => output('openssl', options);
  const rsaKey = () => openssl('genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048');
  const p256Key = (...options) => openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', ...options);
  const command = (client, ...options) => [path.join(process.env.E2E_BIN_DIR, 'assertionctl'), '--server',
    `unix:${deployment.socket}`, 'key', 'import', '--client-id', client, ...options];
  const tryImport = (client, input, ...options) => {
    const [program, ...words] = command(client, ...options);
    return run(program, words, { env: deployment.environment, input });
  };
  const importKey = async (client, input, ...options) => {
    const { status, stdout, stderr } = await tryImport(client, input, '--json', ...options);
    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
  };
  const refuses = async (status, words, client, input, ...options) => {
    const refused = await tryImport(client, input, ...options);
    assert.equal(refused.status, status, refused.stderr);
    assert.match(refused.stderr, words);
  };
  const audited = () => deployment.auditLines();
  const restart = async () => {
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    await deployment.startDaemon();
  };
  const remove = async (client, { kid }) => {
    await deployment.ctl('key', 'revoke', '--client-id', client, `--kid=${kid}`, '--force', client);
    await deployment.ctl('key', 'destroy', '--client-id', client, `--kid=${kid}`);
  };

  it('says of a key that it waits for the kid that the other party gave it', async () => {
    const { status, stdout, stderr } = await tryImport('store', await p256Key());
    assert.equal(status, 0, stderr);
    assert.match(stdout, /signing, cannot sign: waits for a kid in clients\[\]\.kids/);
    const key = await deployment.key('store');
    assert.equal(key.waits_for, 'a kid in clients[].kids');
    assert.match(await deployment.ctl('key', 'show', '--client-id', 'store'),
      /^state +signing, cannot sign: waits for a kid in clients\[\]\.kids$/m);
    assert.match(await deployment.ctl('key', 'list'), /waits for a kid/);
    const diagnosis = await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose');
    assert.match(diagnosis.stdout, /^wrong +client store: key \S+ makes no assertion yet: it waits for a kid in clients\[\]\.kids/m);
    const refusedYet = await deployment.tryCtl('assertion', 'create', '--client-id', 'store');
    assert.match(refusedYet.stderr, /no kid of the other party.*\n {2}next: add the other party's kid to clients\[\]\.kids/);
    await remove('store', key);
  });

  it('takes the key of another party, says everywhere that it was born outside, and lets it go', async () => {
    const pem = await rsaKey();
    const theirs = createPublicKey(pem);
    const verify = async () => (await jwtVerify(await deployment.createAssertion('github'), theirs,
      { audience: AUDIENCE, issuer: 'github' })).protectedHeader.kid;
    const key = await importKey('github', pem);
    assert.equal(key.origin, 'imported');
    assert.equal(key.state, 'signing', 'a first key signs at once');
    const diagnosis = await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose');
    assert.match(diagnosis.stdout, /client github: key \S+: CKA_LOCAL false: does not count, the key was imported/);
    assert.doesNotMatch(diagnosis.stdout, /wrong +client github: key \S+: CKA_/);
    for (let turn = 0; turn < 2; ++turn) {
      assert.equal(await verify(), key.kid);
      const report = path.join(deployment.folder, 'evidence');
      await deployment.ctl('key', 'evidence', '--client-id', 'github', '--out', report);
      assert.match(await deployment.ctl('key', 'evidence', 'verify', report), /origin: imported, born outside/);
      assert.match(await deployment.ctl('key', 'show', '--client-id', 'github'), /^origin +imported, born outside/m);
      assert.equal((await deployment.key('github')).origin, 'imported');
      await restart();
    }
    const attributes = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'privkey',
      '--id', key.cka_id]);
    assert.match(attributes, /Access: +sensitive$/m, 'neither extractable nor ever so');
    const next = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'github', '--sign-from', 'now', '--force', 'github', '--json'));
    assert.equal(next.key.origin, 'generated');
    await assert.rejects(verify, /signature verification failed/);
    await remove('github', key);
    await refuses(1, /imported_keys is not true there/, 'orders', await rsaKey());
    const lines = audited();
    for (const event of ['ImportKey', 'CreateAssertion', 'CreateEvidence', 'RevokeKey', 'DestroyKey']) {
      assert.equal(lines.find((line) => line.event === event && line.kid === key.kid).origin, 'imported, born outside', event);
    }
    assert.ok(!lines.some(({ kid, origin }) => kid === next.key.kid && origin), 'of no other key');
  });

  it('takes it from a pipe of openssl, in every form', async () => {
    const importer = command('apple', '--json').map((word) => `'${word}'`).join(' ');
    const pub = path.join(deployment.folder, 'their.pub');
    const key = JSON.parse(await output('bash', ['-c', 'set -o pipefail; openssl genpkey -algorithm EC -pkeyopt '
      + `ec_paramgen_curve:P-256 | tee >(openssl pkey -pubout -out '${pub}') | ${importer}`], { env: deployment.environment }));
    await jwtVerify(await deployment.createAssertion('apple'), createPublicKey(readFileSync(pub)), { issuer: 'apple' });
    await remove('apple', key);
    const sec1 = createPrivateKey(await p256Key()).export({ format: 'pem', type: 'sec1' });
    assert.equal((await importKey('apple', sec1)).state, 'signing');
    const encrypted = await p256Key('-aes256', '-pass', 'pass:open sesame');
    const unlock = (word) => output('bash', ['-c', `${importer} --key-fd 3 --passphrase-fd 4 3< <(printf %s "$1") `
      + '4< <(echo "$2")', '-', encrypted, word], { env: deployment.environment });
    await assert.rejects(unlock('wrong'), /ended with 3: .*passphrase is wrong/s);
    assert.equal(JSON.parse(await unlock('open sesame')).state, 'staged');
    const detached = await run('setsid', ['--wait', 'bash', '-c', `${importer} < <(printf %s "$1")`, '-', encrypted],
      { env: deployment.environment });
    assert.deepEqual([detached.status, detached.stderr.split('\n').slice(0, 2)], [3,
      ['assertionctl: the key is encrypted and there is no terminal to ask for its passphrase',
        '  next: give --passphrase-fd, for example --passphrase-fd 3 3< <(fetch-the-passphrase)']]);
  });

  it('refuses a file, an argument, nonsense, too much, and a key that does not fit', async () => {
    const pem = await p256Key();
    const file = path.join(deployment.folder, 'public.pem');
    writeFileSync(file, createPublicKey(pem).export({ format: 'pem', type: 'spki' }));
    const [program, ...words] = command('apple');
    const fromFile = await run('sh', ['-c', 'exec "$@" < "$0"', file, program, ...words], { env: deployment.environment });
    assert.equal(fromFile.status, 3);
    assert.match(fromFile.stderr, /is read from a pipe alone, because a file would leave it on a disk/);
    await refuses(2, /unexpected argument "anything"/, 'apple', pem, 'anything');
    await refuses(3, /the private key: is empty/, 'apple', '');
    await refuses(3, /no private key in PEM/, 'apple', 'nonsense');
    await refuses(3, /is longer than 16384 octets/, 'apple', Buffer.alloc(10 << 20, 'x'));
    await refuses(3, /descriptor 9 is not open/, 'apple', pem, '--key-fd', '9');
    await refuses(1, /a key for ES256, not for RS256/, 'github', pem);
    await refuses(1, /a key of another kind/, 'apple', await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt',
      'ec_paramgen_curve:secp256k1'));
  });

  it('leaves nothing of the key in the memory of the service', async () => {
    const pem = await p256Key();
    const { d } = createPrivateKey(pem).export({ format: 'jwk' });
    const der = createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' });
    const { kid } = await importKey('apple', pem);
    const forms = [Buffer.from(d, 'base64url'), der.subarray(0, 48), der.subarray(30, 70)];
    const held = await asRoot('python3', ['memory_holds.py', String(deployment.daemon.pid)],
      { input: [...forms.map((form) => `hex:${form.toString('hex')}`), kid].join('\n') });
    assert.equal(held, `${kid}\n`, 'the search finds what is there, and the key is not');
  });

  it('does not wait for a second person: it is refused where the rule covers it', async () => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    writeFileSync(deployment.configuration, JSON.stringify({ ...configuration, two_person_rule: { methods: 'all' } }));
    await restart();
    await refuses(1, /two_person_rule.methods covers ImportKey, and a private key cannot wait/, 'apple', await p256Key());
    assert.deepEqual(JSON.parse(await deployment.ctl('key', 'pending', '--json')).changes ?? [], []);
  });
});
