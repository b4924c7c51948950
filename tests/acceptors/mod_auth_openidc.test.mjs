// mod_auth_openidc as the acceptor: an Apache out of APACHE_ROOT guards a page, and lets in bearers of a JWT that it verifies with
// the JWK Set that assertiond publishes. See mod_auth_openidc.sh.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CompactSign } from 'jose';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, startProcess, temporaryFolder } from './process.mjs';
import { selfSigned } from './tls.mjs';

const ROOT = process.env.APACHE_ROOT;
const AUDIENCE = 'https://api.example';
const CLIENT = 'orders';

const freePort = () => new Promise((resolve) => {
  const server = net.createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

class Apache {
  #child;
  #origin;

  static async start({ jwksUri, authority }) {
    const apache = new Apache();
    const folder = path.join(temporaryFolder(), 'apache');
    mkdirSync(path.join(folder, 'pages'), { recursive: true });
    writeFileSync(path.join(folder, 'pages/page'), 'the page\n');
    writeFileSync(path.join(folder, 'authority.pem'), authority);
    chmodSync(temporaryFolder(), 0o711);  // Apache reads the page as nobody
    const port = await freePort();
    apache.#origin = `http://127.0.0.1:${port}`;
    const modules = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'auth_openidc'];
    writeFileSync(path.join(folder, 'apache.conf'), `
ServerRoot ${folder}
ServerName localhost
DefaultRuntimeDir ${folder}
Listen 127.0.0.1:${port}
PidFile ${folder}/apache.pid
User nobody
Group nogroup
ErrorLog ${folder}/error.log
LogLevel auth_openidc:info
${modules.map((name) => `LoadModule ${name}_module ${ROOT}/usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
DocumentRoot ${folder}/pages
OIDCCryptoPassphrase ${randomUUID()}
OIDCOAuthVerifyJwksUri ${jwksUri}
OIDCCABundlePath ${folder}/authority.pem
<Location />
  AuthType oauth20
  <RequireAll>
    Require claim iss:${CLIENT}
    Require claim aud:${AUDIENCE}
  </RequireAll>
</Location>
`);
    apache.#child = startProcess(path.join(ROOT, 'usr/sbin/apache2'), ['-f', path.join(folder, 'apache.conf'), '-DFOREGROUND'],
      { env: { ...process.env, LD_LIBRARY_PATH: path.join(ROOT, 'usr/lib/x86_64-linux-gnu') }, log: path.join(folder, 'log') });
    await new Deadline(30, `Apache; its log is ${folder}/error.log`)
      .until(() => fetch(apache.#origin).then(() => true, () => false));
    return apache;
  }

  async ask(token) {
    const { status } = await fetch(`${this.#origin}/page`, { headers: { authorization: `Bearer ${await token}` } });
    return status;
  }

  async close() {
    this.#child.kill('SIGTERM');
    await new Deadline(30, "Apache's end").limit(this.#child.ended);
  }
}

describe('mod_auth_openidc as a resource server', () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  let deployment;
  let apache;

  before(async () => {
    deployment = await Deployment.start([
      { client_id: CLIENT, audiences: [AUDIENCE, 'https://other.example'], grant: 'bearer-token' },
      { client_id: 'shop', audiences: [AUDIENCE], grant: 'bearer-token' },
    ], (folder) => ({ http_listen: '127.0.0.1:0', tls: mutualTls(folder, selfSigned().cert) }),
    async (made) => made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration));
    await deployment.generateKey(CLIENT);
    await deployment.generateKey('shop');
    apache = await Apache.start({ jwksUri: `${deployment.httpOrigin}/clients/${CLIENT}/jwks.json`,
      authority: readFileSync(path.join(deployment.folder, 'tls.pem')) });
  });

  after(async () => {
    await apache?.close();
    await deployment?.close();
  });

  const create = (...options) => deployment.createAssertion(CLIENT, ...options);

  it('lets in the bearer of an assertion', async () => {
    assert.equal(await apache.ask(create('--audience', AUDIENCE)), 200);
  });

  it('refuses the assertion for another audience', async () => {
    assert.equal(await apache.ask(create('--audience', 'https://other.example')), 401);
  });

  it('refuses the assertion of another client', async () => {
    assert.equal(await apache.ask(deployment.createAssertion('shop')), 401);
  });

  it('refuses an assertion that has expired', async () => {
    const assertion = await create('--audience', AUDIENCE, '--lifetime', '5s');
    assert.equal(await apache.ask(assertion), 200);
    await new Deadline(20, 'the assertion to expire').until(async () => await apache.ask(assertion) === 401);
  });

  it('refuses the same claims by a key that is not in the JWK Set', async () => {
    const [header, claims] = (await create('--audience', AUDIENCE)).split('.').map((part) => Buffer.from(part, 'base64url'));
    const forged = new CompactSign(claims).setProtectedHeader(JSON.parse(header)).sign(privateKey);
    assert.equal(await apache.ask(forged), 401);
    assert.equal(await apache.ask(`${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims.toString('base64url')}.`), 401);
  });

  it('takes the next key of a rotation at once: an unknown kid makes it read the JWK Set again', async () => {
    const { kid } = await deployment.generateKey(CLIENT);
    await deployment.ctl('key', 'schedule', '--client-id', CLIENT, `--kid=${kid}`, '--sign-from', 'now', '--force', CLIENT);
    assert.equal(await apache.ask(create('--audience', AUDIENCE)), 200);
  });
});
