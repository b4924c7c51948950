// key adopt: a key pair that other means made on the token becomes a client's key, once it is shown to be fit.
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { asRoot, output, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const OTHER = 60002;
const NOGROUP = 65534;
const HERE = path.dirname(fileURLToPath(import.meta.url));

describe('key adopt', () => {
  let deployment;
  let module;
  let last = 0x0a00;

  before(async () => {
    deployment = await Deployment.start(['orders', 'billing', 'ceremony'].map((client) => (
      { client_id: client, audiences: [AUDIENCE] })), {
      listen_group: 'nogroup',
      operators: [{ caller: `uid:${process.getuid()}`, roles: ['viewer', 'operator', 'approver'] },
        { caller: `uid:${OTHER}`, roles: ['approver'] }],
    });
    [, module] = /module-path=([^&"]*)/.exec(readFileSync(deployment.configuration, 'utf8'));
    for (const folder of [deployment.folder, path.dirname(deployment.folder)]) chmodSync(folder, 0o711);
  });

  after(() => deployment?.close());

  const nextId = () => (last += 1).toString(16).padStart(4, '0');

  // Makes a key pair as a key ceremony does. Returns its CKA_ID.
  async function makeKey({ label = 'vendor', kind = 'rsa', id = nextId(), attributes = [] } = {}) {
    await output('/usr/bin/python3', [path.join(HERE, 'ceremony.py'), module, 'end-to-end', label, id, kind,
      ...attributes], { env: { ...deployment.environment, E2E_PIN: deployment.pin, PYTHONDONTWRITEBYTECODE: '1' } });
    return id;
  }

  const tryAdopt = (client, id, ...options) => deployment.tryCtl('key', 'adopt', '--client-id', client, '--cka-id', id,
    ...options);
  const examine = async (client, id, ...options) => JSON.parse(
    (await tryAdopt(client, id, '--json', ...options)).stdout);
  const adopt = async (client, id, ...options) => {
    const { kid } = await examine(client, id, ...options.filter((option) => option.startsWith('--algorithm')));
    return JSON.parse(await deployment.ctl('key', 'adopt', '--client-id', client, '--cka-id', id, `--kid=${kid}`,
      '--json', ...options));
  };
  const remove = async (client, { kid }) => {
    await deployment.ctl('key', 'revoke', '--client-id', client, `--kid=${kid}`, '--force', client);
    await deployment.ctl('key', 'destroy', '--client-id', client, `--kid=${kid}`);
  };
  const labelsOf = async (id) => [...(await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects']))
    .matchAll(/label: +(.*)\n(?: +[^I\n].*\n)* +ID: +(\S+)/g)].filter(([, , found]) => found === id).map(([, label]) => label);
  const restart = async () => {
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    await deployment.startDaemon();
  };

  const configure = async (change) => {
    writeFileSync(deployment.configuration, JSON.stringify(change(JSON.parse(
      readFileSync(deployment.configuration, 'utf8')))));
    await restart();
  };

  // With a library that shares no code with assertiond. Returns the kid of the assertion.
  async function verify(client) {
    const { protectedHeader } = await jwtVerify(await deployment.createAssertion(client),
      createLocalJWKSet(await deployment.jwks(client)), { audience: AUDIENCE, issuer: client });
    return protectedHeader.kid;
  }

  it('shows the key first, and changes nothing', async () => {
    const id = await makeKey();
    const { status, stdout } = await tryAdopt('orders', id);
    assert.equal(status, 0, stdout);
    assert.match(stdout, new RegExp(`^CKA_ID +${id}\nCKA_LABEL +vendor\n`));
    assert.match(stdout, /^ {2}CKA_SENSITIVE: true, must be true/m);
    assert.match(stdout, /^client orders can adopt the key/m);
    const { kid } = await examine('orders', id);
    assert.ok(stdout.endsWith(`  next: assertionctl key adopt --client-id orders --cka-id ${id} --kid=${kid}\n`));
    assert.equal(await deployment.key('orders'), undefined);
    assert.deepEqual(await labelsOf(id), ['vendor', 'vendor']);
  });

  it('says where the CKA_IDs are when the token has no such key', async () => {
    const { status, stdout, stderr } = await tryAdopt('orders', nextId());
    assert.deepEqual([status, stdout], [1, '']);
    assert.match(stderr, /: cka_id: the token holds no private key with CKA_ID [0-9a-f]{4}\n {2}next: pkcs11-tool .*assertionctl doctor --config FILE/);
  });

  it('takes it over: it signs, evidence and key show say adopted, it outlives a restart', async () => {
    const id = await makeKey();
    const key = await adopt('orders', id);
    assert.equal(key.origin, 'adopted');
    assert.equal(key.state, 'signing', 'a first key signs at once');
    assert.equal(key.cka_id, id);
    assert.deepEqual(await labelsOf(id), Array(3).fill('orders'), 'both halves and the certificate');
    for (let turn = 0; turn < 2; ++turn) {
      assert.equal(await verify('orders'), key.kid);
      const report = path.join(deployment.folder, 'evidence');
      await deployment.ctl('key', 'evidence', '--client-id', 'orders', '--out', report);
      assert.match(await deployment.ctl('key', 'evidence', 'verify', report), /origin: adopted, born outside/);
      assert.match(await deployment.ctl('key', 'show', '--client-id', 'orders'), /^origin +adopted, born outside/m);
      await restart();
    }
    const lines = deployment.auditLines();
    assert.ok(lines.some(({ event, kid, client_id: client }) => event === 'AdoptKey' && kid === key.kid
      && client === 'orders'));
    assert.match((await tryAdopt('billing', id)).stdout, /it is in the ledger of client 'orders'/);
    assert.match((await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose')).stdout,
      /^ok +client orders: key \S+ \(RS256\) signed/m);
    // Its successor is generated, and the adopted key goes for good.
    const next = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--sign-from', 'now', '--force', 'orders', '--json'));
    assert.equal(await verify('orders'), next.key.kid);
    await remove('orders', key);
    assert.deepEqual(await labelsOf(id), []);
    await remove('orders', next.key);
  });

  it('refuses an unfit key and names each attribute', async () => {
    for (const [attributes, reasons] of [
      [['EXTRACTABLE=1'], [/CKA_EXTRACTABLE is true, and must be false/, /CKA_NEVER_EXTRACTABLE is false/]],
      [['SENSITIVE=0'], [/CKA_SENSITIVE is false, and must be true/, /CKA_ALWAYS_SENSITIVE is false/]],
      [['DECRYPT=1'], [/CKA_DECRYPT is true, and must be false/]],
      [['UNWRAP=1'], [/CKA_UNWRAP is true, and must be false/]],
    ]) {
      const id = await makeKey({ attributes });
      const { status, stdout } = await tryAdopt('orders', id);
      assert.equal(status, 1);
      assert.match(stdout, /^client orders cannot adopt the key$/m);
      assert.match(stdout, /^kid +unknown/m, 'it signs nothing');
      const refused = await tryAdopt('orders', id, '--kid', 'any');
      assert.equal(refused.status, 1);
      for (const reason of reasons) {
        assert.match(stdout, reason);
        assert.match(refused.stderr, reason);
      }
    }
    assert.equal(await deployment.key('orders'), undefined);
  });

  it('refuses another kid, an unknown CKA_ID, an own key of the service, another client\'s label, another algorithm', async () => {
    const id = await makeKey();
    const refused = await tryAdopt('orders', id, '--kid', 'another');
    assert.match(refused.stderr, /has the kid \S+: examine it again/);
    assert.match((await tryAdopt('orders', 'ffff')).stderr, /holds no private key with CKA_ID ffff/);
    assert.equal((await tryAdopt('orders', 'xyz')).status, 2);
    const objects = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'privkey']);
    for (const own of ['assertiond-audit', 'assertiond-ledger']) {
      const [, ownId] = new RegExp(`label: +${own}\\s+ID: +(\\S+)`).exec(objects);
      assert.match((await tryAdopt('orders', ownId)).stdout, /one of assertiond's own keys/);
    }
    const labelled = await makeKey({ label: 'billing' });
    assert.match((await tryAdopt('orders', labelled)).stdout, /its CKA_LABEL is the id of client 'billing'/);
    assert.match((await tryAdopt('orders', id, '--algorithm', 'ES256')).stdout, /a key for RS256, .*, not for ES256/);
    const { stdout } = await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose');
    assert.match(stdout, new RegExp(`^wrong {2}client billing: key pair with CKA_ID ${labelled} is in no ledger: .*`
      + `assertionctl key adopt --client-id billing --cka-id ${labelled} shows .*--remove-orphans`, 'm'));
  });

  it('finds a key whose label cannot be changed by its CKA_ID, and no orphan removal takes it', async () => {
    const id = await makeKey({ kind: 'ec', attributes: ['MODIFIABLE=0'] });
    const key = await adopt('billing', id, '--algorithm=ES256');
    assert.deepEqual((await labelsOf(id)).sort(), ['billing', 'vendor', 'vendor'], 'only the certificate is ours');
    // A client that has the label later: the key stays the other's.
    await configure(({ clients, ...rest }) => (
      { ...rest, clients: [...clients, { ...clients[0], client_id: 'vendor' }] }));
    assert.equal(await verify('billing'), key.kid);
    await deployment.tryCtl('doctor', '--config', deployment.configuration, '--remove-orphans', '--client-id', 'vendor',
      '--force', 'vendor');
    await restart();
    assert.equal(await verify('billing'), key.kid);
    await configure(({ clients, ...rest }) => (
      { ...rest, clients: clients.filter(({ client_id: client }) => client !== 'vendor') }));
    await remove('billing', key);
    assert.deepEqual(await labelsOf(id), []);
  });

  it('takes a certificate of the key, and no other', async () => {
    const id = await makeKey({ label: 'ceremony', attributes: ['DESTROYABLE=0'] });
    const first = await adopt('ceremony', id);
    const csr = await deployment.ctl('key', 'csr', '--client-id', 'ceremony', `--kid=${first.kid}`);
    const file = path.join(deployment.folder, 'ceremony.pem');
    writeFileSync(file, await (await CertificateAuthority.found('ceremony')).issue(csr));
    const other = await makeKey();
    const { kid } = await examine('orders', other);
    const refused = await tryAdopt('orders', other, `--kid=${kid}`, '--certificate', file);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /certificate/);
    assert.equal(await deployment.key('orders'), undefined);
    assert.deepEqual(await labelsOf(other), ['vendor', 'vendor'], 'a refused key stays as it was');
    // The token keeps a key that nobody can destroy: it can come back, with its certificate.
    await remove('ceremony', first);
    const again = await adopt('ceremony', id, '--certificate', file);
    assert.equal(again.kid, first.kid);
    assert.equal(again['x5t#S256'], createHash('sha256').update(new X509Certificate(readFileSync(file)).raw)
      .digest('base64url'));
    await deployment.ctl('key', 'revoke', '--client-id', 'ceremony', `--kid=${again.kid}`, '--force', 'ceremony');
  });

  it('is as staged as any later key', async () => {
    const { kid } = await deployment.generateKey('ceremony');
    const key = await adopt('ceremony', await makeKey());
    assert.equal(key.state, 'staged');
    assert.equal(await verify('ceremony'), kid);
    await deployment.ctl('key', 'schedule', '--client-id', 'ceremony', `--kid=${key.kid}`, '--sign-from', 'now');
    assert.equal(await verify('ceremony'), key.kid);
    assert.ok(new X509Certificate(await deployment.ctl('certificate', 'get', '--client-id', 'ceremony')));
  });

  it('takes nothing that needs no PIN to make', async () => {
    const forge = (...options) => output('/usr/bin/python3', [path.join(HERE, 'attacker.py'), module, 'end-to-end',
      ...options], { env: { ...deployment.environment, PYTHONDONTWRITEBYTECODE: '1' } });
    const id = nextId();
    await forge('pair', 'vendor', id);
    assert.match((await tryAdopt('orders', id)).stderr, /is not CKA_PRIVATE: anybody/);
    // A public key beside a real one is not its half.
    const real = await makeKey({ kind: 'ec' });
    const { kid } = await examine('billing', real, '--algorithm', 'ES256');
    await forge('ecpublickey', 'vendor', real);
    assert.equal((await examine('billing', real, '--algorithm', 'ES256')).kid, kid);
  });

  it('takes a key of pkcs11-tool, which also decrypts, only when the operator accepts that by name', async () => {
    const id = nextId();
    await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--keypairgen', '--key-type', 'rsa:2048',
      '--usage-sign', '--sensitive', '--label', 'vendor', '--id', id]);
    const { obstacles } = await examine('orders', id);
    assert.deepEqual(obstacles.map((obstacle) => obstacle.split(' ')[0]), ['CKA_DECRYPT', 'CKA_UNWRAP', 'CKA_SIGN_RECOVER']);
    assert.ok(obstacles.every((obstacle) => obstacle.endsWith('; accept_unshown of the field hsm can accept it')));
    await configure(({ hsm, ...rest }) => (
      { ...rest, hsm: { uri: hsm, accept_unshown: ['CKA_DECRYPT', 'CKA_UNWRAP', 'CKA_SIGN_RECOVER'] } }));
    const key = await adopt('orders', id);
    assert.equal(await verify('orders'), key.kid);
  });

  it('waits for a second person where the rule says so, who sees CKA_ID and kid', async () => {
    await configure((rest) => ({ ...rest, two_person_rule: { methods: 'all' } }));
    const id = await makeKey();
    const { kid } = await examine('billing', id);
    const unfit = await makeKey({ attributes: ['EXTRACTABLE=1'] });
    assert.match((await tryAdopt('billing', unfit, `--kid=${kid}`)).stderr, /CKA_EXTRACTABLE/, 'nobody is asked');
    const { pending } = JSON.parse(await deployment.ctl('key', 'adopt', '--client-id', 'billing', '--cka-id', id,
      `--kid=${kid}`, '--json'));
    assert.equal(pending.method, 'AdoptKey');
    assert.equal(pending.kid, kid);
    assert.match(pending.summary, new RegExp(`CKA_ID ${id}, made by other means`));
    assert.equal(await deployment.key('billing'), undefined);
    const approve = [path.join(process.env.E2E_BIN_DIR, 'assertionctl'), '--server', `unix:${deployment.socket}`, 'key',
      'approve', pending.id, `--digest=${pending.digest}`];
    assert.equal((await run(approve[0], approve.slice(1))).status, 1, 'not by the one who asked');
    await asRoot('setpriv', [`--reuid=${OTHER}`, `--regid=${NOGROUP}`, '--clear-groups', ...approve]);
    assert.equal(await verify('billing'), kid);
  });
});
