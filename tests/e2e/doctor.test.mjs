// assertionctl doctor: what is on the token and in no ledger, and what is in the ledger and not on the token.
import assert from 'node:assert/strict';
import { chmodSync, chownSync, copyFileSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { run, temporaryFolder } from './process.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];
const CLIENTS = ['orders', 'billing', 'before-the-ledger'];
const OTHER = 60001;  // a user of nothing

describe('doctor', () => {
  let deployment;
  let next = 0x10;
  let id;

  before(async () => {
    deployment = await Deployment.start(CLIENTS.map((client) => ({ client_id: client, audiences: AUDIENCES })));
    for (const client of ['orders', 'billing']) await deployment.generateKey(client);
  });

  after(() => deployment?.close());

  beforeEach(() => { id = (next++).toString(16); });

  const doctor = (...options) => deployment.tryCtl('doctor', '--config', deployment.configuration, ...options);
  const remove = (client, ...options) => doctor('--remove-orphans', '--client-id', client, ...options);
  const logIn = ['--login', '--pin', 'env:E2E_PIN'];
  const plant = (client) => deployment.askToken([...logIn, '--keypairgen', '--key-type', 'rsa:2048', '--label', client,
    '--id', id]);
  const discard = async () => {
    for (const type of ['privkey', 'pubkey']) {
      await deployment.askToken([...logIn, '--delete-object', '--type', type, '--id', id]);
    }
  };
  const objects = async () => (await deployment.askToken([...logIn, '--list-objects'])).match(/ID: +(\S+)/g)
    .filter((line) => line.endsWith(` ${id}`)).length;
  const named = (client) => new RegExp(`^wrong {2}client ${client}: key pair with CKA_ID ${id} is in no ledger`, 'm');

  it('names an orphan, what it may be and what removes it, and leaves it alone', async () => {
    await plant('orders');
    const { status, stdout } = await doctor();
    assert.equal(status, 1);
    assert.match(stdout, named('orders'));
    assert.match(stdout, /--remove-orphans --client-id orders destroys it permanently/);
    assert.equal(await objects(), 2);
    await discard();
  });

  it('removes the orphans of the client that is named, says which, and touches nothing else', async () => {
    const kids = await Promise.all(['orders', 'billing'].map(async (client) => (await deployment.key(client)).kid));
    await plant('orders');
    const { status, stdout } = await remove('orders');
    assert.match(stdout, new RegExp(`^ok {5}client orders: removed key pair with CKA_ID ${id}$`, 'm'));
    assert.equal(stdout.match(/removed/g).length, 1);
    assert.equal(await objects(), 0);
    assert.match(stdout, new RegExp(`^ok {5}client orders: key ${kids[0]} \\(RS256\\) signed`, 'm'));
    assert.match(stdout, new RegExp(`^ok {5}client billing: key ${kids[1]} \\(RS256\\) signed`, 'm'));
    assert.equal(status, 1, 'a client without a key is wrong still');
    const { findings } = JSON.parse((await remove('orders', '--json')).stdout);
    const [first] = findings.filter(({ name }) => name === 'client orders');
    assert.deepEqual(first, { name: 'client orders', ok: true, text: 'no orphans to remove', group: 'client orders' });
    for (const client of ['orders', 'billing']) await deployment.createAssertion(client);
  });

  it('says in its first line how much is wrong, then only what is, until --verbose asks for all', async () => {
    await plant('orders');
    const brief = (await doctor()).stdout.trimEnd().split('\n');
    assert.match(brief[0], /^\d+ wrong, (\d+ warnings?, )?\d+ ok; --verbose shows each check$/);
    assert.deepEqual(brief.slice(1).filter((line) => !/^(wrong|warn) +/.test(line)),
      ['', 'machine', '', 'client orders', '', 'client before-the-ledger'].slice(/^warn {3}clock/m.test(brief.join('\n')) ? 0 : 2));
    const { stdout } = await doctor('--verbose');
    const count = (word) => stdout.split('\n').filter((line) => line.startsWith(`${word} `)).length;
    const warnings = count('warn');
    assert.equal(stdout.split('\n')[0], `${count('wrong')} wrong, ${warnings === 0 ? '' : `${warnings} warning${warnings === 1 ? '' : 's'}, `}${count('ok')} ok`);
    await discard();
  });

  it('--client-id: only that client, and the kid of each of its keys', async () => {
    const { kid } = await deployment.key('orders');
    const { status, stdout } = await doctor('--client-id', 'orders', '--verbose');
    assert.equal(status, 0, stdout);
    assert.match(stdout, new RegExp(`^ok {5}client orders: key ${kid}: CKA_SENSITIVE true$`, 'm'));
    assert.match(stdout, new RegExp(`^ok {5}client orders: key ${kid}: certificate valid until`, 'm'));
    assert.doesNotMatch(stdout, /client (?!orders)\S+: (key|CKA|RS256)/);
    const { findings } = JSON.parse((await doctor('--client-id', 'orders', '--json')).stdout);
    assert.ok(findings.some((finding) => finding.kid === kid && finding.text === 'CKA_SENSITIVE true'));
    const { status: refused, stderr } = await doctor('--client-id', 'ordes');
    assert.equal(refused, 1);
    assert.match(stderr, /no client ordes is configured; did you mean "orders"\?/);
  });

  it('warns of a configuration and a module that others may change, and so does a start', async () => {
    const { configuration, folder } = deployment;
    const warned = async () => JSON.parse((await doctor('--json')).stdout).findings.filter(({ name }) => name === 'files')
      .map(({ warns, text }) => [warns, text]);
    assert.deepEqual(await warned(), []);
    const elsewhere = mkdtempSync(path.join(temporaryFolder(), 'shared-'));  // a copy of a module looks like a leaked key
    const module = path.join(elsewhere, 'module.so');
    const { hsm, ...rest } = JSON.parse(readFileSync(configuration, 'utf8'));
    const ca = path.join(folder, 'ca.pem');
    copyFileSync('/etc/ssl/certs/ca-certificates.crt', ca);
    const [, original] = /module-path=([^;?&]*)/.exec(hsm.uri ?? hsm);
    copyFileSync(decodeURIComponent(original), module);
    const changed = path.join(folder, 'changed.json');
    const [orders] = rest.clients;
    const uri = (hsm.uri ?? hsm).replace(original, module);
    writeFileSync(changed, JSON.stringify({ ...rest, hsm: hsm.uri ? { ...hsm, uri } : uri, listen: `unix:${folder}/other.sock`,
      clients: [{ ...orders, tokens: { token_endpoint: AUDIENCES[0], ca_file: ca } }] }));
    chmodSync(changed, 0o666);
    chmodSync(elsewhere, 0o777);
    chmodSync(ca, 0o664);
    const { stdout } = await deployment.tryCtl('doctor', '--config', changed, '--verbose');
    const start = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--config', changed],
      { env: { ...deployment.environment, SOFTHSM2_CONF: '/nonexistent' } });
    for (const [field, what] of [['configuration', `${changed} is writable by everybody: chmod go-w`],
      ['module', `${elsewhere} is writable by everybody`]]) {
      assert.ok(stdout.includes(`files: ${field}: ${what}`), stdout);
      assert.ok(start.stderr.includes(`${field}: ${what}`), start.stderr);
    }
    assert.ok(stdout.includes(`tokens.ca_file of client orders: ${ca} is writable by its group`), stdout);
  });

  it('has the warnings of the configuration, also with --json', async () => {
    const { clients: [orders], ...rest } = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const odd = path.join(deployment.folder, 'odd.json');
    writeFileSync(odd, JSON.stringify({ ...rest, clients: [{ ...orders, audiences: ['is'] }] }));
    const warned = async (...options) => (await deployment.tryCtl('doctor', '--config', odd, ...options)).stdout;
    const text = 'clients[0].audiences[0]: is neither an https URL nor a URN, as identity servers\' audiences are';
    assert.ok((await warned()).includes(`\nwarn   configuration: ${text}\n`));
    assert.deepEqual(JSON.parse(await warned('--json')).findings.filter(({ name }) => name === 'configuration'),
      [{ name: 'configuration', ok: true, text, warning: true, group: 'configuration' }]);
  });

  it('warns of files that belong to another user, and so does a start', { skip: process.getuid() !== 0 && 'only root can give files away' }, async () => {
    const { configuration, folder } = deployment;
    const { hsm, ...rest } = JSON.parse(readFileSync(configuration, 'utf8'));
    const theirs = path.join(folder, 'theirs.conf');
    const given = path.join(folder, 'given.json');
    writeFileSync(theirs, '');
    writeFileSync(given, JSON.stringify({ ...rest, listen: `unix:${folder}/other.sock`,
      hsm: { ...hsm.uri ? hsm : { uri: hsm }, environment: { E2E_FILE: theirs, E2E_WORD: 'no file' } } }));
    for (const file of [theirs, given]) chownSync(file, OTHER, 0);
    const { stdout } = await deployment.tryCtl('doctor', '--config', given, '--verbose');
    const start = await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--config', given],
      { env: { ...deployment.environment, SOFTHSM2_CONF: '/nonexistent' } });
    for (const [field, file] of [['configuration', given], ['E2E_FILE', theirs]]) {
      assert.ok(stdout.includes(`files: ${field}: ${file} belongs to user ${OTHER}, who could`), stdout);
      assert.ok(start.stderr.includes(`${field}: ${file} belongs to user ${OTHER}, who could`), start.stderr);
    }
    assert.ok(!start.stderr.includes('E2E_WORD'), start.stderr);
  });

  it('leaves the orphans of other clients', async () => {
    await plant('billing');
    await remove('orders');
    assert.equal(await objects(), 2);
    await remove('billing');
    assert.equal(await objects(), 0);
  });

  it('of a client without a ledger it removes keys by force alone: they may be in use elsewhere', async () => {
    await plant('before-the-ledger');
    const { status, stdout } = await remove('before-the-ledger');
    assert.equal(status, 1);
    assert.match(stdout, /^wrong {2}client before-the-ledger: orphans not removed: the client has no ledger/m);
    assert.equal(await objects(), 2);
    assert.equal((await remove('before-the-ledger', '--force', 'orders')).status, 2);
    assert.equal(await objects(), 2);
    assert.match((await remove('before-the-ledger', '--force', 'before-the-ledger')).stdout, /: removed key pair/);
    assert.equal(await objects(), 0);
  });

  it('removes nothing without the name of a configured client', async () => {
    await plant('orders');
    assert.equal((await doctor('--remove-orphans')).status, 2);
    const { status, stderr } = await remove('nobody');
    assert.equal(status, 1);
    assert.match(stderr, /no client nobody is configured/);
    assert.equal(await objects(), 2);
    await discard();
  });

  it('names a key that is in the ledger and not on the token', async () => {
    const { kid, cka_id: lost } = await deployment.generateKey('billing');
    id = lost;
    await discard();
    const { status, stdout } = await doctor();
    assert.equal(status, 1);
    assert.match(stdout, new RegExp(`^wrong {2}client billing: .*${kid}, .*in the ledger but not on the token`, 'm'));
    await deployment.ctl('key', 'destroy', '--client-id', 'billing', `--kid=${kid}`, '--force', 'billing');
    assert.doesNotMatch((await doctor()).stdout, /but not on the token/);
  });
});
