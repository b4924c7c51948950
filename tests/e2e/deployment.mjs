// A deployment of assertiond as an operator would make it: a state folder with a SoftHSM token, a PIN file and the
// configuration; the daemon on a Unix socket in that folder; assertionctl to talk to it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describeSecrets } from './secrets.mjs';
import { Deadline, Lines, output, run, startProcess, temporaryFolder, wholeLines } from './process.mjs';

const BIN = process.env.E2E_BIN_DIR;
const MODULE = ['/usr/lib/softhsm/libsofthsm2.so', '/usr/lib64/softhsm/libsofthsm.so'].find(existsSync);
const TOKEN = 'end-to-end';
const ME = `uid:${process.getuid()}`;

// The configuration's field tls, for callers with a certificate of these authorities (PEM), which are put into the state
// folder. changed: fields that differ.
export function mutualTls(folder, authorities, changed = {}) {
  const file = path.join(folder, 'authorities.pem');
  writeFileSync(file, authorities);
  return { listen: '127.0.0.1:0', certificate: path.join(folder, 'tls.pem'), client_ca: file, ...changed };
}

export class Deployment {
  // Makes a token and starts the daemon on it. clients: the configuration's list of clients; configuration: its other
  // fields, or a function of the state folder; prepare: what is done to the deployment before the daemon starts.
  static async start(clients, configuration = {}, prepare = async () => {}) {
    const deployment = new Deployment();
    await deployment.#initialise(clients, configuration);
    await prepare(deployment);
    await deployment.startDaemon();
    return deployment;
  }

  // Starts another daemon on the same token, with a socket of its own. It ends by stopDaemon(), before this one does.
  // changed: fields of its configuration that differ; name: of its files; launcher: see startDaemon.
  async startReplica(changed = {}, { name = 'replica', launcher = this.launcher } = {}) {
    const replica = Object.assign(new Deployment(), this, { launcher });
    replica.socket = path.join(this.folder, `${name}.sock`);
    replica.environment = { ...this.environment, ASSERTIOND_SERVER: `unix:${replica.socket}` };
    replica.configuration = path.join(this.folder, `${name}.json`);
    replica.log = path.join(this.folder, `${name}.log`);
    const configuration = JSON.parse(readFileSync(this.configuration, 'utf8'));
    writeFileSync(replica.configuration, JSON.stringify({
      ...configuration, listen: `unix:${replica.socket}`, audit: { path: path.join(this.folder, `${name}.audit`) },
      ...changed,
    }));
    await replica.startDaemon();
    return replica;
  }

  async #initialise(clients, configuration) {
    this.folder = mkdtempSync(path.join(temporaryFolder(), 'state-'));
    this.pinFile = path.join(this.folder, 'pin');
    this.pin = randomBytes(12).toString('hex');
    writeFileSync(this.pinFile, `${this.pin}\n`, { mode: 0o600 });

    const tokens = path.join(this.folder, 'tokens');
    mkdirSync(tokens, { mode: 0o700 });
    const softhsm = path.join(this.folder, 'softhsm2.conf');
    writeFileSync(softhsm, `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`);
    this.socket = path.join(this.folder, 'assertiond.sock');
    this.environment = { ...process.env, SOFTHSM2_CONF: softhsm, ASSERTIOND_SERVER: `unix:${this.socket}` };
    await output('softhsm2-util', ['--init-token', '--free', '--label', TOKEN, '--pin', this.pin,
      '--so-pin', randomBytes(12).toString('hex')], { env: this.environment });

    this.configuration = path.join(this.folder, 'assertiond.json');
    writeFileSync(this.configuration, JSON.stringify({
      hsm: `pkcs11:token=${TOKEN}?module-path=${MODULE}&pin-source=file:${this.pinFile}`,
      listen: `unix:${this.socket}`,
      state_directory: this.folder,
      operators: [{ caller: ME, roles: ['viewer', 'operator', 'approver'] }],
      key_limits: { per_client: 64, generations_per_hour: 100000, client_generations_per_hour: 100000 },
      clients: clients.map((client) => ({ callers: [ME], ...client })),
      ...(typeof configuration === 'function' ? configuration(this.folder) : configuration),
    }, null, 2));
    this.log = path.join(this.folder, 'assertiond.log');
  }

  // Puts another PKCS#11 module into the configuration, one that wraps the real one. Returns the real one's path.
  wrapModule(wrapper) {
    const configuration = readFileSync(this.configuration, 'utf8');
    const [, module] = /module-path=([^&"]*)/.exec(configuration);
    writeFileSync(this.configuration, configuration.replace(module, wrapper));
    return module;
  }

  // Makes the server's TLS key on the token, and has the authority certify it for this machine. Before the daemon starts.
  async makeTlsKey(authority) {
    const ctl = (...options) => this.ctl('tls', ...options, '--config', this.configuration);
    await ctl('generate', '--san', 'IP:127.0.0.1');
    const csr = await ctl('csr', '--subject', 'CN=signer', '--san', 'IP:127.0.0.1', '--san', 'DNS:localhost');
    const issued = path.join(this.folder, 'issued.pem');
    writeFileSync(issued, await authority.issue(csr));
    await ctl('import-certificate', '--certificate', issued);
  }

  // Returns the daemon's process, started by `launcher` if there is one, and with `options` besides its configuration.
  launchDaemon() {
    const [program, ...options] = [...(this.launcher ?? []), path.join(BIN, 'assertiond'), '--config', this.configuration,
      ...(this.options ?? [])];
    return startProcess(program, options, { env: this.environment, log: this.log });
  }

  async startDaemon() {
    const daemon = this.launchDaemon();
    const lines = new Lines(daemon, 'stderr');
    const deadline = new Deadline(30, `assertiond to serve; its log is ${this.log}`);
    for (let line = ''; !line.includes('serving on unix:');) {
      line = await lines.next(deadline);
      this.tlsPort = /"serving on \S+:(\d+) with TLS"/.exec(line)?.[1] ?? this.tlsPort;
      this.adminOrigin = /"probes and metrics on (http:[^\s"]+)"/.exec(line)?.[1] ?? this.adminOrigin;
      this.httpOrigin = /"publishing on (https?:[^\s"]+)"/.exec(line)?.[1] ?? this.httpOrigin;
    }
    this.daemon = daemon;
  }

  // Asks the daemon to end. Returns how it did: { status, signal }.
  async stopDaemon(signal = 'SIGTERM') {
    this.daemon.kill(signal);
    return new Deadline(30, `assertiond to end after ${signal}; its log is ${this.log}`).limit(this.daemon.ended);
  }

  // Ends the deployment as every test file must: no secret lies about, and the daemon ends well.
  async close() {
    const secrets = await this.findSecrets();
    const { status, signal } = await this.stopDaemon();
    assert.deepEqual(secrets, []);
    assert.deepEqual({ status, signal }, { status: 0, signal: null }, `assertiond's end; its log is ${this.log}`);
  }

  // What can be found of the PIN and of private keys in the state folder and in what the system tells of the daemon.
  async findSecrets() {
    const { keys } = JSON.parse(await this.ctl('key', 'list', '--json'));
    const moduli = [];
    for (const client of new Set(keys.map((key) => key.client_id))) {
      // Of other keys, which have no modulus, only what has the form of a private key can be found.
      const { keys: published } = await this.jwks(client);
      for (const jwk of published.filter(({ kty }) => kty === 'RSA')) moduli.push(Buffer.from(jwk.n, 'base64url'));
    }
    return describeSecrets({ folder: this.folder, pinFile: this.pinFile, processes: [this.daemon.pid], moduli });
  }

  // Runs assertionctl, whatever comes of it. What it writes is kept in the state folder, to be searched for secrets.
  async tryCtl(...options) {
    const result = await run(path.join(BIN, 'assertionctl'), options, { env: this.environment });
    appendFileSync(path.join(this.folder, 'assertionctl.log'),
      `assertionctl ${options.join(' ')}\n${result.stdout}${result.stderr}exit status ${result.status}\n`);
    return result;
  }

  // Runs assertionctl, which must succeed. Returns its standard output.
  async ctl(...options) {
    const { status, stdout, stderr } = await this.tryCtl(...options);
    assert.equal(status, 0, `assertionctl ${options.join(' ')}: exit status ${status}\n${stderr}` +
      `assertiond's log is ${this.log}`);
    return stdout;
  }

  async generateKey(clientId, ...options) {
    return JSON.parse(await this.ctl('key', 'generate', '--client-id', clientId, '--json', ...options));
  }

  async createAssertion(clientId, ...options) {
    return (await this.ctl('assertion', 'create', '--client-id', clientId, ...options)).trimEnd();
  }

  async jwks(clientId) {
    return JSON.parse(await this.ctl('jwks', 'get', '--client-id', clientId));
  }

  async key(clientId) {
    const { keys } = JSON.parse(await this.ctl('key', 'list', '--json'));
    return keys.find((key) => key.client_id === clientId);
  }

  // The audit log so far, as objects.
  auditLines() {
    return wholeLines(path.join(this.folder, 'audit.log')).map((line) => JSON.parse(line));
  }

  // Asks the token itself through OpenSC, which shares no code with assertiond. Returns its standard output.
  async askToken(options, encoding) {
    return output('pkcs11-tool', ['--module', MODULE, '--token-label', TOKEN, ...options],
      { env: { ...this.environment, E2E_PIN: this.pin }, encoding });
  }
}
