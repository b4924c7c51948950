// deploy/docs/scripts.md: every verb that prints JSON prints the fields that the page lists for it, of the types that it says,
// and no others. A field that the page calls always there is always there.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { fillForms } from './browsing.mjs';
import { KeyAdminService } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { pageText } from './page_blocks.mjs';
import { Deadline, Lines, output, run, startProcess, temporaryFolder } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';
import { Wso2StandIn } from './wso2_stand_in.mjs';

const CTL = path.join(process.env.E2E_BIN_DIR, 'assertionctl');
const CEREMONY = fileURLToPath(new URL('ceremony.py', import.meta.url));
const ME = `uid:${process.getuid()}`;
const FAST = { algorithm: 'ES256' };   // keys that a token makes at once
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const PAGE = 'deploy/docs/scripts.md';
const anchorOf = (heading) => heading.toLowerCase().replace(/[^a-z0-9 _-]/g, '').replaceAll(' ', '-');

const TYPES = {
  text: (value) => typeof value === 'string',
  number: (value) => Number.isInteger(value),
  boolean: (value) => typeof value === 'boolean',
  time: (value) => typeof value === 'string' && TIME.test(value),
  null: (value) => value === null,
  list: (value) => Array.isArray(value),
  object: (value) => value !== null && typeof value === 'object' && !Array.isArray(value),
};

// A field of a table: `where` as the page writes it, the types that it may have, and what the documents showed of it.
class Row {
  seen = false;
  absent = false;

  constructor(section, where, type) {
    this.section = section;
    this.where = where;
    this.optional = type.endsWith('?');
    const words = type.replace(/\?$/, '').split(' or ');
    [this.link] = words.map((word) => /^\[.*\]\(#(.*)\)$/.exec(word)?.[1]).filter(Boolean);
    this.types = words.map((word) => (word.startsWith('[') ? 'object' : word));
    for (const word of this.types) assert.ok(word in TYPES, `${this}: the page has a type "${word}"`);
  }

  toString() { return `${PAGE}, ${this.section}: ${this.where || 'the whole'}`; }
}

// The rows of the page's tables of fields by heading.
function rowsByHeading() {
  const found = new Map();
  let rows;
  let section;
  for (const line of pageText(PAGE).split('\n')) {
    const [, level, heading] = /^(##+) (.*)/.exec(line) ?? [];
    if (level) rows = undefined;
    if (level === '###') found.set(section = heading, rows = []);
    const [, names, type] = /^\| (`[^|]*`|the whole) \| ([^|]*) \|/.exec(line) ?? [];
    for (const name of rows && names ? names.split(', ') : []) {
      rows.push(new Row(section, name === 'the whole' ? '' : name.replaceAll('`', ''), type));
    }
  }
  return found;
}

// A document's fields as a tree: members by name, of which one in capitals stands for any name and [] for each element.
class Field {
  members = new Map();
  row;

  at(where) {
    let field = this;
    for (const name of where.match(/\[\]|[^.[\]]+/g) ?? []) {
      if (!field.members.has(name)) field.members.set(name, new Field());
      field = field.members.get(name);
    }
    return field;
  }

  fill(rows, sections) {
    for (const row of rows) {
      const field = this.at(row.where);
      field.row = row;
      if (!row.link) continue;
      assert.ok(sections.has(row.link), `${row}: there is no section #${row.link}`);
      field.fill(sections.get(row.link), sections);
    }
    return this;
  }

  // What is wrong with a value that was printed here.
  faultsOf(value, where) {
    if (this.row && !this.row.types.some((type) => TYPES[type](value))) {
      return [`${where} is ${JSON.stringify(value)}, which is no ${this.row.types.join(' or ')}`];
    }
    if (this.row) this.row.seen = true;
    const element = this.members.get('[]');
    if (element) {
      if (element.row) element.row.seen = true;   // the list may be empty
      return Array.isArray(value) ? value.flatMap((one) => element.faultsOf(one, `${where}[]`)) : value === null ? [] : [`${where} is no list`];
    }
    if (value === null || this.members.size === 0) return [];
    const [any] = [...this.members].filter(([name]) => /^[A-Z_]+$/.test(name)).map(([, member]) => member);
    const faults = Object.entries(value).flatMap(([name, one]) =>
      (this.members.get(name) ?? any)?.faultsOf(one, `${where} ${name}`) ?? [`${where} ${name} is not on the page`]);
    for (const [name, member] of this.members) {
      if (member === any || name in value) continue;
      const row = member.row ?? member.members.get('[]')?.row;
      if (row?.optional) row.absent = true;
      else faults.push(`${where} ${name} is missing`);
    }
    return faults;
  }
}

describe('the output for scripts', () => {
  const printed = new Map();   // by the word for a document, what was printed
  const keep = (name, text) => {
    const document = typeof text === 'string' ? JSON.parse(text) : text;
    printed.set(name, [...printed.get(name) ?? [], document]);
    return document;
  };

  before(async () => {
    const closing = [];
    try {
      await printAll(closing);
    } finally {
      for (const close of closing.reverse()) await close();
    }
  });

  async function printAll(closing) {
    const endpoint = await TokenEndpoint.start();
    closing.push(() => endpoint.close());
    endpoint.reset({ access_token: 'bought', token_type: 'DPoP', expires_in: 300, scope: 'read' });
    const [provider, verifier] = await Promise.all([OpenIdProvider.start({ logInForm: true }), OpenIdProvider.start()]);
    const wso2 = await Wso2StandIn.start({ provider: verifier });
    const people = await CertificateAuthority.found('people');
    const anna = await people.identity('DNS:anna.example.org');
    const client = (client_id, more = {}) => ({ client_id, audiences: [verifier.tokenEndpoint], ...more });
    const deployment = await Deployment.start([
      client('orders', { audiences: [provider.issuer, provider.tokenEndpoint], purposes: ['client_assertion', 'dpop', 'request_object'] }),
      client('reports', { binding: 'jwks', imported_keys: true, ...FAST }),
      client('buyer', { ...FAST, audiences: [endpoint.url], purposes: ['client_assertion', 'dpop'],
        tokens: { token_endpoint: endpoint.url, scopes: ['read'], dpop_client: 'buyer' } }),
      client('wso2'), client('restored', FAST),
      client('bearer', { ...FAST, audiences: [endpoint.url], tokens: { token_endpoint: endpoint.url } }),
    ], (folder) => ({
      admin_listen: '127.0.0.1:0', refresh_interval: '1s', audit: { checkpoint_lines: 1 },
      tls: mutualTls(folder, people.certificate),
      operators: [{ caller: ME, roles: ['operator', 'approver'] }, { caller: 'dns:anna.example.org', roles: ['operator'] }],
    }), (made) => made.ctl('tls', 'generate', '--san', 'DNS:localhost', '--config', made.configuration));
    closing.push(() => deployment.close());
    const { folder, environment } = deployment;
    const inFolder = (name) => path.join(folder, name);
    const ctl = (...options) => deployment.ctl(...options);
    // A verb that may find something wrong: the JSON counts, whatever the exit status.
    const whatever = async (...options) => (await deployment.tryCtl(...options)).stdout;
    const verb = async (words, ...options) => keep(words, await ctl(...words.split(' '), ...options, '--json'));

    // Keys
    const orders = await verb('key generate', '--client-id', 'orders');
    for (const id of ['buyer', 'wso2', 'restored', 'reports']) await verb('key generate', '--client-id', id);
    await verb('key list');
    await verb('key show', '--client-id', 'orders');
    const rotated = await verb('key rotate', '--client-id', 'reports');
    await verb('key rotate', '--client-id', 'bearer');
    const watch = startProcess(CTL, ['key', 'watch', '--client-id', 'reports', '--json'],
      { env: environment, log: path.join(temporaryFolder(), 'watch.log') });
    keep('key watch', await new Lines(watch, 'stdout').next(new Deadline(30, 'a line of key watch')));
    watch.kill('SIGTERM');
    await watch.ended;
    await verb('key schedule', '--client-id', 'reports', `--kid=${rotated.key.kid}`, '--sign-from', '+1d');
    await verb('key revoke', '--client-id', 'reports', `--kid=${rotated.key.kid}`);
    await verb('key destroy', '--client-id', 'reports', `--kid=${rotated.key.kid}`);
    const [, module] = /module-path=([^&"]*)/.exec(readFileSync(deployment.configuration, 'utf8'));
    await output('/usr/bin/python3', [CEREMONY, module, 'end-to-end', 'orders', '0a0b', 'rsa'],
      { env: { ...environment, E2E_PIN: deployment.pin, PYTHONDONTWRITEBYTECODE: '1' } });
    const ceremony = ['--client-id', 'orders', '--cka-id', '0a0b'];
    const { kid } = keep('key adopt', await ctl('key', 'adopt', ...ceremony, '--json'));
    keep('key adopt --kid', await whatever('key', 'adopt', ...ceremony, `--kid=${kid}`, '--json'));
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256',
      publicKeyEncoding: { format: 'pem', type: 'spki' }, privateKeyEncoding: { format: 'pem', type: 'pkcs8' } });
    const imported = await run(CTL, ['key', 'import', '--client-id', 'reports', '--json'], { env: environment, input: privateKey });
    keep('key import', imported.stdout);
    const authority = await CertificateAuthority.found('authority');
    writeFileSync(inFolder('chain.pem'), await authority.issue(await ctl('key', 'csr', '--client-id', 'orders', '--subject', 'CN=orders')));
    await verb('key import-certificate', '--client-id', 'orders', `--kid=${orders.kid}`, '--certificate', inFolder('chain.pem'));
    await ctl('key', 'evidence', '--client-id', 'orders', `--kid=${orders.kid}`, '--out', inFolder('evidence'));
    keep('key evidence verify', await whatever('key', 'evidence', 'verify', inFolder('evidence'), '--json'));

    // What is signed
    const jwt = await verb('assertion create', '--client-id', 'orders');
    for (const line of (await ctl('assertion', 'create', '--client-id', 'orders', '--count', '2', '--json')).trimEnd().split('\n')) {
      keep('assertion create --count', line);
    }
    writeFileSync(inFolder('assertion.jwt'), jwt.assertion);
    await verb('assertion inspect', inFolder('assertion.jwt'));
    await verb('dpop create', '--client-id', 'orders', '--htm', 'POST', '--htu', 'https://is.example/token');
    await verb('request-object create', '--client-id', 'orders', '--claim', 'response_type="code"');
    await verb('token get', '--client-id', 'buyer');
    endpoint.reset({ access_token: 'bought', token_type: 'Bearer', expires_in: 300 });
    await verb('token get', '--client-id', 'bearer');
    await verb('profile list');
    await verb('profile show', 'wso2');

    // Identity servers
    provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders'), application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback'], token_endpoint_auth_signing_alg: 'RS256' }]);
    for (const to of [['--issuer', provider.issuer], ['--par-endpoint', `${provider.issuer}/request`]]) {
      keep('token request --par', await ctl('token', 'request', '--client-id', 'orders', '--par', ...to, '--audience', provider.issuer,
        '--redirect-uri', 'http://127.0.0.1/callback', '--scope', 'openid', '--code-verifier', 'v'.repeat(43)));
    }
    const login = startProcess(CTL, ['oidc', 'login', '--client-id', 'orders', '--issuer', provider.issuer, '--audience', provider.issuer,
      '--no-browser', '--json'], { env: environment, log: path.join(temporaryFolder(), 'login.log') });
    let loggedIn = '';
    login.stdout.on('data', (chunk) => { loggedIn += chunk; });
    const said = new Lines(login, 'stderr');
    const deadline = new Deadline(60, 'the log-in');
    let url = '';
    while (!/^https?:/.test(url)) url = await said.next(deadline);
    await fillForms(url);
    await deadline.limit(login.ended);
    keep('oidc login', loggedIn);
    keep('oidc login', await whatever('oidc', 'login', '--client-id', 'orders', '--issuer', endpoint.url, '--no-browser', '--json'));
    const application = await wso2.add('wso2');
    wso2.tokens.add('the-token');
    writeFileSync(inFolder('token'), 'the-token\n', { mode: 0o600 });
    const at = ['--client-id', 'wso2', '--application', application, '--base-url', wso2.origin, '--token-file', inFolder('token')];
    await verb('wso2 publish', ...at, '--configure');
    keep('key rotate --publish', await ctl('key', 'rotate', '--publish', 'wso2', ...at, '--token-endpoint', verifier.tokenEndpoint, '--json'));
    await verb('wso2 publish', ...at);
    for (const more of [[], ['--configure']]) {
      keep('wso2 publish --jwks-url', await ctl('wso2', 'publish', ...at, '--jwks-url', 'https://keys.example.com/orders.json', ...more, '--json'));
    }

    // The server and its log
    const head = await verb('audit head');
    assert.ok(head.sequence > 0);
    writeFileSync(inFolder('audit.jwk'), await ctl('audit', 'key'));
    const verify = (...files) => whatever('audit', 'verify', ...files, '--key', inFolder('audit.jwk'), '--json');
    keep('audit verify', await verify(inFolder('audit.log')));
    writeFileSync(inFolder('changed.log'), readFileSync(inFolder('audit.log'), 'utf8').replace('"outcome":"OK"', '"outcome":"KO"'));
    keep('audit verify', await verify(inFolder('changed.log')));
    const doctor = (...options) => whatever('doctor', '--config', deployment.configuration, ...options, '--json');
    keep('doctor', await doctor());
    keep('status', await whatever('status', '--json'));
    const stranger = await deployment.startReplica({ operators: [{ caller: 'uid:4242', roles: ['operator'] }], admin_listen: '127.0.0.1:0' });
    const asStranger = (...options) => run(CTL, ['status', '--json', ...options], { env: stranger.environment });
    keep('status of a caller without a role', (await asStranger()).stdout);
    keep('status of a caller without a role', (await asStranger('--monitor', stranger.adminOrigin)).stdout);
    keep('status of a caller without a role', (await asStranger('--monitor', 'http://127.0.0.1:1')).stdout);
    await stranger.stopDaemon();

    // A token that is restored from a backup, and lost a certificate
    const staged = JSON.parse(await ctl('key', 'rotate', '--client-id', 'orders', '--json')).key;
    await deployment.stopDaemon();
    const backup = path.join(temporaryFolder(), 'tokens');
    cpSync(inFolder('tokens'), backup, { recursive: true });
    await deployment.startDaemon();
    for (const id of ['restored', 'buyer']) await deployment.generateKey(id);
    await deployment.stopDaemon();
    rmSync(inFolder('tokens'), { recursive: true });
    cpSync(backup, inFolder('tokens'), { recursive: true });
    writeFileSync(deployment.configuration, JSON.stringify({
      ...JSON.parse(readFileSync(deployment.configuration, 'utf8')), two_person_rule: { methods: ['RevokeKey', 'DestroyKey'], window: '1h' },
    }));
    await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--delete-object', '--type', 'cert', '--id', orders.cka_id]);
    await deployment.startDaemon();
    await verb('key list');
    await verb('key accept-ledger', '--client-id', 'restored', '--version', '1', '--force', 'restored');

    // Two persons: anna asks, this user approves
    keep('A change that waits for approval', await ctl('key', 'revoke', '--client-id', 'orders', `--kid=${staged.kid}`, '--json'));
    keep('key pending', await ctl('key', 'pending', '--json'));
    keep('status', await whatever('status', '--monitor', deployment.adminOrigin, '--json'));
    const roots = readFileSync(inFolder('tls.pem'));   // the server's certificate is self-signed
    const asAnna = new KeyAdminService(`127.0.0.1:${deployment.tlsPort}`,
      grpc.credentials.createSsl(roots, Buffer.from(anna.key), Buffer.from(anna.cert)), { 'grpc.ssl_target_name_override': 'localhost' });
    closing.push(() => asAnna.close());
    for (const method of ['RevokeKey', 'DestroyKey']) {
      const { version } = JSON.parse(await ctl('key', 'show', '--client-id', 'orders', `--kid=${staged.kid}`, '--json'));
      const { pending } = await new Promise((resolve, reject) => {
        asAnna[method]({ client_id: 'orders', kid: staged.kid, change: { expected_version: version } }, { deadline: Date.now() + 30_000 },
          (error, answer) => (error ? reject(error) : resolve(answer)));
      });
      keep('key approve', await ctl('key', 'approve', pending.id, `--digest=${pending.digest}`, '--json'));
    }

    // A token that is away
    const [token] = readdirSync(inFolder('tokens'));
    const away = inFolder('away');
    renameSync(path.join(inFolder('tokens'), token), away);
    const missed = new Deadline(60, 'the server to miss its token');
    await missed.until(async () => (await deployment.tryCtl('key', 'pending')).status !== 0);
    keep('status', await whatever('status', '--monitor', deployment.adminOrigin, '--json'));
    renameSync(away, path.join(inFolder('tokens'), token));
    await missed.until(async () => (await deployment.tryCtl('key', 'pending')).status === 0);
  }

  const headings = rowsByHeading();
  const sections = new Map([...headings].map(([heading, rows]) => [anchorOf(heading), rows]));
  const documents = new Map([...headings].flatMap(([heading, rows]) =>
    heading.split(', ').map((name) => [name.replaceAll('`', ''), new Field().fill(rows, sections)])));

  it('is on the page for every verb that has --json', async () => {
    const help = async (...words) => (await run(CTL, [...words, '--help'])).stdout;
    const commandsOf = (text) => [...(/^Subcommands:\n((?: .*\n)+)/m.exec(text)?.[1] ?? '').matchAll(/^ {2}([a-z][\w-]*)/gm)]
      .map(([, word]) => word);
    const verbs = [['key', 'evidence', 'verify']];
    for (const noun of commandsOf(await help())) {
      const below = commandsOf(await help(noun));
      verbs.push(...below.length > 0 ? below.map((verb) => [noun, verb]) : [[noun]]);
    }
    assert.ok(verbs.length > 30, 'verbs are found');
    for (const words of verbs) {
      if (/ --json\b/.test(await help(...words))) assert.ok(documents.has(words.join(' ')), `the page has no section \`${words.join(' ')}\``);
    }
  });

  it('has the fields of the page and no others, of its types', () => {
    const faults = new Set([...printed].flatMap(([name, list]) =>
      list.flatMap((document) => documents.get(name)?.faultsOf(document, name) ?? [`the page has no section \`${name}\``])));
    for (const row of [...headings.values()].flat()) {
      if (!row.seen) faults.add(`${row}: nothing printed it`);
      if (row.optional && !row.absent) faults.add(`${row}: always there, it needs no ?`);
    }
    assert.deepEqual([...faults], []);
  });
});
