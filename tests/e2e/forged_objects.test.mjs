// What an attacker without the PIN can place on the token, or remove from it: a read-write public session needs no login.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, copyFileSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deployment } from './deployment.mjs';
import { Deadline, run } from './process.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];
const CLIENTS = ['orders', 'billing', 'curve', 'revoked'];
const INTERVAL = '1s';

describe('objects that need no PIN', () => {
  let deployment;
  let script;

  before(async () => {
    deployment = await Deployment.start(CLIENTS.map((client) => ({ client_id: client, audiences: AUDIENCES })), {
      refresh_interval: INTERVAL, http_listen: '127.0.0.1:0',
    });
    for (const client of ['orders', 'billing', 'revoked']) await deployment.generateKey(client);
    await deployment.generateKey('curve', '--algorithm', 'ES256');
    script = path.join(deployment.folder, 'attacker.py');
    copyFileSync(fileURLToPath(new URL('attacker.py', import.meta.url)), script);
    chmodSync(script, 0o755);
  });

  after(() => deployment?.close());

  // As another user, who reaches the token's files: SoftHSM2 is a library, and its token a folder.
  async function attack(...options) {
    openToOthers(deployment.folder);
    const module = /module-path=([^&"]*)/.exec(readFileSync(deployment.configuration, 'utf8'))[1];
    return run('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', '/usr/bin/python3', script, module, 'end-to-end',
      ...options], { env: { ...deployment.environment, PYTHONDONTWRITEBYTECODE: '1' } });
  }
  async function forge(...options) {
    const { status, stderr } = await attack(...options);
    assert.equal(status, 0, stderr);
  }

  // The service then writes its files as before: root passes any mode.
  function openToOthers(folder) {
    for (let above = folder; above !== '/'; above = path.dirname(above)) {
      if ((statSync(above).mode & 0o001) === 0) chmodSync(above, statSync(above).mode | 0o001);
    }
    const open = (entry) => {
      const isFolder = statSync(entry).isDirectory();
      chmodSync(entry, isFolder ? 0o777 : 0o666);
      if (isFolder) readdirSync(entry).forEach((name) => open(path.join(entry, name)));
    };
    open(path.join(folder, 'tokens'));
    chmodSync(path.join(folder, 'softhsm2.conf'), 0o644);
  }

  const logged = (pattern, since = 0) => pattern.test(readFileSync(deployment.log, 'utf8').slice(since));
  const until = (what, condition) => new Deadline(30, `${what}; assertiond's log is ${deployment.log}`).until(condition);
  const metric = async (name) => {
    const text = await (await fetch(`${deployment.httpOrigin}/metrics`)).text();
    return Number(new RegExp(`^${name.replace(/[{}]/g, '\\$&')} (\\S+)$`, 'm').exec(text)?.[1]);
  };
  // A change that is made and seen takes a refresh, which looks at the whole token.
  const change = async (client) => {
    const { kid } = await deployment.generateKey(client);
    await deployment.ctl('key', 'revoke', '--client-id', client, `--kid=${kid}`);
    await deployment.ctl('key', 'destroy', '--client-id', client, `--kid=${kid}`);
  };
  async function restart() {
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    await deployment.startDaemon();
  }
  // Each client signs with the key that it had, before a restart and after it.
  async function nothingChanges(clients = ['orders', 'billing', 'curve']) {
    const kids = Object.fromEntries(await Promise.all(clients.map(async (client) => [client,
      (await deployment.key(client)).kid])));
    const sign = async () => {
      for (const client of clients) {
        const [header] = (await deployment.createAssertion(client)).split('.');
        assert.equal(JSON.parse(Buffer.from(header, 'base64url')).kid, kids[client]);
      }
    };
    await change('billing');
    await sign();
    await restart();
    await sign();
    await change('billing');
  }
  const doctor = async (...options) => (await deployment.tryCtl('doctor', '--config', deployment.configuration,
    ...options)).stdout;

  it('are all that such a session can make: nothing private', async () => {
    const { status, stderr } = await attack('private', 'orders', '77');
    assert.notEqual(status, 0);
    assert.match(stderr, /C_GenerateKeyPair: 0x101/, 'CKR_USER_NOT_LOGGED_IN');
    await forge('publickey', 'mallory', '66');
    const { stdout } = await attack('protect', 'publickey', '66');
    assert.match(stdout, /C_CopyObject: 0x/);
    assert.match(stdout, /C_SetAttributeValue: 0x/);
    await forge('destroy', 'publickey', '66');
  });

  it('a ledger of a later version does not make a revoked key sign again', async () => {
    const { kid, cka_id: id } = await deployment.key('revoked');
    await deployment.ctl('key', 'revoke', '--client-id', 'revoked', `--kid=${kid}`, '--force', 'revoked');
    const refused = await deployment.tryCtl('assertion', 'create', '--client-id', 'revoked');
    assert.equal(refused.status, 1);
    const always = 253402300799;
    await forge('data', 'assertiond ledger', 'revoked', JSON.stringify({
      client_id: 'revoked', version: 1000, keys: [{ kid, alg: 'RS256', cka_id: id, 'x5t#S256': [], publish_from: 0,
        sign_from: 0, sign_until: always, publish_until: always }], requests: [],
    }));
    await change('orders');
    assert.equal((await deployment.tryCtl('assertion', 'create', '--client-id', 'revoked')).status, 1);
    await nothingChanges();
    assert.equal((await deployment.tryCtl('assertion', 'create', '--client-id', 'revoked')).status, 1);
  });

  it('a ledger that cannot be read stops no change and no start', async () => {
    await forge('data', 'assertiond ledger', 'nobody', 'garbage');
    await forge('data', 'assertiond ledger', 'orders', '{');
    await nothingChanges();
  });

  it('a pending change is not listed and cannot be approved', async () => {
    await forge('data', 'assertiond pending', '00112233445566778899aabbccddeeff', JSON.stringify({
      method: '/assertion.v1.KeyAdminService/RevokeKey', client_id: 'orders', kid: 'x', request: '', digest: 'forged',
      requested_by: ['uid:4711'], expires_at: 4102444800,
    }));
    assert.doesNotMatch(await deployment.ctl('key', 'pending', '--json'), /forged/);
    const approved = await deployment.tryCtl('key', 'approve', '00112233445566778899aabbccddeeff', '--digest',
      'forged');
    assert.notEqual(approved.status, 0);
  });

  it('a claim holds up no change', async () => {
    await forge('data', 'assertiond claim', 'billing', JSON.stringify({ nonce: 'n', holder: 'mallory',
      until: 4102444800 }));
    await nothingChanges();
  });

  it('a public key under the CKA_ID of a key is not its half', async () => {
    for (const client of ['orders', 'billing']) {
      const { cka_id: id } = await deployment.key(client);
      await forge('publickey', client, id);
      await forge('publickey', 'mallory', id);
    }
    await forge('ecpublickey', 'curve', (await deployment.key('curve')).cka_id);
    await nothingChanges();
  });

  it('a certificate under the CKA_ID of a key is not its certificate', async () => {
    const pem = await deployment.ctl('certificate', 'get', '--client-id', 'billing');
    const { cka_id: id } = await deployment.key('orders');
    const mine = await deployment.ctl('certificate', 'get', '--client-id', 'orders');
    await forge('certificate', 'orders', id, new X509Certificate(pem).raw.toString('hex'));
    await forge('certificate', 'orders', id, '3000');
    await nothingChanges();
    assert.equal(await deployment.ctl('certificate', 'get', '--client-id', 'orders'), mine);
  });

  it('a key pair under the label and CKA_ID of a key does not sign, nor keeps that from signing', async () => {
    for (const client of ['orders', 'curve']) {
      await forge('pair', client, (await deployment.key(client)).cka_id);
    }
    await nothingChanges();
    const { kid } = await deployment.key('orders');
    await deployment.ctl('key', 'csr', '--client-id', 'orders', `--kid=${kid}`, '--subject', 'CN=orders');
  });

  it('a key pair under the label and CKA_ID of the audit key signs no checkpoint, and makes no other be generated',
    async () => {
      const list = async () => deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type',
        'privkey']);
      const audit = /label: +assertiond-audit\s+ID: +(\S+)/.exec(await list())[1];
      const own = JSON.parse(await deployment.ctl('audit', 'key'));
      await forge('pair', 'assertiond-audit', audit);
      await forge('publickey', 'assertiond-audit', audit);
      await forge('pair', 'assertiond-audit', '00');
      await nothingChanges();
      assert.deepEqual(JSON.parse(await deployment.ctl('audit', 'key')), own);
      assert.equal((await list()).match(/label: +assertiond-audit/g).length, 3, 'one of ours, two forged');
    });

  it('are named by doctor, in the log and in a metric, until an operator removes them', async () => {
    await until('strays', async () => await metric('assertiond_token_stray_objects{hsm="end-to-end"}') > 10);
    assert.ok(logged(/stray on the token: data object that is not CKA_PRIVATE, 'assertiond ledger', label 'revoked'/));
    const found = await doctor();
    for (const line of [
      /^wrong {2}client revoked: data object that is not CKA_PRIVATE, 'assertiond ledger'/m,
      /^wrong {2}token: data object that is not CKA_PRIVATE, 'assertiond pending'/m,
      /^wrong {2}client billing: data object that is not CKA_PRIVATE, 'assertiond claim'/m,
      /^wrong {2}client orders: public key with CKA_ID \S+ is not the public half/m,
      /^wrong {2}client curve: public key with CKA_ID \S+ is not the public half/m,
      /^wrong {2}client orders: certificate with CKA_ID \S+ is in no ledger/m,
      /^wrong {2}client orders: private key that is not CKA_PRIVATE, with CKA_ID/m,
      /^wrong {2}token: private key that is not CKA_PRIVATE, with CKA_ID 00 under 'assertiond-audit'/m,
    ]) assert.match(found, line);
    for (const client of CLIENTS) await doctor('--remove-orphans', '--client-id', client);
    assert.doesNotMatch(await doctor(), /not CKA_PRIVATE|public half/);
    await until('no strays', async () => await metric('assertiond_token_stray_objects{hsm="end-to-end"}') === 0);
    await nothingChanges();
  });

  it('gone, the certificate and the public key of an RSA key do not keep it from signing', async () => {
    const { cka_id: id } = await deployment.key('orders');
    await forge('destroy', 'certificate', id);
    await forge('destroy', 'publickey', id);
    await until('the log to name it', () => logged(/client orders: the token lacks a certificate of the key/));
    await deployment.ctl('certificate', 'get', '--client-id', 'orders');
    await nothingChanges();
    const { status, stderr } = await deployment.tryCtl('certificate', 'get', '--client-id', 'orders');
    assert.equal(status, 1);
    assert.match(stderr, /the token lacks a certificate of the key of client 'orders'/);
    assert.match(await doctor(), /^wrong {2}client orders: the token lacks a certificate/m);
  });

  it('gone, the public key of a key on a curve is found in its certificate', async () => {
    await forge('destroy', 'publickey', (await deployment.key('curve')).cka_id);
    await nothingChanges();
  });

  it('two private keys of one CKA_ID, which take the PIN, stop their client alone, and no start', async () => {
    const { cka_id: id } = await deployment.key('billing');
    const since = readFileSync(deployment.log, 'utf8').length;
    await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--keypairgen', '--key-type', 'rsa:2048', '--label',
      'mallory', '--id', id]);
    const named = () => logged(/client billing cannot sign: .*2 private keys with CKA_ID/, since);
    await until('the log to name it', named);
    for (let turn = 0; turn < 2; ++turn) {
      const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'billing');
      assert.equal(status, 1);
      assert.match(stderr, /client 'billing' cannot sign: .*holds 2 private keys.*: see assertionctl doctor/);
      await deployment.createAssertion('orders');
      assert.equal(await metric('assertiond_client_flawed_keys{client_id="billing",hsm="end-to-end"}'), 1);
      assert.match(await doctor(), /^wrong {2}client billing: .*2 private keys with CKA_ID/m);
      if (turn === 0) await restart();
    }
  });
});
