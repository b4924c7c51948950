// The server's TLS key is found by its own identity, whatever else is on the token, and signs through every loss.
import assert from 'node:assert/strict';
import { createVerify, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, output, run } from './process.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];
const HANDSHAKES = Number(process.env.E2E_HANDSHAKES ?? 200);
const LOSSES = ['* removed', 'C_Sign wedged times=1', 'C_Sign fail=0x101 times=4', '* fail=0xb3 times=20'];

describe('the TLS key', () => {
  let deployment;
  let hsm;

  before(async () => {
    const authority = await CertificateAuthority.found('tls-key');
    deployment = await Deployment.start([{ client_id: 'orders', audiences: AUDIENCES },
      { client_id: 'edwards', audiences: AUDIENCES }], (folder) => ({
      tls: mutualTls(folder, authority.certificate), http_listen: '127.0.0.1:0',
    }), async (made) => {
      await made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration);
      hsm = new FaultyHsm(made);
    });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  // Not by the cipher: TLS 1.3 has agreed on one before the server signs.
  const shakesHands = async (port, ...options) => /Peer signature type: rsa/i.test(
    (await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, ...options])).stdout);
  const httpPort = () => new URL(deployment.httpOrigin).port;

  it('signs in TLS 1.2 and 1.3, whichever padding they ask for', async () => {
    for (const options of [['-tls1_3'], ['-tls1_2'], ['-tls1_2', '-sigalgs', 'RSA+SHA256'],
      ['-tls1_2', '-sigalgs', 'RSA-PSS+SHA384']]) {
      assert.ok(await shakesHands(httpPort(), ...options), options.join(' '));
    }
  });

  it('is found beside an Ed25519 key, also at a start', async () => {
    await deployment.generateKey('edwards', '--algorithm', 'EdDSA');
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    await deployment.startDaemon();
    assert.ok(await shakesHands(httpPort()) && await shakesHands(deployment.tlsPort));
  });

  it('is looked at by doctor, its files by --check-config', async () => {
    const doctor = async () => (await deployment.tryCtl('doctor', '--config', deployment.configuration, '--verbose')).stdout;
    assert.match(await doctor(), /^ok {5}tls: \S+tls\.pem: key \S+ of this certificate is on the token/m);
    assert.match(await doctor(), /^ok {5}tls: \S+authorities\.pem: these authorities can vouch/m);
    const file = path.join(deployment.folder, 'tls.pem');
    const certificate = readFileSync(file);
    const check = async () => (await run(path.join(process.env.E2E_BIN_DIR, 'assertiond'),
      ['--check-config', deployment.configuration], { env: deployment.environment })).stderr;
    assert.equal(await check(), '');
    writeFileSync(file, await deployment.ctl('certificate', 'get', '--client-id', 'orders'));
    assert.match(await doctor(), /^wrong {2}tls: \S+tls\.pem: the token holds no key for this certificate/m);
    writeFileSync(file, 'no certificate');
    assert.match(await check(), /:\d+: warning: tls\.certificate: \S+tls\.pem: .*a start fails with that/);
    assert.match(await doctor(), /^wrong {2}tls: \S+tls\.pem: not a PEM certificate \(PEM_read_bio_X509: error:[^;]*:no start line\)$/m);
    writeFileSync(file, await output('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
      '-keyout', '/dev/null', '-subj', '/CN=not RSA']));
    assert.match(await check(), /:\d+: warning: tls\.certificate: \S+tls\.pem: the key of TLS must be RSA: a start fails with that$/m);
    assert.match(await doctor(), /^wrong {2}tls: \S+tls\.pem: the key of TLS must be RSA$/m);
    writeFileSync(file, certificate);
  });

  it('is replaced with --force alone; the log tells the exchange, and doctor the key that is left', async () => {
    const file = path.join(deployment.folder, 'tls.pem');
    const before = readFileSync(file, 'utf8');
    const generate = (...options) => deployment.tryCtl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', deployment.configuration, ...options);
    // The key may be another server's: nothing offers to delete it.
    const leftKeys = async () => {
      const { stdout } = await deployment.tryCtl('doctor', '--config', deployment.configuration);
      assert.doesNotMatch(stdout, /pkcs11-tool|--delete-object/);
      return [...stdout.matchAll(/^warn +tls: key \S+ \(CKA_ID (\w+)\) on the token is not that of tls\.certificate: it may be the key of another server .*$/gm)].map(([, id]) => id);
    };
    const refused = await generate();
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /tls\.pem holds a certificate already \(subject CN=assertiond, until \S+, SHA-256 [0-9a-f]{64}\)/);
    assert.equal(readFileSync(file, 'utf8'), before);
    assert.deepEqual(await leftKeys(), []);
    assert.equal((await generate('--force')).status, 0);
    const digest = new X509Certificate(readFileSync(file)).fingerprint256.replaceAll(':', '').toLowerCase();
    const exchanged = new RegExp(`TLS: the certificate is now subject CN=assertiond, until \\S+, SHA-256 ${digest}"`, 'g');
    const exchanges = () => readFileSync(deployment.log, 'utf8').match(exchanged)?.length ?? 0;
    await new Deadline(30, 'the server to take the certificate over').until(exchanges);
    const [left, ...others] = await leftKeys();
    assert.deepEqual(others, []);
    for (const type of ['privkey', 'pubkey']) {
      await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--delete-object', '--type', type, '--id', left]);
    }
    assert.deepEqual(await leftKeys(), []);
    assert.ok(await shakesHands(httpPort()));
    await new Deadline(30, 'gRPC to read its files again').until(() => shakesHands(deployment.tlsPort));  // within a second
    assert.equal(exchanges(), 1);
  });

  it('a start without its authorities names their file and the cause, and nothing else', async () => {
    await deployment.stopDaemon();
    const file = path.join(deployment.folder, 'authorities.pem');
    renameSync(file, `${file}.away`);
    const { status, signal } = await new Deadline(30, 'the start to fail').limit(deployment.launchDaemon().ended);
    renameSync(`${file}.away`, file);
    assert.deepEqual([status, signal], [23, null]);
    const { level, message } = JSON.parse(readFileSync(deployment.log, 'utf8').trim().split('\n').at(-1));
    assert.deepEqual([level, message], ['critical', `tls.client_ca: ${file}: cannot be read: No such file or directory`]);
    await deployment.startDaemon();
  });

  it('a start with an empty certificate fails; a reload with one, or with a wrong one, keeps the old', async () => {
    const file = path.join(deployment.folder, 'tls.pem');
    const first = readFileSync(file, 'utf8');
    await deployment.stopDaemon();
    for (const unusable of ['', '\n']) {
      writeFileSync(file, unusable);
      const { status, signal } = await new Deadline(30, 'the start to fail').limit(deployment.launchDaemon().ended);
      assert.deepEqual([status, signal], [23, null], JSON.stringify(unusable));
    }
    writeFileSync(file, first);
    await deployment.startDaemon();
    const served = async (port) => new X509Certificate((await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`,
      '-showcerts'])).stdout).fingerprint256;
    const inBoth = async (certificate) => (await Promise.all([httpPort(), deployment.tlsPort].map((port) => served(port).catch(() => undefined))))
      .every((fingerprint) => fingerprint === new X509Certificate(certificate).fingerprint256);
    const reload = async (answer) => {
      const size = readFileSync(deployment.log, 'utf8').length;
      deployment.daemon.kill('SIGHUP');
      await new Deadline(30, `the log to tell ${answer}`).until(() =>
        readFileSync(deployment.log, 'utf8').slice(size).includes(answer));
    };
    for (const unusable of ['', await deployment.ctl('certificate', 'get', '--client-id', 'orders')]) {
      writeFileSync(file, unusable);
      await reload('TLS goes on with what it had: ');
      await new Deadline(30, 'the certificate before in both').until(() => inBoth(first));
    }
    await deployment.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', deployment.configuration, '--force');
    const another = readFileSync(file, 'utf8');
    await reload('TLS: the certificate is now ');
    // gRPC reads its files once a second.
    await new Deadline(30, 'the next certificate in both').until(() => inBoth(another));
  });

  it('hangs for nobody: handshakes end while the token does not answer', async () => {
    hsm.tell('C_Sign hang');
    await Promise.all(Array.from({ length: 12 }, (_, i) => new Deadline(10, 'handshakes to end').limit(
      shakesHands(i % 2 === 0 ? httpPort() : deployment.tlsPort))));
    hsm.tell();
    for (const port of [httpPort(), deployment.tlsPort]) {
      await new Deadline(30, 'TLS after the hang').until(() => shakesHands(port));
    }
  });

  it(`of ${HANDSHAKES} handshakes while the token comes and goes none ends the process`, async (context) => {
    let done = 0;
    let succeeded = 0;
    const shake = async () => {
      while (done < HANDSHAKES) {
        done += 1;
        if (await shakesHands(done % 2 === 0 ? httpPort() : deployment.tlsPort)) succeeded += 1;
      }
    };
    const lose = async () => {
      for (let loss = 0; done < HANDSHAKES; ++loss) {
        const before = done;
        hsm.tell(LOSSES[loss % LOSSES.length]);
        await new Deadline(60, 'handshakes in a loss').until(() => done >= Math.min(before + 4, HANDSHAKES));
        hsm.tell();
        await new Deadline(60, 'a handshake after a loss').until(() => shakesHands(httpPort()));
      }
    };
    await Promise.all([shake(), shake(), shake(), lose()]);
    hsm.tell();
    context.diagnostic(`${succeeded} of ${done} handshakes succeeded`);
    assert.equal(deployment.daemon.exitCode, null);
    for (const port of [httpPort(), deployment.tlsPort]) {
      await new Deadline(30, 'TLS after the losses').until(() => shakesHands(port));
    }
    await new Deadline(30, 'an assertion').until(async () =>
      (await deployment.tryCtl('assertion', 'create', '--client-id', 'orders')).status === 0);
  });

  it('needs no libp11; an operator\'s openssl with libp11 signs with a key of ours', async () => {
    const text = path.join(deployment.folder, 'text');
    writeFileSync(text, 'signed through libp11');
    const { cka_id: id } = await deployment.key('orders');
    const [, module] = /module-path=([^&"]*)/.exec(readFileSync(deployment.configuration, 'utf8'));
    const uri = `pkcs11:token=end-to-end;id=${id.replace(/../g, '%$&')};type=private`;
    // libp11 0.4.12 lists all private keys, and does not get past an Ed25519 key.
    const edwards = await deployment.key('edwards');
    await deployment.ctl('key', 'revoke', '--client-id', 'edwards', `--kid=${edwards.kid}`, '--force', 'edwards');
    await deployment.ctl('key', 'destroy', '--client-id', 'edwards', `--kid=${edwards.kid}`);
    const signature = await output('openssl', ['dgst', '-sha256', '-engine', 'pkcs11', '-keyform', 'engine', '-sign', uri,
      '-passin', 'env:E2E_PIN', text], { encoding: 'buffer',
      env: { ...deployment.environment, PKCS11_MODULE_PATH: module, E2E_PIN: deployment.pin } });
    const certificate = new X509Certificate(await deployment.ctl('certificate', 'get', '--client-id', 'orders'));
    assert.ok(createVerify('sha256').update('signed through libp11').verify(certificate.publicKey, signature));
  });

  it('without a name is warned of', async () => {
    const configuration = path.join(deployment.folder, 'nameless.json');
    const certificate = path.join(deployment.folder, 'nameless.pem');
    const { tls, ...others } = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    writeFileSync(configuration, JSON.stringify({ ...others, tls: { ...tls, certificate } }));
    const { status, stderr } = await deployment.tryCtl('tls', 'generate', '--config', configuration);
    assert.equal(status, 0, stderr);
    assert.match(stderr, /^assertionctl: the certificate names no host: .*\n {2}next: generate another with --san DNS:HOST/m);
    assert.equal(new X509Certificate(readFileSync(certificate)).subjectAltName, undefined);
  });
});

describe('a certificate of TLS that soon expires', () => {
  let deployment;
  let certificate;
  let metrics;

  before(async () => {
    const authority = await CertificateAuthority.found('expiry');
    const crl = await authority.crl();
    deployment = await Deployment.start([{ client_id: 'orders', audiences: AUDIENCES }], (folder) => {
      const crl_directory = path.join(folder, 'crls');
      mkdirSync(crl_directory);
      writeFileSync(path.join(crl_directory, 'ca.crl'), crl);
      return { tls: mutualTls(folder, authority.certificate, { crl_directory }), admin_listen: '127.0.0.1:0' };
    }, async (made) => {
      await made.ctl('tls', 'generate', '--san', 'DNS:localhost', '--validity-days', '5', '--config', made.configuration);
    });
    certificate = new X509Certificate(readFileSync(path.join(deployment.folder, 'tls.pem')));
    metrics = async () => (await fetch(`${deployment.adminOrigin}/metrics`)).text();
  });

  after(() => deployment?.close());

  const WARNING = /TLS: the certificate of tls\.certificate expires on \d{4}-\S+Z/g;
  const warnings = () => readFileSync(deployment.log, 'utf8').match(WARNING)?.length ?? 0;
  const ends = async (file) => Number(new RegExp(
    `^assertiond_tls_certificate_not_after_seconds{file="${file}"} (\\S+)$`, 'm').exec(await metrics())?.[1]);

  it('is told by the log at the start and at each reload, and not at each refresh', async () => {
    assert.equal(warnings(), 1);
    const size = readFileSync(deployment.log, 'utf8').length;
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'the reload').until(() =>
      readFileSync(deployment.log, 'utf8').slice(size).includes('SIGHUP: clients and operators'));
    assert.equal(warnings(), 2);
  });

  it('is told by a metric, and so are the ends of the authorities and of the CRL', async () => {
    assert.equal(await ends('certificate'), Date.parse(certificate.validTo) / 1000);
    const authorities = new X509Certificate(readFileSync(path.join(deployment.folder, 'authorities.pem')));
    assert.equal(await ends('client_ca'), Date.parse(authorities.validTo) / 1000);
    const [, nextUpdate] = /nextUpdate=(.*)/.exec(await output('openssl', ['crl', '-noout', '-nextupdate', '-in',
      path.join(deployment.folder, 'crls', 'ca.crl')]));
    assert.equal(Number(/^assertiond_tls_crl_next_update_seconds (\S+)$/m.exec(await metrics())?.[1]), Date.parse(nextUpdate) / 1000);
  });

  it('whose file is missing is told by its field', async () => {
    for (const field of ['certificate', 'client_ca']) {
      const { tls } = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
      await assert.rejects(deployment.startReplica({ tls: { ...tls, [field]: '/nowhere/none.pem' } }), /ended with 23/);
      assert.match(readFileSync(path.join(deployment.folder, 'replica.log'), 'utf8'),
        new RegExp(`tls\\.${field}: /nowhere/none\\.pem: cannot be read: No such file`));
    }
  });

  it('is told by doctor, which stays at 0', async () => {
    const { status, stdout } = await deployment.tryCtl('doctor', '--config', deployment.configuration);
    assert.match(stdout, /^warn {3}tls: certificate valid from \S+ to \S+Z \(.*\)$/m);
    assert.equal(status, 1, 'the client has no key');
    assert.doesNotMatch(stdout, /^wrong {2}tls/m);
  });

  it('is told by status --monitor', async () => {
    const { stdout } = await deployment.tryCtl('status', '--monitor', deployment.adminOrigin);
    assert.match(stdout, /^ {2}soon +configuration +- +the certificate of tls\.certificate expires in \d days?; next: .*$/m);
  });

  it('is not told any more once another is read', async () => {
    const before = warnings();
    await deployment.ctl('tls', 'generate', '--san', 'DNS:localhost', '--force', '--config', deployment.configuration);
    const renewed = new X509Certificate(readFileSync(path.join(deployment.folder, 'tls.pem')));
    await new Deadline(30, 'the new certificate').until(async () => await ends('certificate') === Date.parse(renewed.validTo) / 1000);
    assert.equal(warnings(), before);
  });
});

describe('a verb of tls that fails', () => {
  let deployment;
  let bare;

  before(async () => {
    const authority = await CertificateAuthority.found('failing');
    deployment = await Deployment.start([{ client_id: 'orders', audiences: AUDIENCES }]);
    bare = path.join(deployment.folder, 'bare.json');
    writeFileSync(bare, JSON.stringify({ ...JSON.parse(readFileSync(deployment.configuration, 'utf8')),
      tls: mutualTls(deployment.folder, authority.certificate) }));
  });

  after(() => deployment?.close());

  async function isTold(status, next, ...words) {
    const told = await deployment.tryCtl('tls', ...words);
    assert.equal(told.status, status, told.stderr);
    assert.match(told.stderr, next);
  }

  it('says what helps: another file, a key, another PIN file', async () => {
    for (const words of [['generate'], ['csr', '--subject', 'CN=x'], ['import-certificate', '--certificate', '-']]) {
      await isTold(3, /^ {2}next: add tls with listen, certificate and client_ca to it, as deploy\/docs\/mutual-tls\.md does/m,
        ...words, '--config', deployment.configuration);
    }
    const wrong = path.join(deployment.folder, 'wrong.json');
    writeFileSync(wrong, '{}');
    await isTold(3, /^ {2}next: assertiond --check-config \S+wrong\.json lists all that is wrong with it$/m,
      'generate', '--config', wrong);
    await isTold(1, /^ {2}next: assertionctl tls generate --config \S+bare\.json --san DNS:HOST$/m,
      'csr', '--subject', 'CN=x', '--config', bare);
    const first = await deployment.tryCtl('tls', 'generate', '--san', 'DNS:localhost', '--config', bare);
    assert.deepEqual([first.status, first.stderr],
      [0, 'assertionctl: making the key of TLS on the token; this may take a minute\n']);
    const [, kid] = /^key (\S+) is on the token/.exec(first.stdout);
    const other = path.join(deployment.folder, 'other_host.json');
    writeFileSync(other, readFileSync(bare, 'utf8').replace('tls.pem', 'other_host.pem'));
    const second = await deployment.tryCtl('tls', 'generate', '--san', 'DNS:localhost', '--config', other);
    assert.equal(second.status, 0, second.stderr);
    assert.ok(second.stderr.includes(`\nassertionctl: the token held another TLS key of assertiond already: ${kid}\n`), second.stderr);
    assert.match(second.stderr, /^ {2}next: if another server of this token uses that key, /m);
    await isTold(1, /^ {2}next: assertionctl tls csr --config \S+bare\.json --san DNS:HOST$/m, 'generate', '--config', bare);
    await isTold(1, /^ {2}next: assertionctl doctor --config \S+bare\.json shows the kids of TLS keys$/m,
      'csr', '--kid=none', '--subject', 'CN=x', '--config', bare);
    await isTold(3, /^ {2}next: correct what the message names, or give another file$/m,
      'import-certificate', '--certificate', path.join(deployment.folder, 'none'), '--config', bare);
    const unreadable = path.join(deployment.folder, 'no_pin.json');
    writeFileSync(unreadable, readFileSync(bare, 'utf8').replace(/(pin-source=file:)[^"&?]*/, '$1/none'));
    await isTold(3, /^ {2}next: run this as the server's user, who alone may read the PIN file: pin-source in /m,
      'csr', '--subject', 'CN=x', '--config', unreadable);
  });
});
