// assertionctl doctor --try: each HSM is used with throw-away objects, beside a running server.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { run } from './process.mjs';
import { NSS, TokenUnderTest } from './token_under_test.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];
const CLIENTS = ['RS256', 'ES256', 'EdDSA'].map((algorithm) => ({ client_id: algorithm, audiences: AUDIENCES, algorithm }));

async function attempt(deployment, ...options) {
  const { stdout } = await run(deployment.launcher?.[0] ?? 'env', [path.join(process.env.E2E_BIN_DIR, 'assertionctl'), 'doctor',
    '--config', deployment.configuration, '--try', '--json', ...options], { env: deployment.environment });
  return JSON.parse(stdout).findings;
}

const about = (findings, name) => findings.filter((finding) => finding.name === name);
const texts = (findings, name) => about(findings, name).map(({ text }) => text).join('\n');

describe('doctor --try on SoftHSM2', () => {
  const logIn = ['--login', '--pin', 'env:E2E_PIN'];
  let deployment;
  let hsm;

  before(async () => {
    deployment = await Deployment.start(CLIENTS, { sessions: 64 }, async (made) => { hsm = new FaultyHsm(made); });
    for (const { client_id: client } of CLIENTS) await deployment.generateKey(client);
  });

  after(() => deployment?.close());

  const objects = async () => (await deployment.askToken([...logIn, '--list-objects'])).match(/ID: +\S+|Data object/g).length;

  it('makes, tries, uses and destroys a key of each configured algorithm, and all is well', async () => {
    const before = await objects();
    const findings = await attempt(deployment);
    assert.deepEqual(findings.filter(({ ok }) => !ok), []);
    for (const { algorithm } of CLIENTS) {
      assert.match(texts(findings, `try ${algorithm}`), /reads back CKA_SENSITIVE true.*signs with CKM_\w+, and the signatures verify; a signature takes [\d.]+ ms.*destroyed the key pair/s);
    }
    for (const type of ['RSA', 'EC', 'OKP']) {
      const ways = about(findings, `custody ${type}`);
      assert.ok(ways.length > 8, `${ways.length} ways`);
      for (const { text } of ways) assert.match(text, /: held, /);
    }
    assert.match(texts(findings, 'try data'), /4000 octets/);
    assert.match(texts(findings, 'try sessions'), /^opened 64 sessions at once, as many as the field sessions says/);
    assert.equal(await objects(), before, 'nothing stays on the token');
    for (const { client_id: client } of CLIENTS) await deployment.createAssertion(client);
  });

  it('tells a person what is wrong and warnings alone; with --verbose each check', async () => {
    const text = async (...options) => (await run(path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ['doctor', '--config',
      deployment.configuration, '--try', ...options], { env: deployment.environment })).stdout;
    const short = await text();
    assert.match(short, /^\d+ (?:warnings?|ok).*; --verbose shows each check$/m);
    assert.doesNotMatch(short, /^ok /m);
    assert.match(await text('--verbose'), /^ok +try RS256: .*a signature takes/m);
  });

  it('leaves out of its report what is secret', async () => {
    assert.ok(!JSON.stringify(await attempt(deployment)).includes(deployment.pin));
  });

  it('names the call and the code of what fails', async () => {
    hsm.tell('C_GenerateKeyPair fail=0x13');
    const findings = await attempt(deployment);
    hsm.tell();
    assert.match(texts(findings, 'try RS256'), /C_GenerateKeyPair: .*0x13/);
    assert.equal(about(findings, 'try RS256')[0].ok, false);
  });

  it('says how many sessions it gets', async () => {
    hsm.tell('sessions 40');  // the login and pkcs11-provider hold some
    const [{ ok, text }] = about(await attempt(deployment), 'try sessions');
    hsm.tell();
    assert.equal(ok, false);
    assert.match(text, /^opened [23]\d of 64 sessions: .*C_OpenSession/);
  });

  it('names what an interrupted trial left, and removes it', async () => {
    await deployment.askToken([...logIn, '--keypairgen', '--key-type', 'rsa:2048', '--label', 'assertiond-trial', '--id', 'a1']);
    const doctor = async (...options) => (await deployment.tryCtl('doctor', '--config', deployment.configuration, ...options)).stdout;
    const wrong = await doctor();
    assert.match(wrong, /^wrong {2}left-overs: throw-away key pair with CKA_ID a1: /m);
    assert.ok(wrong.includes(`assertionctl doctor --config ${deployment.configuration} --remove-orphans --client-id assertiond-trial destroys it`), wrong);
    assert.match(await doctor('--remove-orphans', '--client-id', 'assertiond-trial'), /^ok {5}left-overs: removed throw-away key pair with CKA_ID a1$/m);
    assert.doesNotMatch(await doctor(), /left-overs/);
  });
});

describe('a token that holds no data objects', () => {
  it('is told at the first start, with the setting that helps, before any key is made; doctor --try finds it', async () => {
    let refused;
    await assert.rejects(Deployment.start(CLIENTS, {}, async (made) => {
      refused = made;
      new FaultyHsm(made).tell('data 0x13');
    }));
    assert.match(readFileSync(refused.log, 'utf8'), /keeps no private data objects.*ledger to file:\/PATH.*C_CreateObject/);
    const objects = await refused.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects']);
    assert.doesNotMatch(objects, /Private Key Object/, 'before any key is made');
    const [{ ok, text }] = about(await attempt(refused), 'try data');
    assert.equal(ok, false);
    assert.match(text, /ledger to file:\/PATH.*C_CreateObject: .*0x13/);
  });
});

describe('doctor --try on another token', () => {
  const RSA = [{ client_id: 'orders', audiences: AUDIENCES }];

  // The findings on a token that a server uses.
  async function findingsOn(name, needs) {
    const token = new TokenUnderTest(name);
    try {
      const deployment = await Deployment.start(RSA, {}, (made) => token.prepare(made, needs));
      await deployment.generateKey('orders');
      const findings = await attempt(deployment);
      await deployment.close();
      return findings;
    } finally {
      await token.stop();
    }
  }

  it('openCryptoki: all is well', async () => {
    const findings = await findingsOn('opencryptoki', {});
    assert.deepEqual(findings.filter(({ ok }) => !ok), []);
    assert.match(texts(findings, 'try template'), /no CKA_COPYABLE/);
    assert.doesNotMatch(texts(findings, 'custody RSA'), /let through/);
  });

  it('a TPM: it takes changes of flags, and nothing comes out', async () => {
    const findings = await findingsOn('tpm', {});
    assert.match(texts(findings, 'custody RSA'), /C_SetAttributeValue CKA_SENSITIVE=false: flag not protected/);
    assert.doesNotMatch(texts(findings, 'custody RSA'), /let through/);
    assert.deepEqual(about(findings, 'try RS256').filter(({ ok }) => !ok), []);
  });

  it('NSS: what it lets through is named, and accepted by the operator', async () => {
    const findings = await findingsOn('nss', NSS);
    assert.deepEqual(findings.filter(({ ok }) => !ok), []);
    assert.match(texts(findings, 'custody RSA'), /C_WrapKey CKM_AES_CBC_PAD: let through, .*the operator accepts it/);
    assert.match(texts(findings, 'try data'), /keeps no private data objects, and needs none/);
  });
});
