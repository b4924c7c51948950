// No private key is ever a file, and the PIN is in the PIN file alone.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { asRoot, temporaryFolder } from './process.mjs';
import { describeSecrets } from './secrets.mjs';

describe('secrets', () => {
  let provider;
  let deployment;

  before(async () => {
    provider = await OpenIdProvider.start();
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [provider.tokenEndpoint] }]);
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  it('are nowhere after success, refusals and bad input', async () => {
    provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders') }]);
    const request = ['token', 'request', '--client-id', 'orders', '--token-endpoint', provider.tokenEndpoint];
    await deployment.ctl(...request);
    for (const options of [
      [...request, '--audience', 'https://nobody.example'],
      ['assertion', 'create', '--client-id', 'nobody'],
      ['assertion', 'create', '--client-id', 'orders', '--claim', 'iss="someone"'],
      ['key', 'generate', '--client-id', 'nobody'],
    ]) {
      assert.notEqual((await deployment.tryCtl(...options)).status, 0, options.join(' '));
    }
    await deployment.ctl('doctor', '--config', deployment.configuration);
    assert.deepEqual(await deployment.findSecrets(), []);
  });

  it('are not in what a core of the process would show, which it does not leave', async () => {
    const { pid } = deployment.daemon;
    const limits = readFileSync(`/proc/${pid}/limits`, 'utf8');
    assert.match(limits, /^Max core file size +0 +0 /m);
    if (process.getuid() !== 0) assert.throws(() => readFileSync(`/proc/${pid}/mem`), { code: 'EACCES' });
    const forms = ['utf8', 'hex', 'base64'].map((form) => Buffer.from(deployment.pin).toString(form));
    const held = await asRoot('python3', ['memory_holds.py', String(pid)], { input: [...forms, 'orders'].join('\n') });
    assert.equal(held, 'orders\n', 'the search finds what is there, and the PIN is not');
  });
});

describe('the search for secrets finds what was planted', () => {
  const pin = '4f1d9a7be2c0';
  // By way of PEM: Node.js 20 can deadlock when it exports a key object that it generated itself.
  const generated = (type, options) => createPrivateKey(generateKeyPairSync(type, {
    ...options,
    publicKeyEncoding: { format: 'pem', type: 'spki' },
    privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
  }).privateKey);
  const privateKey = generated('rsa', { modulusLength: 2048 });
  const { n, p, q, d } = privateKey.export({ format: 'jwk' });
  const moduli = [Buffer.from(n, 'base64url')];
  const elliptic = generated('ec', { namedCurve: 'P-256' });
  const rsa = (format, type, more) => privateKey.export({ format, type, ...more });
  const encrypted = { cipher: 'aes-256-cbc', passphrase: 'x' };
  const prime = Buffer.from(p, 'base64url');
  const planted = {
    'the PIN': `C_Login with ${pin}`,
    'the PIN in base64': Buffer.from(`user:${pin}.`).toString('base64'),
    'the PIN in hexadecimal': Buffer.from(pin).toString('hex'),
    'PKCS#8 in PEM': rsa('pem', 'pkcs8'),
    'PKCS#1 in PEM': rsa('pem', 'pkcs1'),
    'an encrypted key in PEM': rsa('pem', 'pkcs8', encrypted),
    'PKCS#8 in DER': rsa('der', 'pkcs8'),
    'PKCS#1 in DER amid other octets': Buffer.concat([Buffer.alloc(33, 0x30), rsa('der', 'pkcs1'), Buffer.alloc(9)]),
    'an encrypted key in DER': rsa('der', 'pkcs8', encrypted),
    'an elliptic key in DER': elliptic.export({ format: 'der', type: 'sec1' }),
    'DER in base64': rsa('der', 'pkcs1').toString('base64'),
    'DER in hexadecimal': rsa('der', 'pkcs8').toString('hex'),
    'a private JWK': JSON.stringify({ kty: 'RSA', n, e: 'AQAB', d }),
    'a bare prime': Buffer.concat([Buffer.from('CKA_PRIME_2'), Buffer.from(q, 'base64url')]),
    'a bare prime, lowest octet first': Buffer.from(prime).reverse(),
    'a bare prime in base64url': `value ${p}`,
  };

  for (const [what, content] of Object.entries(planted)) {
    it(what, () => {
      const folder = mkdtempSync(path.join(temporaryFolder(), 'planted-'));
      writeFileSync(path.join(folder, 'pin'), `${pin}\n`);
      writeFileSync(path.join(folder, 'innocent'), createPublicKey(privateKey).export({ format: 'pem', type: 'spki' }));
      const search = () => describeSecrets({ folder, pinFile: path.join(folder, 'pin'), moduli });
      assert.deepEqual(search(), []);
      const file = path.join(folder, 'planted');
      writeFileSync(file, content);
      assert.ok(search().length > 0);
      assert.ok(search().every((line) => line.startsWith(`${file}: `)), search().join('\n'));
      rmSync(folder, { recursive: true });
    });
  }

  it('in the environment of a process', () => {
    const folder = mkdtempSync(path.join(temporaryFolder(), 'planted-'));
    writeFileSync(path.join(folder, 'pin'), `${pin}\n`);
    const options = ['--input-type=module', '--eval', `
      import { describeSecrets } from ${JSON.stringify(new URL('./secrets.mjs', import.meta.url).href)};
      const [folder, pinFile] = ${JSON.stringify([folder, path.join(folder, 'pin')])};
      console.log(describeSecrets({ folder, pinFile, processes: [process.pid] }).join());`];
    const search = (env, ...words) => execFileSync(process.execPath, [...options, '--', ...words],
      { env, encoding: 'utf8' });
    assert.equal(search({}), '\n');
    assert.match(search({ HSM_PIN: pin }), /environ: the PIN/);
    assert.match(search({}, `--pin=${pin}`), /cmdline: the PIN/);
    rmSync(folder, { recursive: true });
  });
});
