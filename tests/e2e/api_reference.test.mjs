// The API reference's examples: each is called on a live server and must be answered as the page shows.
// After an intended change of an answer, E2E_RECORD=1 ctest --test-dir build/release -R '^e2e\.api_reference$' writes
// the answers to the examples; then build the target api-reference.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { AccessTokenService, AssertionService, KeyAdminService } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, output, temporaryFolder } from './process.mjs';

const DOCS = path.join(process.env.E2E_PROTO_DIR, '..', 'deploy', 'docs');
const EXAMPLES = path.join(DOCS, 'api_examples.json');
const BASE64 = /^[A-Za-z0-9+/]+=*$/;
const SHA256 = /^[\w-]{43}$/;   // base64url
const PEM = /^(-----BEGIN ([A-Z ]+)-----\n([A-Za-z0-9+/=]+\n)+-----END \2-----\n)+$/;
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const HEX_ID = /^[\da-f]{32}$/;   // as assertionctl prints it; base64 of 16 octets ends with =
const INSTANT = /\b(?!9999)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g;

// The fields whose values differ from run to run: the word that stands for the value, and the value's form.
const VOLATILE = {
  assertion: ['JWT', COMPACT],
  chain_der: ['DER', BASE64],
  checkpoint_sequence: ['SEQUENCE', /^[1-9]\d*$/],
  cka_id: ['CKA_ID', BASE64],
  csr_pem: ['CSR', PEM],
  der: ['DER', BASE64],
  digest: ['DIGEST', SHA256],
  evidence: ['JWS', COMPACT],
  hash: ['HASH', SHA256],
  id: ['CHANGE', /^[\w-]{16,}$/],
  jti: ['JTI', /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/],
  kid: ['KID', SHA256],
  n: ['MODULUS', /^[\w-]{342}$/],
  pem: ['PEM', PEM],
  proof: ['JWT', COMPACT],
  request_object: ['JWT', COMPACT],
  requested_by: ['CALLER', /^uid:\d+$/],
  sequence: ['SEQUENCE', /^[1-9]\d*$/],
  x5c: ['DER', BASE64],
  x5t_s256: ['THUMBPRINT', SHA256],
  'x5t#S256': ['THUMBPRINT', SHA256],
};

const ANY = new Set(['HASH', 'SEQUENCE']);   // whether two of them are equal differs, too

// Words for volatile values. A value keeps its word, and a word its value.
class Words {
  #values = new Map();
  #words = new Map();

  set(word, value) {
    this.#values.set(word, value);
    this.#words.set(value, word);
  }

  // The answer with words for its volatile values. A value of another form stays, and differs from what is recorded.
  hide(value, field) {
    if (Array.isArray(value)) return value.map((one) => this.hide(one, field));
    if (value !== null && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, this.hide(one, name)]));
    }
    if (typeof value === 'number' && ANY.has(VOLATILE[field]?.[0])) return VOLATILE[field][0];
    if (typeof value !== 'string') return value;
    if (field === 'jwks' || field === 'jwk') return JSON.stringify(this.hide(JSON.parse(value)));
    const [kind, form] = field === 'cka_id' && HEX_ID.test(value) ? ['CKA_ID_HEX', HEX_ID] : VOLATILE[field] ?? [];
    if (!form?.test(value)) return value.replace(INSTANT, 'TIME');
    if (ANY.has(kind)) return kind;
    if (!this.#words.has(value)) {
      let number = 1;
      while (this.#values.has(`${kind}_${number}`)) number += 1;
      this.set(`${kind}_${number}`, value);
    }
    return this.#words.get(value);
  }

  // The request with the values of its words.
  show(request) {
    return JSON.parse(JSON.stringify(request), (name, value) => this.#values.get(value) ?? value);
  }
}

describe('the API reference', () => {
  const examples = JSON.parse(readFileSync(EXAMPLES, 'utf8'));
  const words = new Words();
  let authority;
  let deployment;
  let certificates;
  let identityServer;

  before(async () => {
    // The answer is that of RFC 6749 section 4.4.3.
    identityServer = http.createServer((request, response) => request.resume().on('end', () => response.end(JSON.stringify(
      { access_token: '2YotnFZFEjr1zCsicMWpAA', token_type: 'Bearer', expires_in: 3600 })))).listen(0, '127.0.0.1');
    await once(identityServer, 'listening');
    const endpoint = `http://127.0.0.1:${identityServer.address().port}/token`;
    authority = await CertificateAuthority.found('example');
    const orders = {
      client_id: 'orders', audiences: ['https://is.example/token'], binding: 'jwks', extra_claims: ['account'],
      imported_keys: true,
      purposes: ['client_assertion', 'dpop', 'request_object'],
    };
    const reports = { client_id: 'reports', audiences: [endpoint], tokens: { token_endpoint: endpoint, scopes: ['read', 'write'] } };
    deployment = await Deployment.start([orders, reports], (folder) => ({
      tls: mutualTls(folder, authority.certificate),
      audit: { checkpoint_lines: 1 },
      two_person_rule: { methods: ['RevokeKey', 'DestroyKey'], window: '1h' },
      operators: [
        { caller: `uid:${process.getuid()}`, roles: ['operator', 'approver'] },
        { caller: 'dns:approver.example', roles: ['approver'] },
      ],
    }), (made) => made.makeTlsKey(authority));
    certificates = mkdtempSync(path.join(temporaryFolder(), 'approver-'));
    const { cert, key } = await authority.identity('DNS:approver.example');
    const files = { 'signer.pem': authority.certificate, 'approver.pem': cert, 'approver.key': key };
    for (const [name, pem] of Object.entries(files)) writeFileSync(path.join(certificates, name), pem, { mode: 0o600 });
    words.set('TOMORROW', `${new Date(Date.now() + 86_400_000).toISOString().slice(0, 19)}Z`);
  });

  after(async () => {
    identityServer?.close();
    await deployment?.close();
    if (process.env.E2E_RECORD) writeFileSync(EXAMPLES, `${JSON.stringify(examples, null, 2)}\n`);
  });

  async function answerOf({ method, options = ['$ASSERTIOND_SERVER'], request }) {
    const servers = {
      $ASSERTIOND_SERVER: deployment.environment.ASSERTIOND_SERVER,
      'signer.example:8443': `127.0.0.1:${deployment.tlsPort}`,
    };
    const call = [...options.map((option) => servers[option] ?? option), method, JSON.stringify(words.show(request))];
    const answer = JSON.parse(await output(path.join(DOCS, 'call.py'), call, { cwd: certificates }));
    return Array.isArray(answer) ? answer.sort((a, b) => a.tag - b.tag) : answer;
  }

  // What the example's command prints as JSON. Such a command only reads; the others would make their change twice.
  async function printedBy({ command = '' }) {
    const [program, ...options] = command.split(' ');
    if (!options.includes('--json')) return undefined;
    assert.equal(program, 'assertionctl', command);
    return words.hide(JSON.parse(await deployment.ctl(...options)));
  }

  // Steps outside the API, before a method is called.
  const prepare = {
    // The authority's answer to the request of CreateCsr.
    async ImportCertificate() {
      const csr = words.show('CSR_1');
      words.set('ISSUED_CERTIFICATE', Buffer.from(await authority.issue(csr)).toString('base64'));
    },
    // A key pair of a key ceremony.
    async ExamineKey() {
      const [, module] = /module-path=([^&"]*)/.exec(readFileSync(deployment.configuration, 'utf8'));
      const ceremony = fileURLToPath(new URL('ceremony.py', import.meta.url));
      await output('/usr/bin/python3', [ceremony, module, 'end-to-end', 'ceremony', '0a0b', 'rsa'],
        { env: { ...deployment.environment, E2E_PIN: deployment.pin, PYTHONDONTWRITEBYTECODE: '1' } });
      words.set('CEREMONY_CKA_ID', Buffer.from('0a0b', 'hex').toString('base64'));
    },
    // A key that another party made.
    async ImportKey() {
      const pem = await output('openssl', ['genpkey', '-quiet', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']);
      words.set('PRIVATE_KEY', createPrivateKey(pem).export({ format: 'der', type: 'pkcs8' }).toString('base64'));
    },
    // The server has proved a line of its audit log.
    async GetAuditHead() {
      await new Deadline(30, 'a checkpoint of the audit log').until(async () =>
        JSON.parse(await deployment.ctl('audit', 'head', '--json')).checkpoint_sequence > 0);
    },
    async GetAccessToken() {
      await deployment.generateKey('reports');
    },
    // A token that is restored from a backup.
    async AcceptLedger() {
      const tokens = path.join(deployment.folder, 'tokens');
      const backup = path.join(deployment.folder, 'backup');
      await deployment.stopDaemon();
      cpSync(tokens, backup, { recursive: true });
      await deployment.startDaemon();
      await deployment.generateKey('orders');
      await deployment.stopDaemon();
      rmSync(tokens, { recursive: true });
      cpSync(backup, tokens, { recursive: true });
      await deployment.startDaemon();
    },
  };

  it('has an example of every method', () => {
    const methods = [AccessTokenService, AssertionService, KeyAdminService].flatMap((Service) => Object.keys(Service.service));
    assert.deepEqual([...new Set(examples.map(({ method }) => method))].sort(), methods.sort());
  });

  // In their order: each builds on those before it.
  for (const example of examples) {
    it(`${example.method} answers as shown`, async () => {
      await prepare[example.method]?.();
      const printed = await printedBy(example);
      const answer = words.hide(await answerOf(example));
      if (process.env.E2E_RECORD) Object.assign(example, { answer, ...printed && { printed } });
      assert.deepEqual(answer, example.answer);
      assert.deepEqual(printed, example.printed);
    });
  }

  it('shows commands that assertionctl has', async () => {
    for (const { command } of examples.filter((example) => example.command)) {
      const [, noun, verb] = /assertionctl (\S+) (\S+)/.exec(command);
      const help = await deployment.ctl(noun, verb, '--help');
      for (const [, flag] of command.matchAll(/ (--[\w-]+)/g)) {
        assert.match(help, new RegExp(`^ *${flag}\\b`, 'm'), command);
      }
    }
  });

});
