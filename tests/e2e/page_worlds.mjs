// The worlds in which the commands of a page run: a deployment with the clients, files and servers that the page speaks of.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AccessTokenService, Caller } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { OpenIdProvider, REDIRECT_URI } from './openid_provider.mjs';
import { ROOT, blocksOf } from './page_blocks.mjs';
import { Deadline, output, run, temporaryFolder } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';
import { Wso2StandIn } from './wso2_stand_in.mjs';

const BIN = process.env.E2E_BIN_DIR;
const NODE_MODULES = fileURLToPath(new URL('../node_modules', import.meta.url));   // run.sh copies this file beside it
const CEREMONY = 'ceremony.py';
const AUDIENCE = 'https://localhost:9443/oauth2/token';
const APPLICATION = '394b8adc-ce24-4c64-8a09-a0d80abf8c33';

export class World {
  // Where the page's words lead in this world: [text of the page, text here]. Each must occur in a block of the page.
  places = [];
  // What somebody else does before a block: [text of the block, function]. Each block must exist.
  before = [];
  closing = [];
  seconds = 60;   // for one block

  // clients, configuration: as of Deployment.start; keys: clients that have one.
  static async start(clients, { configuration = {}, keys = clients.map(({ client_id: id }) => id) } = {}) {
    const world = new World();
    world.deployment = await Deployment.start(clients, (folder) => ({
      http_listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0', refresh_interval: '1s', audit: { checkpoint_lines: 1 },
      ...(typeof configuration === 'function' ? configuration(folder) : configuration),
    }));
    for (const client of keys) await world.deployment.generateKey(client);
    const { folder, environment, httpOrigin, adminOrigin } = world.deployment;
    world.folder = folder;
    world.cwd = folder;
    // Outside the deployment's folder, where no private key may be.
    world.home = mkdtempSync(path.join(temporaryFolder(), 'home-'));
    world.environment = { ...environment, HOME: world.home, ASSERTIOND_HTTP: httpOrigin, ASSERTIOND_MONITOR: adminOrigin,
      ASSERTIOND_CONFIG: path.join(folder, 'assertiond.json'), PATH: `${world.home}/bin:${BIN}:${process.env.PATH}` };
    mkdirSync(path.join(world.home, 'bin'));
    return world;
  }

  // A program of this name, which the page expects on the machine.
  program(name, script) {
    const file = path.join(this.home, 'bin', name);
    writeFileSync(file, `#!/bin/bash\nset -euo pipefail\n${script}\n`);
    chmodSync(file, 0o755);
  }

  write(name, text) {
    writeFileSync(path.join(this.folder, name), text, { mode: 0o600 });
  }

  // A certification authority, which answers the request in the file csr with chain.pem.
  async authority(csr) {
    const authority = await CertificateAuthority.found('Example authority');
    return async () => {
      const issued = await authority.issue(readFileSync(path.join(this.folder, csr), 'utf8'));
      this.write('chain.pem', issued + authority.certificate);
    };
  }

  // A key pair that a ceremony made for this client.
  ceremony(client, ckaId) {
    const [, module] = /module-path=([^&"]*)/.exec(readFileSync(this.deployment.configuration, 'utf8'));
    return output('/usr/bin/python3', [CEREMONY, module, 'end-to-end', client, ckaId, 'rsa', 'MODIFIABLE=0'],
      { env: { ...this.environment, E2E_PIN: this.deployment.pin } });
  }

  // A WSO2 stand-in with an application of orders, whose access token is in the file token.
  async wso2(settings) {
    const standIn = await Wso2StandIn.start(settings);
    const application = await standIn.add('orders');
    const token = randomBytes(24).toString('base64url');
    standIn.tokens.add(token);
    this.write('token', `${token}\n`);
    this.places.push([APPLICATION, application], ['https://localhost:9443', standIn.origin]);
    return { application, origin: standIn.origin };
  }

  async close() {
    try {
      for (const close of this.closing) await close();
    } finally {
      await this.deployment.close();
    }
  }
}

const orders = (changed = {}) => ({ client_id: 'orders', audiences: [AUDIENCE], ...changed });
const reports = (changed = {}) => ({ client_id: 'reports', audiences: ['https://is.example.com/token'], binding: 'jwks',
  ...changed });

// What gives a command the user, PIN and environment of the package's service, which here are those of this user.
// tests/package_test.sh runs it with systemd.
function offlineCommands(world) {
  world.program('sudo', 'exec "$@"');
  world.program('systemctl', '[ "$*" = "show --property=Environment --value assertiond" ]');
  world.program('systemd-run', 'while [[ $1 == -* ]]; do [ "$1" != -p ] || shift; shift; done\nexec "$@"');
}

// Where the package keeps the audit log.
function auditFolder(world) {
  world.program('sudo', 'exec "$@"');
  world.places.push(['/var/lib/assertiond', world.folder]);
}

async function rotation() {
  const provider = await OpenIdProvider.start();
  const world = await World.start([orders({ audiences: [provider.tokenEndpoint] }), reports()]);
  world.places.push(['https://localhost:9443/oauth2/token', provider.tokenEndpoint],
    ['unix:/run/assertiond/assertiond.sock', world.environment.ASSERTIOND_SERVER],
    ['http://127.0.0.1:8080', world.environment.ASSERTIOND_HTTP]);
  const { application, origin } = await world.wso2({ provider });
  const { deployment } = world;
  await deployment.ctl('wso2', 'publish', '--configure', '--client-id', 'orders', '--application', application,
    '--base-url', origin, '--token-file', path.join(world.folder, 'token'));
  await world.ceremony('reports', '0a1b2c');
  const answer = await world.authority('orders.csr');
  auditFolder(world);
  world.places.push(['/usr/local/sbin/rotate-assertiond-key', path.join(world.home, 'bin/rotate-assertiond-key')]);
  world.before.push(['old=$(assertionctl key show --client-id reports', async () => {
    // The page shows two ways to the next key. The key of the ceremony is given up before the other begins.
    const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json'));
    const { kid } = keys.find(({ client_id: id, state }) => id === 'reports' && state === 'published');
    await deployment.ctl('key', 'destroy', '--client-id', 'reports', `--kid=${kid}`, '--force', 'reports');
  }], ['import-certificate --client-id orders --kid="$next"', answer],
  ['import-certificate --client-id orders --kid="$kid"', answer],
  ['key destroy --client-id reports --kid="$old"', async () => {
    // The page waits until the old key is withdrawn, hours after the next one signs.
    const { keys } = JSON.parse(await deployment.ctl('key', 'list', '--json'));
    const kid = (state) => keys.find((key) => key.client_id === 'reports' && key.state === state).kid;
    await deployment.ctl('key', 'schedule', '--client-id', 'reports', `--kid=${kid('published')}`, '--sign-from', 'now', '--force', 'reports');
    await deployment.ctl('key', 'revoke', '--client-id', 'reports', `--kid=${kid('signing')}`);
  }]);
  return world;
}

async function theEmergency() {
  const world = await World.start([reports()]);
  auditFolder(world);
  return world;
}

async function keys() {
  const world = await World.start([orders({  }), reports({ imported_keys: true })]);
  await world.ceremony('orders', '0a1b2c');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048,
    publicKeyEncoding: { format: 'pem', type: 'spki' }, privateKeyEncoding: { format: 'pem', type: 'pkcs8' } });
  world.program('fetch-the-key', `cat <<'KEY'\n${privateKey}KEY`);
  world.before.push(['key import-certificate', await world.authority('orders.csr')]);
  return world;
}

async function identityServers() {
  const provider = await OpenIdProvider.start();
  const google = await TokenEndpoint.start();
  google.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
  const world = await World.start([
    orders({ audiences: [provider.issuer, provider.tokenEndpoint] }),
    { client_id: 'reports', audiences: [google.url], grant: 'jwt-bearer', subjects: ['ann@example.com'] },
  ]);
  provider.register([{ client_id: 'orders', jwks: await world.deployment.jwks('orders') }]);
  world.places.push(['https://is.example.com', provider.issuer], ['https://shop.auth0.com/oauth/token', provider.tokenEndpoint],
    ['https://oauth2.googleapis.com/token', google.url], ['https://app.example.com/cb', REDIRECT_URI]);
  world.closing.push(() => google.close());
  return world;
}

// The page's clients: Keycloak is an OpenID provider here, the other two are endpoints that grant everything.
async function firstToken() {
  const [{ text }] = blocksOf('deploy/docs/first-token.md').filter(({ language }) => language === 'json');
  const { clients } = JSON.parse(text.replaceAll('"uid:1000"', `"uid:${process.getuid()}"`));
  const provider = await OpenIdProvider.start();
  const endpoints = [await TokenEndpoint.start(), await TokenEndpoint.start()];
  for (const endpoint of endpoints) endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
  const world = await World.start([{ ...clients[0], audiences: [provider.issuer] }, ...clients.slice(1)],
    { keys: clients.slice(1).map(({ client_id: id }) => id) });
  const { deployment } = world;
  world.write('assertiond.pid', `${deployment.daemon.pid} 1:1\n`);
  world.places.push(['https://keycloak.example.com/realms/shop', provider.issuer],
    ['https://shop.eu.auth0.com/oauth/token', endpoints[0].url],
    ['https://login.microsoftonline.com/shop.example/oauth2/v2.0/token', endpoints[1].url]);
  world.before.push(['assertiond --check-config', async () => {
    // As the page has them, the profiles have nothing to say of the entries.
    world.write('page.json', JSON.stringify({ ...JSON.parse(readFileSync(deployment.configuration, 'utf8')), clients }));
    const { status, stdout, stderr } = await run(path.join(BIN, 'assertiond'), ['--check-config', path.join(world.folder, 'page.json')],
      { env: world.environment });
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(stdout + stderr, /warning: clients/);
  }], ['token request --client-id orders', async () =>
    provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders') }])]);
  world.closing.push(() => {
    for (const endpoint of endpoints) endpoint.close();
    const sent = endpoints.map(({ forms }) => Object.fromEntries(['client_id', 'audience', 'scope'].map((name) => [name, forms[0].get(name)])));
    assert.deepEqual(sent, [{ client_id: clients[1].client_id, audience: 'https://api.example.com', scope: null },
      { client_id: clients[2].client_id, audience: null, scope: 'https://graph.microsoft.com/.default' }]);
  });
  return world;
}

async function accessTokens() {
  const endpoint = await TokenEndpoint.start();
  endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
  const world = await World.start([orders({ audiences: [endpoint.url], tokens: { token_endpoint: endpoint.url, scopes: ['orders.read'] } })],
    { configuration: (folder) => ({ token_listen: `unix:${folder}/tokens.sock` }) });
  world.places.push(['/run/assertiond/tokens.sock', path.join(world.folder, 'tokens.sock')]);
  world.closing.push(() => endpoint.close());
  return world;
}

async function mutualTlsPage() {
  const world = await World.start([orders()]);
  const { certificate } = await CertificateAuthority.found('callers');
  const configuration = JSON.parse(readFileSync(world.deployment.configuration, 'utf8'));
  world.write('with-tls.json', JSON.stringify({ ...configuration, tls: mutualTls(world.folder, certificate) }));
  offlineCommands(world);
  world.places.push(['/etc/assertiond/assertiond.json', path.join(world.folder, 'with-tls.json')]);
  world.before.push(['tls import-certificate', await world.authority('signer.csr')]);
  return world;
}

// Two servers: one of them has TLS, and with it a certificate of an authority.
async function http() {
  const world = await World.start([orders()]);
  world.places.push(['http://127.0.0.1:8080', world.environment.ASSERTIOND_HTTP], ['http://127.0.0.1:8090', world.environment.ASSERTIOND_MONITOR]);
  const authority = await CertificateAuthority.found('Example authority');
  const secure = await Deployment.start([orders()],
    (folder) => ({ http_listen: '127.0.0.1:0', tls: mutualTls(folder, authority.certificate) }), (made) => made.makeTlsKey(authority));
  world.closing.push(() => secure.close());
  await secure.generateKey('orders');
  world.places.push(['https://signer.example:8080', secure.httpOrigin],
    ['/var/lib/assertiond/certificate.pem', path.join(secure.folder, 'authorities.pem')]);
  return world;
}

async function runbook() {
  const world = await World.start([orders(), reports()]);
  world.places.push(['unix:/run/assertiond/assertiond.sock', world.environment.ASSERTIOND_SERVER],
    ['http://127.0.0.1:8090', world.environment.ASSERTIOND_MONITOR],
    ['/etc/assertiond/assertiond.json', world.environment.ASSERTIOND_CONFIG]);
  auditFolder(world);
  offlineCommands(world);
  await world.deployment.ctl('audit', 'key', '--out', path.join(world.folder, 'audit.jwk'));   // the page takes it from elsewhere
  world.program('journalctl', `[ "$*" = "--unit assertiond --output cat" ]\nexec cat '${world.deployment.log}'`);
  return world;
}

async function callersAndOperators() {
  const world = await World.start([orders()]);
  world.places.push(['/etc/assertiond/assertiond.json', world.environment.ASSERTIOND_CONFIG]);
  return world;
}

async function dpop() {
  const world = await World.start([{ client_id: 'shop-dpop', purposes: ['dpop'] }]);
  world.write('token', createHash('sha256').update(randomBytes(9)).digest('base64url'));
  return world;
}

async function wso2() {
  const world = await World.start([orders()]);
  await world.wso2();
  return world;
}

// The page buys a token with its example.
async function calling() {
  const endpoint = await TokenEndpoint.start();
  endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
  const world = await World.start([orders({ audiences: [endpoint.url] })]);
  world.cwd = mkdtempSync(path.join(temporaryFolder(), 'clone-'));
  for (const folder of ['proto', 'tests']) symlinkSync(path.join(ROOT, folder), path.join(world.cwd, folder));
  world.places.push([AUDIENCE, endpoint.url]);
  world.closing.push(() => endpoint.close());
  return world;
}

// A clone of this repository, in whose folder the page builds. The packages that it installs must be there: no test changes
// the machine.
async function repository() {
  const world = await World.start([orders()]);
  world.cwd = mkdtempSync(path.join(temporaryFolder(), 'clone-'));
  for (const folder of ['deploy', 'proto']) symlinkSync(path.join(ROOT, folder), path.join(world.cwd, folder));
  world.program('sudo', `[ "$1 $2" = "apt-get install" ]
shift 2
for package; do dpkg-query --show --showformat '\${Package} \${db:Status-Status}\\n' "$package"; done |
  { ! grep -v ' installed$'; }`);
  world.program('python3', 'echo "another Python, without the packages of Debian" >&2\nexit 1');
  world.seconds = 240;   // a compiler's
  return world;
}

// The page's whole configuration file. It is served without the client that the page adds, so that a reload adds it.
async function addAClient() {
  const [{ text }] = blocksOf('deploy/docs/add-a-client.md').filter(({ language }) => language === 'json');
  const whole = (folder) => {
    const here = new Map([['listen', `unix:${folder}/assertiond.sock`], ['listen_group', ownGroup],
      ['http_listen', '127.0.0.1:0'], ['admin_listen', '127.0.0.1:0']]);
    const { hsm, ...fields } = JSON.parse(text.replaceAll(/"user:\w+"/g, `"uid:${process.getuid()}"`), (name, value) => here.get(name) ?? value);
    assert.match(hsm, /^pkcs11:/);
    fields.clients[1].callers = fields.clients[1].callers.slice(0, 1);   // both are this user here
    return fields;
  };
  const ownGroup = (await output('id', ['--group', '--name'])).trim();
  const { clients: [first] } = whole('');
  const world = await World.start([first], { configuration: (folder) => ({ ...whole(folder), clients: [first], refresh_interval: '5s', audit: {} }) });
  const { deployment, folder } = world;
  world.before.push(['assertiond --check-config', () => {
    const { hsm, ...served } = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    writeFileSync(deployment.configuration, JSON.stringify({ hsm, ...served, ...whole(folder) }));
  }]);
  world.places.push(['/etc/assertiond/assertiond.json', deployment.configuration]);
  world.program('systemctl', `[ "$*" = "reload assertiond" ]
kill -HUP ${deployment.daemon.pid}
grep -q -m 1 'SIGHUP: clients and operators' < <(timeout 30 tail -n +1 -f '${deployment.log}')`);
  return world;
}

// The provider that the page starts listens on a socket in its folder; a port that the system chooses leads there.
async function tryOidcProvider() {
  const sockets = new Set();
  const door = net.createServer((caller) => {
    const provider = net.connect(path.join(world.folder, 'provider.sock'));
    for (const socket of [caller, provider]) sockets.add(socket.on('error', () => {}));
    caller.pipe(provider).pipe(caller);
  }).listen(0, '127.0.0.1');
  await once(door, 'listening');
  const origin = `http://127.0.0.1:${door.address().port}`;
  const buying = orders({ audiences: [AUDIENCE, origin], tokens: { issuer: origin } });
  const world = await World.start([buying], { configuration: (folder) => ({ token_listen: `unix:${folder}/tokens.sock` }) });
  const { deployment } = world;
  world.before.push(['key generate --client-id orders-dpop', async () => {
    const { clients: [served], ...others } = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    writeFileSync(deployment.configuration, JSON.stringify({ ...others, clients: [
      { ...served, tokens: { ...buying.tokens, dpop_client: 'orders-dpop' } },
      { client_id: 'orders-dpop', callers: served.callers, purposes: ['dpop'], algorithm: 'ES256' }] }));
    deployment.daemon.kill('SIGHUP');
    await output('bash', ['-c', `grep -q -m 1 'SIGHUP: clients and operators' < <(timeout 30 tail -n +1 -f '${deployment.log}')`]);
  }]);
  const { version } = JSON.parse(readFileSync(path.join(NODE_MODULES, 'oidc-provider/package.json'), 'utf8'));
  world.program('npm', `[ "$*" = "install oidc-provider@${version}" ]\nln -s '${NODE_MODULES}' node_modules`);
  world.places.push(['http://127.0.0.1:9000', origin], ["listen(9000, '127.0.0.1'", `listen('${world.folder}/provider.sock'`]);
  world.closing.push(() => {
    for (const socket of sockets) socket.destroy();
    door.close();
  });
  return world;
}

async function auditLog() {
  const endpoint = await TokenEndpoint.start();
  endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
  const world = await World.start([orders(), reports({ audiences: [endpoint.url], tokens: { token_endpoint: endpoint.url } })]);
  auditFolder(world);
  world.before.push(['lines() {', async () => {
    const caller = new Caller(AccessTokenService, world.deployment.socket);
    await caller.call('GetAccessToken', { client_id: 'reports' });
    caller.close();
  }]);
  world.before.push(['mkdir -p archive', async () => {
    // A file of its own for what follows, and a checkpoint over its first lines: as after rotate_octets.
    renameSync(path.join(world.folder, 'audit.log'), path.join(world.folder, 'audit.log.00000000000000000001'));
    world.deployment.daemon.kill('SIGHUP');
    await new Deadline(60, 'a checkpoint in the new file').until(() => existsSync(path.join(world.folder, 'audit.log')) &&
      readFileSync(path.join(world.folder, 'audit.log'), 'utf8').includes('"event":"Checkpoint"'));
  }]);
  world.closing.push(() => endpoint.close());
  world.before.push(['jti=', () => world.deployment.ctl('assertion', 'create', '--client-id', 'orders')]);
  // pages.test.mjs runs what the page installs; a pod is this deployment.
  world.program('systemctl', '[ "$*" = "enable --now assertiond-to-siem" ] || [[ "$*" == st@(op|art)" assertiond" ]]');
  world.program('kubectl', '[ "$1 $2 $3 $4 $5" = "-n assertiond exec assertiond-0 --" ]\nshift 5\nexec "$@"');
  for (const [there, here] of [['/usr/local/sbin/assertiond-to-siem', 'bin/to-siem'],
    ['/etc/systemd/system/assertiond-to-siem.service', 'to-siem.service']]) {
    world.places.push([there, path.join(world.home, here)]);
  }
  world.before.push(['systemctl stop assertiond', () => world.deployment.stopDaemon()],
    ['systemctl start assertiond', () => world.deployment.startDaemon()]);
  return world;
}

// After the backup of the page its client changes keys. The page stops and starts the server around the restore.
async function operations() {
  const world = await World.start([orders(), reports()]);
  const { deployment } = world;
  world.cwd = mkdtempSync(path.join(temporaryFolder(), 'operator-'));
  world.program('sudo', 'exec "$@"');
  world.program('systemctl', '[[ "$*" == st@(op|art)" assertiond" ]]');
  const probes = ['http://127.0.0.1:8090', ''];
  world.places.push(['/var/lib/softhsm/tokens', path.join(world.folder, 'tokens')], ['/var/lib/assertiond', world.folder], probes);
  const { kid: first } = await deployment.key('orders');
  const signing = async () => JSON.parse(await deployment.ctl('key', 'list', '--client-id', 'orders', '--json')).keys
    .filter(({ state }) => state === 'signing').map(({ kid }) => kid);
  world.before.push(['systemctl stop assertiond', async () => {
    const { key } = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--json'));
    await deployment.ctl('key', 'schedule', '--client-id', 'orders', `--kid=${key.kid}`, '--sign-from', 'now');
    await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${first}`);
    await deployment.stopDaemon();
  }], ['systemctl start assertiond', async () => {
    await deployment.startDaemon();
    probes[1] = deployment.adminOrigin;
    assert.deepEqual(await signing(), [], 'the older ledger is refused');
  }]);
  world.closing.push(async () => {
    const kids = await signing();
    assert.equal(kids.length, 1);
    assert.notEqual(kids[0], first, 'what was revoked is revoked again');
  });
  return world;
}

// By page. A page with blocks that run and without a world of its own gets the usual one.
const WORLDS = {
  'README.md': () => World.start([orders(), reports()], { keys: ['reports'] }),
  'deploy/rotation.md': rotation,
  'deploy/rotation.md#the-emergency': theEmergency,
  'deploy/runbook.md': runbook,
  'deploy/docs/access-tokens.md': accessTokens,
  'deploy/docs/add-a-client.md': addAClient,
  'deploy/docs/audit-log.md': auditLog,
  'deploy/docs/callers-and-operators.md': callersAndOperators,
  'deploy/docs/calling.md': calling,
  'deploy/docs/try-oidc-provider.md': tryOidcProvider,
  'deploy/docs/dpop.md': dpop,
  'deploy/docs/first-token.md': firstToken,
  'deploy/docs/http.md': http,
  'deploy/docs/identity-servers.md': identityServers,
  'deploy/docs/keys.md': keys,
  'deploy/docs/mutual-tls.md': mutualTlsPage,
  'deploy/docs/operations.md': operations,
  'deploy/docs/wso2.md': wso2,
  'deploy/clients/go/README.md': repository,
  'deploy/clients/java/README.md': repository,
  'deploy/clients/python/README.md': repository,
};
export const worldOf = (page) => (WORLDS[page] ?? (() => World.start([orders(), reports()])))();
