// assertionctl key: what an operator does with keys, from the first one to its end. Each test has a client of its own.
import assert from 'node:assert/strict';
import { X509Certificate, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SignJWT, calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { Deadline, output, temporaryFolder } from './process.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];
const NEVER = '9999-12-31T23:59:59Z';
const LEAD = 900;  // publish_lead's default, in seconds
const OVERLAP = 300;  // max_lifetime's default, in seconds; no skew

let deployment;
let files;

// Clients that no test has used, by their binding.
const unused = Object.fromEntries(['certificate', 'jwks'].map((binding) =>
  [binding, Array.from({ length: 60 }, (nothing, at) => `${binding}-${at}`)]));
const CLIENTS = Object.entries(unused).flatMap(([binding, clients]) =>
  clients.map((client) => ({ client_id: client, audiences: AUDIENCES, binding })));

before(async () => {
  files = mkdtempSync(path.join(temporaryFolder(), 'files-'));
  deployment = await Deployment.start(CLIENTS);
});

after(() => deployment?.close());

const newClient = (binding = 'certificate') => unused[binding].pop();

const key = (verb, client, ...options) => deployment.ctl('key', verb, '--client-id', client, ...options);
const keyJson = async (...words) => JSON.parse(await key(...words, '--json'));
const list = async () => JSON.parse(await deployment.ctl('key', 'list', '--json'));
const versionOf = async (client) => (await list()).versions[client];
// `show` alone tells what a trial of the token's custody found.
const HELD = { custody: 'held: the token refused every way out that was tried' };
const stateOf = async (client, kid) => (await keyJson('show', client, `--kid=${kid}`)).state;
const seconds = (text) => Date.parse(text) / 1000;

// Runs a command that must be refused with that status, and say why and what to do next. Returns what it said.
async function refused(expected, pattern, ...words) {
  const { status, stdout, stderr } = await deployment.tryCtl(...words);
  assert.equal(status, expected, stderr);
  assert.equal(stdout, '');
  assert.match(stderr, pattern);
  if (expected !== 2) assert.match(stderr, /^ {2}next: ./m);
  return stderr;
}

const keyRefused = (expected, pattern, verb, client, ...options) =>
  refused(expected, pattern, 'key', verb, '--client-id', client, ...options);

// A client with two keys, the second of which is staged.
async function clientOfTwo(binding) {
  const client = newClient(binding);
  return [client, await deployment.generateKey(client), await deployment.generateKey(client)];
}

function file(name, content) {
  const at = path.join(files, name);
  writeFileSync(at, content);
  return at;
}

describe('key list', () => {
  const rowsOf = async (client) => (await deployment.ctl('key', 'list')).split('\n')
    .filter((line) => line.startsWith(`${client} `)).map((line) => line.split(/ {2,}/));

  it('says what each key does, since when, until when, and for how long its certificate is good', async () => {
    const [client, first, second] = await clientOfTwo();
    const [headings] = (await deployment.ctl('key', 'list')).split('\n');
    assert.deepEqual(headings.split(/ {2,}/),
      ['CLIENT', 'KID', 'ALGORITHM', 'STATE', 'SINCE', 'UNTIL', 'CERTIFICATE UNTIL']);
    const rows = await rowsOf(client);
    const expiries = rows.map((row) => row.pop());
    assert.deepEqual(rows, [
      [client, first.kid, 'RS256', 'signing', first.sign_from, 'never'],
      [client, second.kid, 'RS256', 'staged', '-', 'never'],
    ]);
    for (const expiry of expiries) {
      assert.match(expiry, new RegExp(`^${first.not_after.slice(0, 4)}-\\d\\d-\\d\\d \\(36[45] days left\\)$`));
    }
  });

  it('shows a client without a key', async () => {
    const client = newClient();
    assert.deepEqual(await rowsOf(client), [[client, 'no key', '-', '-', '-', '-', '-']]);
    assert.equal((await list()).versions[client], 0);
  });

  it('marks a certificate that expires soon', async () => {
    const client = newClient();
    await deployment.generateKey(client, '--validity-days', '10');
    assert.match((await rowsOf(client))[0].at(-1), / \((9|10) days left\) EXPIRES SOON$/);
  });

  it('tells a program the version of each client, too', async () => {
    const [client, first, second] = await clientOfTwo();
    const { keys, versions } = await list();
    assert.deepEqual(keys.filter(({ client_id: id }) => id === client), [{ ...first, version: 2 }, second]);
    assert.equal(versions[client], 2);
    assert.deepEqual(Object.keys(versions).sort(), CLIENTS.map(({ client_id: id }) => id).sort());
  });
});

describe('key show', () => {
  it('shows the key that signs, and any by its kid', async () => {
    const [client, first, second] = await clientOfTwo();
    assert.deepEqual(await keyJson('show', client), { ...first, version: 2, ...HELD });
    assert.deepEqual(await keyJson('show', client, `--kid=${second.kid}`), { ...second, ...HELD });
    const text = await key('show', client, `--kid=${second.kid}`);
    for (const line of [/^client +certificate-\d+$/m, /^version +2$/m, /^state +staged$/m, /^signs from +never$/m,
      /^algorithm +RS256, 2048 bits$/m, new RegExp(`^kid +${second.kid}$`, 'm'),
      new RegExp(`^CKA_ID +${second.cka_id}$`, 'm'), new RegExp(`x5t#S256 +${second['x5t#S256']}$`, 'm')]) {
      assert.match(text, line);
    }
  });

  it('refuses what is not there', async () => {
    const client = newClient();
    await keyRefused(1, /has no key that signs now/, 'show', client);
    await keyRefused(1, /client/, 'show', 'nobody');
    await deployment.generateKey(client);
    await keyRefused(1, /has no such key/, 'show', client, '--kid', 'x'.repeat(43));
  });

  it('takes a kid that begins with a hyphen', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    await keyRefused(1, /has no such key/, 'show', client, '--kid=-x');
    assert.match(await deployment.ctl('key', 'show', '--help'), /--kid=-…/);
  });
});

describe('key rotate', () => {
  it('with a JWK Set the new key signs after publish_lead', async () => {
    const client = newClient('jwks');
    const old = await deployment.generateKey(client);
    const { key: fresh, predecessor } = await keyJson('rotate', client);
    assert.equal(fresh.state, 'published');
    assert.equal(seconds(fresh.sign_from) - seconds(fresh.publish_from), LEAD);
    assert.deepEqual([predecessor.kid, predecessor.state], [old.kid, 'signing']);
    assert.equal(predecessor.sign_until, fresh.sign_from);
    assert.equal(seconds(predecessor.publish_until) - seconds(predecessor.sign_until), OVERLAP);
    assert.deepEqual((await deployment.jwks(client)).keys.map(({ kid }) => kid), [old.kid, fresh.kid]);
  });

  it('says to a person which key takes over from which, and when', async () => {
    const client = newClient('jwks');
    const old = await deployment.generateKey(client);
    const text = await key('rotate', client, '--sign-from', '+2h');
    const { keys } = await list();
    const fresh = keys.find(({ client_id: id, kid }) => id === client && kid !== old.kid);
    assert.ok(text.startsWith(`new key ${fresh.kid} for client ${client}: RS256, 2048 bits, published`), text);
    assert.ok(text.includes(`takes over from key ${old.kid} on ${fresh.sign_from} (in `), text);
    assert.match(text, /^ {2}next: nothing where the identity server reads the JWK Set/m);
    assert.match(text, /with its configuration only \(profile lemonldap\), reload it before that moment/);
    // Counted from when the command was given; published is the key a moment later.
    const lead = seconds(fresh.sign_from) - seconds(fresh.publish_from);
    assert.ok(lead <= 7200 && lead > 7200 - 60, `${lead}`);
  });

  it('with one certificate slot it waits for the operator, and says what to do', async () => {
    const client = newClient();
    const old = await deployment.generateKey(client);
    const text = await key('rotate', client, '--common-name', 'next');
    const [, get, schedule] = /next: assertionctl (.*) gives the cert.*; once .*, assertionctl (.*)\n/.exec(text);
    assert.equal((await keyJson('show', client)).kid, old.kid);
    const certificate = new X509Certificate(await deployment.ctl(...get.split(' ')));
    assert.equal(certificate.subject, 'CN=next');
    const another = await key('rotate', client);
    const waiting = (await list()).keys.find(({ client_id: id, kid, state }) => id === client && state === 'published' &&
      !another.startsWith(`new key ${kid}`));
    assert.ok(another.includes(`key ${waiting.kid} waits too, from an earlier key generate or key rotate`), another);
    await deployment.ctl(...schedule.split(' '));
    const fresh = await keyJson('show', client);
    assert.equal(certificate.fingerprint256, new X509Certificate(await deployment.ctl('certificate', 'get',
      '--client-id', client)).fingerprint256);
    assert.notEqual(fresh.kid, old.kid);
    assert.equal(await stateOf(client, old.kid), 'retiring');
    assert.equal(decodeProtectedHeader(await deployment.createAssertion(client)).kid, fresh.kid);
  });

  it('refuses to sign before publish_lead has passed, unless forced', async () => {
    const client = newClient('jwks');
    await deployment.generateKey(client);
    // More often than key_limits lets keys be made in an hour: what is refused makes none.
    for (let i = 0; i < 6; ++i) {
      const stderr = await keyRefused(1, /must be published for 900s \(publish_lead\)/, 'rotate', client, '--sign-from', 'now');
      assert.ok(stderr.includes(`next: if that is meant: assertionctl key rotate ` +
        `--client-id ${client} --sign-from now --force ${client}\n`), stderr);
    }
    assert.equal(await versionOf(client), 1);
    await keyRefused(1, /--force: must repeat the client id, not "another": --force /, 'rotate', client, '--sign-from',
      'now', '--force', 'another');
    const forced = newClient('jwks');
    await deployment.generateKey(forced);
    const text = await key('rotate', forced, '--sign-from', 'now', '--force', forced);
    assert.match(text, /^ {2}next: the identity server refuses the new key's assertions until it knows the key/m);
    assert.ok(!text.includes('next: nothing'), text);
    const { key: fresh } = await keyJson('rotate', client, '--sign-from', 'now', '--force', client);
    assert.equal(fresh.state, 'signing');
  });

  it('refuses options that belong to --publish, and what --publish lacks or excludes', async () => {
    const client = newClient();
    for (const option of ['--application', '--base-url', '--token-file', '--token-endpoint', '--audience', '--kid']) {
      await keyRefused(2, new RegExp(`${option} requires --publish`), 'rotate', client, option, 'x');
    }
    await keyRefused(2, /--publish requires --application/, 'rotate', client, '--publish', 'wso2');
    await keyRefused(2, /excludes/, 'rotate', client, '--publish', 'wso2', '--application', 'x', '--base-url', 'x',
      '--token-file', 'x', '--token-endpoint', 'x', '--sign-from', 'now');
    await keyRefused(2, /'15m' is none of: now, never, a span/, 'rotate', client, '--sign-from', '15m');
    assert.equal(await versionOf(client), 0);
  });
});

describe('key schedule', () => {
  it('moves each time, in every form', async () => {
    const [client, first, second] = await clientOfTwo();
    const kid = `--kid=${second.kid}`;
    const published = await keyJson('schedule', client, kid, '--publish-from', 'now');
    assert.equal(published.state, 'published');
    const signFrom = '2099-06-01T12:00:00Z';
    const planned = await keyJson('schedule', client, kid, '--sign-from', signFrom);
    assert.equal(planned.sign_from, signFrom);
    assert.equal((await keyJson('show', client)).sign_until, signFrom);
    assert.equal((await keyJson('schedule', client, kid, '--publish-until', '2099-12-01T00:00:00Z', '--sign-until',
      '2099-11-01T00:00:00Z', '--force', client)).publish_until, '2099-12-01T00:00:00Z');
    const endless = await keyJson('schedule', client, kid, '--sign-until', 'never', '--publish-until', 'never');
    assert.deepEqual([endless.sign_until, endless.publish_until], [NEVER, NEVER]);
    const soon = await keyJson('schedule', client, kid, '--sign-from', '+1d');
    assert.ok(Math.abs(seconds(soon.sign_from) - Date.now() / 1000 - 86400) < 60);
    assert.match(await key('schedule', client, kid, '--sign-from', 'now'), /^state +signing$/m);
    assert.equal(await stateOf(client, first.kid), 'retiring');
  });

  it('refuses a time that is none, no time at all, and what would leave the client without a key', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    await keyRefused(2, /at least one of --publish-from/, 'schedule', client, `--kid=${kid}`);
    await keyRefused(2, /--sign-until: 'tomorrow' is none of/, 'schedule', client, `--kid=${kid}`, '--sign-until',
      'tomorrow');
    await keyRefused(1, /would be without a signing key.*force/, 'schedule', client, `--kid=${kid}`, '--sign-until',
      '+1h');
    const forced = await keyJson('schedule', client, `--kid=${kid}`, '--sign-until', '+1h', '--force', client);
    assert.equal(seconds(forced.publish_until) - seconds(forced.sign_until), OVERLAP);
  });

  it('refuses to change what has happened', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    await keyRefused(1, /sign_from: .* has passed and cannot be changed/, 'schedule', client, `--kid=${kid}`,
      '--sign-from', '+1d', '--force', client);
  });
});

describe('key revoke and destroy', () => {
  it('the only signing key is revoked by force alone; then nothing is signed', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    const stderr = await keyRefused(1, /would be without a signing key/, 'revoke', client, `--kid=${kid}`);
    assert.ok(stderr.endsWith(` key revoke --client-id ${client} --kid=${kid} --force ${client}\n`), stderr);
    assert.equal(await stateOf(client, kid), 'signing');
    const revoked = await key('revoke', client, `--kid=${kid}`, '--force', client);
    assert.match(revoked, /^state +withdrawn$/m);
    assert.match(revoked, /^revoked: it neither signs nor is published from now on\n {2}next: have the identity server forget the key: /m);
    await refused(1, /has no key that signs now/, 'assertion', 'create', '--client-id', client);
    assert.deepEqual((await deployment.jwks(client)).keys, []);
  });

  it('a kid may be shortened to what no other key of the client begins with', async () => {
    const [client, first, second] = await clientOfTwo();
    const short = (kid, length = 6) => `--kid=${kid.slice(0, length)}`;
    if (first.kid.slice(0, 6) !== second.kid.slice(0, 6)) {
      assert.equal((await keyJson('show', client, short(second.kid))).kid, second.kid);
      assert.equal((await keyJson('schedule', client, short(second.kid), '--sign-from', 'now')).kid, second.kid);
      assert.equal((await keyJson('revoke', client, short(first.kid))).kid, first.kid);
    }
    assert.match(await deployment.ctl('certificate', 'get', '--client-id', client, short(second.kid, 20)), /BEGIN CERTIFICATE/);
    await keyRefused(1, /--kid: "\S+" is too short: type at least the first 6 characters/, 'show', client, short(second.kid, 5));
    await keyRefused(1, /has no such key/, 'show', client, '--kid=nothing-like-it');
  });

  it('a key that another has taken over from is revoked at once; once more changes nothing, and says so', async () => {
    const [client, first, second] = await clientOfTwo();
    await key('schedule', client, `--kid=${second.kid}`, '--sign-from', 'now');
    const revoked = await keyJson('revoke', client, `--kid=${first.kid}`);
    assert.equal(revoked.state, 'withdrawn');
    assert.deepEqual(await keyJson('revoke', client, `--kid=${first.kid}`), revoked);
    assert.match(await key('revoke', client, `--kid=${first.kid}`), /^this key was withdrawn before: nothing has changed\n {2}next: /m);
    assert.equal(await versionOf(client), revoked.version);
    assert.equal((await keyJson('show', client)).kid, second.kid);
    const recorded = deployment.auditLines().filter(({ event, kid }) => event === 'RevokeKey' && kid === first.kid);
    assert.deepEqual(recorded.map(({ outcome }) => outcome), ['OK', 'OK', 'OK']);
  });

  const onToken = async (id) => (await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects']))
    .includes(id);

  it('a key is destroyed once it is withdrawn: key pair and certificate leave the token', async () => {
    const [client, first, second] = await clientOfTwo();
    await keyRefused(1, /no time is set at which the key is withdrawn: revoke it first/, 'destroy', client,
      `--kid=${second.kid}`);
    await key('revoke', client, `--kid=${second.kid}`);
    assert.ok(await onToken(second.cka_id));
    assert.match(await key('destroy', client, `--kid=${second.kid}`), /is destroyed/);
    assert.ok(!(await onToken(second.cka_id)));
    await keyRefused(1, /has no such key/, 'show', client, `--kid=${second.kid}`);
    assert.equal((await keyJson('show', client)).kid, first.kid);
  });

  it('a key that signs is destroyed by force alone', async () => {
    const client = newClient();
    const { kid, cka_id: id } = await deployment.generateKey(client);
    await keyRefused(1, /--force: must repeat the client id, not "x"/, 'destroy', client, `--kid=${kid}`, '--force', 'x');
    assert.ok(await onToken(id));
    assert.deepEqual(await keyJson('destroy', client, `--kid=${kid}`, '--force', client),
      { client_id: client, kid, version: 2 });
    assert.ok(!(await onToken(id)));
  });

  it('a key must be named', async () => {
    const client = newClient();
    for (const verb of ['revoke', 'destroy', 'schedule', 'import-certificate']) {
      await keyRefused(2, /--kid is required|--certificate is required/, verb, client);
    }
  });
});

describe('every change', () => {
  const changes = (client, { kid }) => ({
    generate: [],
    rotate: [],
    schedule: [`--kid=${kid}`, '--publish-until', '+1h'],
    revoke: [`--kid=${kid}`],
    destroy: [`--kid=${kid}`, '--force', client],
  });

  it('is refused when it was decided on another version, and says what to do', async () => {
    const [client, , second] = await clientOfTwo();
    for (const [verb, options] of Object.entries(changes(client, second))) {
      const stderr = await keyRefused(1, /are at version 2 now, not 1/, verb, client, ...options,
        '--expected-version', '1');
      assert.match(stderr, /next: nothing was changed; assertionctl key list/);
    }
    assert.equal(await versionOf(client), 2);
    await keyRefused(2, /--expected-version/, 'generate', client, '--expected-version', '-1');
    await key('generate', client, '--expected-version', '2');
    assert.equal(await versionOf(client), 3);
  });

  it('repeated under its request id acts once; the id is good for no other', async () => {
    const client = newClient();
    const made = await keyJson('generate', client, '--request-id', 'a');
    assert.deepEqual(await keyJson('generate', client, '--request-id', 'a'), made);
    const { key: fresh } = await keyJson('rotate', client, '--request-id', 'b');
    assert.equal((await keyJson('rotate', client, '--request-id', 'b')).key.kid, fresh.kid);
    assert.equal((await keyJson('rotate', client, '--request-id', 'b', '--expected-version', '0')).key.kid, fresh.kid);
    const end = [`--kid=${fresh.kid}`, '--force', client, '--request-id', 'c'];
    assert.deepEqual(await keyJson('destroy', client, ...end), await keyJson('destroy', client, ...end));
    assert.equal(await versionOf(client), 3);
    const refused = new RegExp(`request_id: was used for another request for client '${client}', about key ${fresh.kid}: leave it out, ` +
      'or choose another \\(operators share a client\'s ids; the audit log says who used it\\)');
    await keyRefused(1, refused, 'revoke', client, `--kid=${made.kid}`, '--request-id', 'c');
  });

  it('repeated under its request id in the same words acts once, though "+1h" is another instant by then', async () => {
    const [client, , second] = await clientOfTwo();
    const rotation = ['--sign-from', '+1h', '--force', client, '--request-id', 'a'];
    const made = await keyJson('rotate', client, ...rotation);
    const schedule = [`--kid=${second.kid}`, '--publish-from', '+1h', '--request-id', 'b'];
    const scheduled = await keyJson('schedule', client, ...schedule);
    const version = await versionOf(client);
    const began = Math.floor(Date.now() / 1000);
    await new Deadline(5, 'the next second').until(() => Math.floor(Date.now() / 1000) > began);
    assert.equal((await keyJson('rotate', client, ...rotation)).key.sign_from, made.key.sign_from);
    assert.equal((await keyJson('schedule', client, ...schedule)).publish_from, scheduled.publish_from);
    assert.equal(await versionOf(client), version);
    await keyRefused(1, /request_id: was used for another request/, 'rotate', client, '--sign-from', '+3h',
      ...rotation.slice(2));
  });
});

describe('key csr and import-certificate', () => {
  let root;
  let issuer;

  before(async () => {
    root = await CertificateAuthority.found('root');
    issuer = await CertificateAuthority.found('issuer', root);
  });

  // A client with a key, its request, and what imports a certificate for it from a text.
  async function certified() {
    const client = newClient();
    const made = await deployment.generateKey(client);
    const csr = await key('csr', client, '--subject', `CN=${client},O=Example Ltd,C=DE`);
    const options = (text) => ['key', 'import-certificate', '--client-id', client, `--kid=${made.kid}`,
      '--certificate', file(`${client}.pem`, text)];
    return { client, made, csr, options };
  }

  const describeCsr = (csr) => output('openssl', ['req', '-verify', '-noout', '-subject', '-text', '-nameopt',
    'RFC2253'], { input: csr });

  it('a request has the subject and the names that were asked for, and is signed by the key', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    const out = path.join(files, 'request.csr');
    assert.equal(await key('csr', client, '--subject', 'CN=orders,O=Example Ltd,C=DE', '--san',
      'DNS:orders.example.com', '--san', 'URI:spiffe://example.com/orders', '--out', out), '');
    const text = await describeCsr(readFileSync(out, 'utf8'));
    assert.match(text, /subject=CN=orders,O=Example Ltd,C=DE/);
    assert.match(text, /DNS:orders\.example\.com, URI:spiffe:\/\/example\.com\/orders/);
  });

  it('its subject is the client by default, its key the one that is named', async () => {
    const [client, first, second] = await clientOfTwo();
    assert.match(await describeCsr(await key('csr', client)), new RegExp(`subject=CN=${client}\n`));
    assert.match(await describeCsr(await key('csr', client, '--san', 'DNS:a.example')), new RegExp(`CN=${client}\n`));
    const modulus = async (...options) => output('openssl', ['req', '-noout', '-modulus'],
      { input: await key('csr', client, ...options) });
    assert.equal(await modulus(), await modulus(`--kid=${first.kid}`));
    assert.notEqual(await modulus(), await modulus(`--kid=${second.kid}`));
  });

  it('refuses a subject and a name that are none', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    await keyRefused(1, /subject: .*TYPE=value/, 'csr', client, '--subject', 'orders');
    await keyRefused(1, /subject_alt_names/, 'csr', client, '--san', 'orders.example.com');
  });

  it('the chain is served with the leaf first, and signs on', async () => {
    const { client, made, csr, options } = await certified();
    const leaf = await issuer.issue(csr);
    const chain = leaf + issuer.certificate + root.certificate;
    const imported = JSON.parse(await deployment.ctl(...options(chain), '--json'));
    assert.deepEqual([imported.kid, imported.version], [made.kid, 2]);
    assert.notEqual(imported['x5t#S256'], made['x5t#S256']);
    const served = await deployment.ctl('certificate', 'get', '--client-id', client);
    assert.equal(served, chain);
    const der = new X509Certificate(leaf).raw.toString('base64');
    assert.equal((await deployment.jwks(client)).keys[0].x5c[0], der);
    assert.match(await deployment.ctl(...options(leaf + issuer.certificate)), /\((89|90) days left\)/);
    assert.equal(decodeProtectedHeader(await deployment.createAssertion(client)).kid, made.kid);
    await output('openssl', ['verify', '-CAfile', file('root.pem', root.certificate), '-untrusted',
      file('issuer.pem', issuer.certificate), file('leaf.pem', await deployment.ctl('certificate', 'get', '--client-id',
        client))]);
  });

  it('takes DER', async () => {
    const { client, csr, options } = await certified();
    const { raw, fingerprint256 } = new X509Certificate(await root.issue(csr));
    await deployment.ctl(...options(raw));
    assert.equal(new X509Certificate(await deployment.ctl('certificate', 'get', '--client-id', client)).fingerprint256,
      fingerprint256);
  });

  for (const [what, [pattern, textOf]] of Object.entries({
    'a certificate of another key': [/certificate.*wrong key/,
      async () => issuer.issue(await issuer.requestOfAnother('a'))],
    'one that has expired': [/certificate 1 \(CN=certificate-\d+\) expired on 2020-02-01T00:00:00Z/,
      (csr) => issuer.issue(csr, { validity: ['20200101000000Z', '20200201000000Z'] })],
    'one that is not valid yet': [/is not valid before 2098-01-01T00:00:00Z/,
      (csr) => issuer.issue(csr, { validity: ['20980101000000Z', '20990101000000Z'] })],
    'a broken chain': [/broken chain: certificate 2 .*did not sign certificate 1/,
      async (csr) => await issuer.issue(csr) + root.certificate],
    'the wrong order': [/wrong order/, async (csr) => issuer.certificate + await issuer.issue(csr)],
    'an authority’s': [/certification authority/, (csr) => root.issue(csr, { extensions: 'issuer' })],
    garbage: [/neither PEM nor one DER certificate/, () => 'garbage'],
    'a request': [/CERTIFICATE REQUEST/, (csr) => csr],
    'a private key': [/contains a private key: never send one/,
      () => readFileSync(path.join(root.folder, 'ca.key'), 'utf8')],
  })) {
    it(`refuses ${what}, and keeps the certificate that was there`, async () => {
      const { client, made, csr, options } = await certified();
      await refused(1, pattern, ...options(await textOf(csr)));
      assert.deepEqual(await keyJson('show', client), { ...made, ...HELD });
    });
  }

  it('a request of a wrong name is told how a name is written', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    assert.match(await keyRefused(1, /^assertionctl: subject: /, 'csr', client, '--subject', 'orders'),
      /^ {2}next: write --subject as in RFC 4514, for example 'CN=orders,O=Example Ltd,C=DE', /m);
  });

  it('a file that is not there', async () => {
    const client = newClient();
    await keyRefused(3, /cannot read .*none\.pem/, 'import-certificate', client, '--kid', 'x', '--certificate',
      path.join(files, 'none.pem'));
  });
});

describe('key evidence', () => {
  const verify = (at, ...more) => deployment.tryCtl('key', 'evidence', 'verify', at, ...more);

  it('is signed by the key, and verifies without a server', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    const at = path.join(files, 'evidence');
    await key('evidence', client, '--out', at);
    const evidence = readFileSync(at, 'utf8');
    assert.equal(decodeProtectedHeader(evidence.trimEnd()).kid, kid);
    assert.equal(decodeJwt(evidence.trimEnd()).client_id, client);
    const { status, stdout, stderr } = await verify(at, '--json');
    assert.equal(status, 0, stderr);
    const { ok, findings, report } = JSON.parse(stdout);
    assert.ok(ok && findings.length > 8);
    const named = new Map(findings.map(({ name, text }) => [name, text]));
    assert.ok(!named.has('') && !named.has(undefined), stdout);
    assert.equal(named.get('kid'), 'is the RFC 7638 thumbprint of the key');
    assert.match(named.get('CKA_EXTRACTABLE'), /^false, /);
    assert.deepEqual([report.kid, report.token.label], [kid, 'end-to-end']);
    const text = (await deployment.tryCtl('--server', 'unix:/nowhere', 'key', 'evidence', 'verify', at)).stdout;
    assert.match(text, /^ok {5}signature: made by the key/m);
    assert.match(text, /^says {3}CKA_EXTRACTABLE: false, /m);
    assert.match(text, /^says {3}state: signing when the report was made, since \S+Z$/m);
    assert.doesNotMatch(text, /wrong/);
  });

  it('of a key by its kid, on standard output', async () => {
    const [client, , second] = await clientOfTwo();
    const evidence = await key('evidence', client, `--kid=${second.kid}`);
    assert.equal(decodeProtectedHeader(evidence.trimEnd()).kid, second.kid);
  });

  it('of a key that is revoked says so', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    await key('revoke', client, `--kid=${kid}`, '--force', client);
    const { status, stdout } = await verify(file('revoked', await key('evidence', client, `--kid=${kid}`)));
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^warn {3}state: withdrawn when the report was made, since \S+Z$/m);
  });

  it('is found out when somebody changed it', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    const [header, payload, signature] = (await key('evidence', client)).trimEnd().split('.');
    const report = Buffer.from(payload, 'base64url').toString();
    const forged = report.replace(`"client_id":"${client}"`, '"client_id":"another"');
    const changed = Buffer.from(forged).toString('base64url');
    assert.notEqual(changed, payload);
    const at = file('tampered', [header, changed, signature].join('.'));
    const { status, stdout } = await verify(at);
    assert.equal(status, 1, stdout);
    assert.match(stdout, /^wrong {2}signature: bad$/m);
    const json = await verify(at, '--json');
    assert.equal(json.status, 1);
    assert.equal(JSON.parse(json.stdout).ok, false);
  });

  // A report by whoever has a key in a file: it has all that a report of the token's has. `changed`: its members that differ.
  async function forge(report, changed = {}) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = publicKey.export({ format: 'jwk' });
    const kid = await calculateJwkThumbprint(jwk);
    return new SignJWT({ ...report, jwk, kid, certificate: '', ...changed })
      .setProtectedHeader({ alg: 'RS256', kid, typ: 'assertiond-evidence+json' }).sign(privateKey);
  }

  it('says what it is about, and proves itself only against a key that is known', async () => {
    const client = newClient();
    const { kid } = await deployment.generateKey(client);
    const evidence = (await key('evidence', client)).trimEnd();
    const at = file('genuine', evidence);
    const forged = file('forged', await forge(decodeJwt(evidence)));
    const certificate = file('certificate.pem', await deployment.ctl('certificate', 'get', '--client-id', client));
    const jwks = file('jwks.json', await deployment.ctl('jwks', 'get', '--client-id', client));
    const genuine = (await verify(at)).stdout;
    assert.match(genuine, new RegExp(`^client +${client}\nkid +${kid}\nalgorithm +RS256\ntoken +end-to-end, serial `));
    assert.match(genuine, /^signed by +the key that it is about, and nobody else$/m);
    assert.match(genuine, /^warn {3}attributes: the word of a program: the token's files and its PIN together are the key$/m);
    const { status, stdout } = await verify(forged);
    assert.equal(status, 0, stdout);
    for (const text of [genuine, stdout]) {
      assert.match(text, /^warn {3}known key: not compared with a known key; give --kid, --certificate or --jwks /m);
      assert.match(text, /\nnot proven: that the key is yours, because anybody can sign such a report [^\n]*\n$/);
    }
    for (const known of [['--kid', kid], ['--certificate', certificate], ['--jwks', jwks]]) {
      const right = await verify(at, ...known);
      assert.equal(right.status, 0, right.stdout);
      assert.match(right.stdout, /^ok {5}known key: the same as in /m);
      assert.match(right.stdout, /\nnot proven: that there is a token at all; [^\n]*\n$/);
      const wrong = await verify(forged, ...known);
      assert.equal(wrong.status, 1, wrong.stdout);
      assert.match(wrong.stdout, /^wrong {2}known key: another key than in /m);
    }
    assert.equal(JSON.parse((await verify(at, '--json')).stdout).compared, false);
    const strict = await verify(at, '--json', '--require-known-key');
    assert.equal(strict.status, 1, strict.stdout);
    const verdict = JSON.parse(strict.stdout);
    assert.deepEqual([verdict.ok, verdict.compared], [false, false]);
    assert.equal((await verify(at, '--require-known-key', '--jwks', jwks)).status, 0);
    await refused(2, /--kid: "\S{8}" is no whole kid: the comparison needs all 43 characters/, 'key', 'evidence', 'verify', at,
      `--kid=${kid.slice(0, 8)}`);
    assert.equal(JSON.parse((await verify(at, '--json', '--jwks', jwks)).stdout).compared, true);
    await refused(3, /certificate/, 'key', 'evidence', 'verify', at, '--certificate', jwks);
    await refused(3, /cannot read/, 'key', 'evidence', 'verify', at, '--jwks', path.join(files, 'none'));
  });

  // The comparison holds for a key in a file, too: what such a report says of a token is never "ok".
  it('of a key in a file is no proof of a token, though the key is the known one', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    const forged = await forge(decodeJwt((await key('evidence', client)).trimEnd()));
    const { status, stdout } = await verify(file('forged', forged), '--kid', decodeProtectedHeader(forged).kid, '--require-known-key');
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^ok {5}known key: the same as in /m);
    assert.match(stdout, /^says {3}CKA_LOCAL: true, /m);
    assert.match(stdout, /^(says|warn) {3}custody: /m);
    assert.doesNotMatch(stdout, /^ok {5}(CKA_|custody|attributes|origin|state)/m);
    assert.match(stdout, /\nnot proven: that there is a token at all; anyone who has this key in a file can write the same report/);
    const json = JSON.parse((await verify(file('forged', forged), '--json', `--kid=${decodeProtectedHeader(forged).kid}`)).stdout);
    assert.match(json.not_proven, /^that there is a token at all/);
    assert.equal(json.findings.find(({ name }) => name === 'CKA_LOCAL').said, true);
    assert.equal(json.findings.find(({ name }) => name === 'signature').said, undefined);
  });

  it('a member of the wrong type is wrong, not left out', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    const report = decodeJwt((await key('evidence', client)).trimEnd());
    for (const [name, value, type] of [['attributes_are', 7, 'text'], ['custody', 'held', 'an object'],
      ['certificate', null, 'text'], ['attributes', {}, 'a list'], ['token', [], 'an object'], ['schedule', 1, 'an object']]) {
      const { status, stdout } = await verify(file('typed', await forge(report, { [name]: value })));
      assert.equal(status, 1, stdout);
      assert.match(stdout, new RegExp(`^wrong {2}${name}: must be ${type}$`, 'm'));
    }
  });

  it('what is none is told from what is wrong', async () => {
    const client = newClient();
    await deployment.generateKey(client);
    const assertion = file('assertion', await deployment.createAssertion(client));
    for (const at of [file('garbage', 'garbage'), assertion]) {
      await refused(3, /is not evidence of a key/, 'key', 'evidence', 'verify', at);
    }
    await refused(3, /cannot read/, 'key', 'evidence', 'verify', path.join(files, 'none'));
    await refused(2, /excludes --client-id/, 'key', 'evidence', 'verify', assertion, '--client-id', client);
  });
});
