// Mutual TLS: the server's key is the token's, and who calls is who the certificate says.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import https from 'node:https';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { connect as connectTo } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { CertificateAuthority } from './certificate_authority.mjs';
import { AccessTokenService, AssertionService, KeyAdminService } from './caller.mjs';
import { Authorization } from './envoy.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, run } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ME = `uid:${process.getuid()}`;
const EXPIRED = ['20200101000000Z', '20210101000000Z'];
const BACKEND = 'spiffe://example.org/ns/orders/backend';

describe('mutual TLS', () => {
  let deployment;
  let authority;
  let crls;
  const identities = {};

  const writeCrl = async () => {
    writeFileSync(path.join(crls, 'new'), await authority.crl());
    renameSync(path.join(crls, 'new'), path.join(crls, 'ca.crl'));
  };

  const ctl = (configured, ...options) => configured.ctl('tls', ...options, '--config', configured.configuration);

  // A certificate of the authority for the token's own TLS key.
  async function certify(configured) {
    const csr = await ctl(configured, 'csr', '--subject', 'CN=signer', '--san', 'IP:127.0.0.1', '--san', 'DNS:localhost');
    const issued = path.join(configured.folder, 'issued.pem');
    writeFileSync(issued, await authority.issue(csr));
    await ctl(configured, 'import-certificate', '--certificate', issued);
  }

  before(async () => {
    authority = await CertificateAuthority.found('callers');
    const stranger = await CertificateAuthority.found('stranger');
    Object.assign(identities, {
      unknownAuthority: await stranger.identity(`URI:${BACKEND}`),
      expired: await authority.identity(`URI:${BACKEND}`, EXPIRED),
      revoked: await authority.identity(`URI:${BACKEND}`),
      wrongName: await authority.identity('URI:spiffe://example.org/ns/ordersX/backend'),
      nameless: await authority.identity('email:somebody@example.org'),
      backend: await authority.identity(`URI:${BACKEND}`),
      byDns: await authority.identity('DNS:Backend.Example.org'),
      viewer: await authority.identity('DNS:viewer.example.org'),
      operator: await authority.identity('DNS:operator.example.org'),
      approver: await authority.identity('DNS:approver.example.org'),
    });
    await authority.revoke(identities.revoked.cert);
    deployment = await Deployment.start([{
      client_id: 'orders', audiences: [AUDIENCE], purposes: ['client_assertion', 'dpop', 'request_object'],
      callers: [ME, 'spiffe://example.org/ns/orders/*', 'dns:backend.example.org'],
    }], (folder) => {
      crls = path.join(folder, 'crls');
      mkdirSync(crls);
      return {
        refresh_interval: '1s',
        http_listen: '127.0.0.1:0',
        tls: mutualTls(folder, authority.certificate, { crl_directory: crls }),
        operators: [
          { caller: ME, roles: ['viewer', 'operator', 'approver'] },
          { caller: 'dns:viewer.example.org', roles: ['viewer'] },
          { caller: 'dns:operator.example.org', roles: ['operator'] },
          { caller: 'dns:approver.example.org', roles: ['approver'] },
        ],
      };
    }, async (made) => {
      await writeCrl();
      await ctl(made, 'generate', '--san', 'IP:127.0.0.1');
      await certify(made);
    });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  // A connection of its own, and calls over it.
  function connect(Service, identity) {
    const credentials = grpc.credentials.createSsl(Buffer.from(authority.certificate),
      identity && Buffer.from(identity.key), identity && Buffer.from(identity.cert));
    // A channel option that nobody else has keeps grpc-js from sharing the connection.
    const client = new Service(`127.0.0.1:${deployment.tlsPort}`, credentials, {
      'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost',
    });
    return {
      call: (method, request) => new Promise((resolve) => {
        client[method](request, { deadline: Date.now() + 30_000 },
          (error, answer) => resolve({ code: error ? grpc.status[error.code] : 'OK', details: error?.details, answer }));
      }),
      stream: () => client.CreateAssertions({ deadline: Date.now() + 30_000 }),
      close: () => client.close(),
    };
  }

  async function ask(Service, method, identity, request = { client_id: 'orders' }) {
    const connection = connect(Service, identity);
    try {
      return await connection.call(method, request);
    } finally {
      connection.close();
    }
  }

  // GET over HTTPS as somebody who trusts the authority and has no certificate.
  const get = (where, headers = {}) => new Promise((resolve, reject) => {
    const asked = https.get(`${deployment.httpOrigin}${where}`, { ca: authority.certificate, agent: false, headers }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => resolve({
        status: answer.statusCode, body: Buffer.concat(parts).toString(), certificate: answer.socket.getPeerX509Certificate(),
      }));
    });
    asked.on('error', reject);
  });

  // s_client as somebody with the identity; returns what it says of the handshake.
  async function handshake(identity, ...options) {
    const files = identity ? ['cert', 'key'].flatMap((kind) => {
      const file = path.join(authority.folder, `s_client.${kind}`);
      writeFileSync(file, identity[kind]);
      return [`-${kind}`, file];
    }) : [];
    const { stdout, stderr } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${deployment.tlsPort}`,
      '-alpn', 'h2', ...files, ...options]);
    return stdout + stderr;
  }

  it('every method has exactly its callers', async () => {
    const readers = ['backend', 'byDns', 'viewer', 'operator', 'approver'];
    const roles = ['viewer', 'operator', 'approver'];
    const methods = [
      [AccessTokenService, 'GetAccessToken', ['backend', 'byDns']],
      ...['CreateAssertion', 'CreateDpopProof', 'CreateRequestObject'].map(
        (method) => [AssertionService, method, ['backend', 'byDns']]),
      [AssertionService, 'GetCertificate', readers],
      [AssertionService, 'GetJwks', readers],
      [KeyAdminService, 'ListKeys', roles],
      [KeyAdminService, 'GetKey', roles],
      [KeyAdminService, 'GetAuditHead', roles],
      [KeyAdminService, 'ListPendingChanges', roles],
      [KeyAdminService, 'ApproveChange', ['approver']],
      [KeyAdminService, 'WithdrawChange', ['operator', 'approver']],
      [KeyAdminService, 'CreateEvidence', roles],
      ...['CreateCsr', 'GenerateKey', 'ImportCertificate', 'RotateKey', 'ScheduleKey', 'RevokeKey', 'DestroyKey', 'AcceptLedger',
        'ExamineKey', 'AdoptKey', 'ImportKey', 'ProveKey'].map((method) => [KeyAdminService, method, ['operator']]),
    ];
    // A known peer that may not gets an answer that says so.
    methods.push([Authorization, 'Check', readers]);
    const unary = [AccessTokenService, Authorization, AssertionService, KeyAdminService]
      .flatMap((Service) => Object.values(Service.service)).filter(({ requestStream }) => !requestStream);
    assert.equal(methods.length, unary.length, 'a method is missing here');
    const unreachable = ['none', 'unknownAuthority', 'expired', 'revoked'];
    for (const [Service, method, allowed] of methods) {
      for (const name of ['none', ...Object.keys(identities)]) {
        const { code, details } = await ask(Service, method, identities[name]);
        const what = `${method} as ${name}: ${code}: ${details}`;
        if (unreachable.includes(name)) assert.equal(code, 'UNAVAILABLE', what);
        else if (name === 'nameless') assert.equal(code, 'UNAUTHENTICATED', what);
        else assert.equal(code !== 'PERMISSION_DENIED', allowed.includes(name), what);
        assert.ok(!['UNKNOWN', 'INTERNAL', 'UNIMPLEMENTED'].includes(code), what);
      }
    }
    const { details } = await ask(AssertionService, 'CreateAssertion', identities.wrongName);
    assert.match(details, /you are known here as "spiffe:\/\/example.org\/ns\/ordersX\/backend"/);
  });

  it('a handshake that fails is logged with the caller\'s address, once a minute', async () => {
    const told = () => readFileSync(deployment.log, 'utf8').match(/a connection of ipv4:127\.0\.0\.1:\d+ ended before its first call/g);
    assert.equal((await ask(AssertionService, 'CreateAssertion', identities.unknownAuthority)).code, 'UNAVAILABLE');
    await new Deadline(30, 'the log to tell it').until(told);
    assert.match(readFileSync(deployment.log, 'utf8'), /gRPC: Handshake failed with .*certificate verify failed/);
    assert.ok(told().length < 5, told().join('\n'));
  });

  it('a stream is for whom the call is', async () => {
    for (const [name, end, refusal] of [['backend', 'OK'], ['viewer', 'OK', 'PERMISSION_DENIED'], ['nameless', 'UNAUTHENTICATED']]) {
      const connection = connect(AssertionService, identities[name]);
      const stream = connection.stream();
      const answers = [];
      stream.on('data', (answer) => answers.push(answer)).on('error', () => {});
      const ended = new Promise((resolve) => { stream.on('status', ({ code }) => resolve(grpc.status[code])); });
      stream.write({ tag: 1, assertion: { client_id: 'orders' } });
      stream.end();
      assert.equal(await ended, end, name);
      connection.close();
      assert.deepEqual(answers.map(({ error }) => (error ? grpc.status[error.code] : undefined)), end === 'OK' ? [refusal] : [], name);
    }
    assert.ok(deployment.auditLines().some(({ event, outcome, caller }) =>
      event === 'CreateAssertions' && outcome === 'UNAUTHENTICATED' && caller === undefined), 'the refused stream has no line');
  });

  it('an assertion is issued, and recorded with the name', async () => {
    const { code, answer } = await ask(AssertionService, 'CreateAssertion', identities.backend);
    assert.equal(code, 'OK');
    const line = readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
      .map((text) => JSON.parse(text)).find(({ jti }) => jti === answer.jti);
    assert.equal(line.caller, BACKEND);
  });

  it('the HTTP listener speaks HTTPS with the same key', async () => {
    const answers = await Promise.all(Array.from({ length: 24 }, () => get('/clients/orders/jwks.json')));
    const served = new X509Certificate(readFileSync(path.join(deployment.folder, 'tls.pem'), 'utf8'));
    for (const { status, body, certificate } of answers) {
      assert.equal(status, 200);
      assert.deepEqual(JSON.parse(body), await deployment.jwks('orders'));
      assert.equal(certificate.fingerprint256, served.fingerprint256);
    }
    await assert.rejects(fetch(`${deployment.httpOrigin.replace('https:', 'http:')}/readyz`), 'plain HTTP is answered');
    const port = new URL(deployment.httpOrigin).port;
    const { stdout } = await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`, '-tls1_2', '-cipher', 'AES128-SHA']);
    assert.match(stdout, /Cipher is \(NONE\)/);
    const fits = 'x'.repeat(7000);
    assert.equal((await get('/readyz', { X: fits })).status, 200);
    assert.equal((await get('/readyz', { X: fits, Y: fits })).status, 400);
    // Who connects and says nothing, or nonsense, keeps nobody else waiting.
    const silent = Array.from({ length: 8 }, () => connectTo(port));
    for (const socket of silent.slice(4)) socket.write('GET / HTTP/1.1\r\n\r\n');
    assert.equal((await get('/readyz')).status, 200);
    for (const socket of silent) socket.destroy();
  });

  it('speaks TLS 1.2 and 1.3 with forward secrecy and AEAD, and nothing older', async () => {
    assert.match(await handshake(identities.backend, '-tls1_3'), /New, TLSv1\.3, Cipher is TLS_/);
    assert.match(await handshake(identities.backend, '-tls1_2'), /New, TLSv1\.2, Cipher is ECDHE-\S+-(GCM|CHACHA)/);
    for (const old of ['-tls1', '-tls1_1']) {
      assert.match(await handshake(identities.backend, old, '-cipher', 'ALL:@SECLEVEL=0'), /Cipher is \(NONE\)/);
    }
    for (const weak of ['AES128-SHA', 'AES256-GCM-SHA384', 'ECDHE-RSA-AES128-SHA', 'ECDHE-RSA-AES256-SHA384']) {
      assert.match(await handshake(identities.backend, '-tls1_2', '-cipher', weak), /Cipher is \(NONE\)/, weak);
    }
  });

  it('the key is the token\'s and stands in no file', async () => {
    const file = readFileSync(path.join(deployment.folder, 'tls.pem'), 'utf8');
    const served = new X509Certificate(file).publicKey.export({ format: 'jwk' });
    const onToken = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--read-object', '--type', 'pubkey',
      '--label', 'assertiond-tls'], 'buffer');
    assert.ok(onToken.includes(Buffer.from(served.n, 'base64url')));
    const reference = readFileSync(path.join(deployment.folder, 'tls', 'key'), 'utf8');
    assert.match(reference, /^engine:assertiond:\d+$/);
    assert.ok(!reference.includes(deployment.pin));
  });

  it('a revocation closes the door, and ends who is in', async () => {
    const leaver = await authority.identity(`URI:${BACKEND}`);
    const connection = connect(AssertionService, leaver);
    assert.equal((await connection.call('CreateAssertion', { client_id: 'orders' })).code, 'OK');
    await authority.revoke(leaver.cert);
    await writeCrl();
    const deadline = new Deadline(30, 'the revocation');
    await deadline.until(async () => (await ask(AssertionService, 'CreateAssertion', leaver)).code !== 'OK');
    assert.notEqual((await connection.call('CreateAssertion', { client_id: 'orders' })).code, 'OK');
    connection.close();
    assert.equal((await ask(AssertionService, 'CreateAssertion', identities.backend)).code, 'OK');
  });

  it('a certificate names whom its names say, in their one spelling', async () => {
    const names = {
      'URI:spiffe://example.org/ns/orders/../backend': 'UNAUTHENTICATED',
      'URI:spiffe://example.org/ns/orders//backend': 'UNAUTHENTICATED',
      'URI:spiffe://example.org/ns/orders/': 'UNAUTHENTICATED',
      'URI:spiffe://Example.org/ns/orders/backend': 'UNAUTHENTICATED',
      'URI:spiffe://example.org:443/ns/orders/backend': 'UNAUTHENTICATED',
      'URI:spiffe://example.org/ns/orders/backend?x': 'UNAUTHENTICATED',
      'URI:spiffe://example.org/ns/orders/a%2fb': 'UNAUTHENTICATED',
      [`URI:${BACKEND},URI:https://example.org/`]: 'UNAUTHENTICATED',
      'URI:spiffe://example.org/ns/Orders/backend': 'PERMISSION_DENIED',
      'DNS:*.example.org': 'UNAUTHENTICATED',
      'DNS:BACKEND.example.ORG': 'OK',
      'URI:spiffe://example.org/ns/orders/../backend,DNS:Backend.example.org': 'OK',
      [`URI:${BACKEND},DNS:nobody.example.org`]: 'OK',
    };
    for (const [name, expected] of Object.entries(names)) {
      const { code, details } = await ask(AssertionService, 'CreateAssertion', await authority.identity(name));
      assert.equal(code, expected, `${name}: ${details}`);
    }
  });

  it('another certificate for the server is taken over while connections go on', async () => {
    const connection = connect(AssertionService, identities.backend);
    assert.equal((await connection.call('CreateAssertion', { client_id: 'orders' })).code, 'OK');
    await certify(deployment);
    const { serialNumber } = new X509Certificate(readFileSync(path.join(deployment.folder, 'tls.pem'), 'utf8'));
    const serves = async () => {
      const [pem] = /-----BEGIN[^]*-----END CERTIFICATE-----/.exec(await handshake(identities.backend)) ?? [];
      return pem && new X509Certificate(pem).serialNumber === serialNumber;
    };
    const deadline = new Deadline(30, 'the new certificate');
    await deadline.until(serves);
    assert.equal((await get('/healthz')).certificate.serialNumber, serialNumber);
    assert.equal((await connection.call('CreateAssertion', { client_id: 'orders' })).code, 'OK');
    connection.close();
  });

  it('a file that cannot be used leaves all as it was, and the log says so', async () => {
    const authorities = path.join(deployment.folder, 'authorities.pem');
    writeFileSync(authorities, 'nothing');
    await new Deadline(30, 'the log to say so').until(() =>
      /TLS goes on with what it had: .*authorities\.pem/.test(readFileSync(deployment.log, 'utf8')));
    assert.equal((await ask(AssertionService, 'CreateAssertion', identities.backend)).code, 'OK');
    writeFileSync(authorities, authority.certificate);
    await new Deadline(30, 'the log to say so').until(() =>
      readFileSync(deployment.log, 'utf8').includes('TLS has what its files say again'));
  });

  it('a certificate of another key is not taken over', async () => {
    const other = path.join(deployment.folder, 'other.pem');
    writeFileSync(other, identities.backend.cert);
    const { status, stderr } = await deployment.tryCtl('tls', 'import-certificate', '--config', deployment.configuration,
      '--certificate', other);
    assert.equal(status, 1);
    assert.match(stderr, /the token holds no TLS key for it/);
  });
});

// OpenSC's spy writes down every call on its way to the real module.
describe('direct Cryptoki and the provider share one module', () => {
  it('which is initialised and logged in to first, and finalised last', async () => {
    const spy = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']
      .flatMap((folder) => [`${folder}/pkcs11-spy.so`, `${folder}/pkcs11/pkcs11-spy.so`]).find(existsSync);
    const authority = await CertificateAuthority.found('order');
    let spied;
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], (folder) => ({
      tls: mutualTls(folder, authority.certificate), http_listen: '127.0.0.1:0',
    }), async (made) => {
      await made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration);
      const module = made.wrapModule(spy);
      spied = path.join(made.folder, 'spied');
      Object.assign(made.environment, { PKCS11SPY: module, PKCS11SPY_OUTPUT: spied,
        // The spy leaks; that it is the spy takes whole stacks to see.
        ASAN_OPTIONS: 'fast_unwind_on_malloc=0',
        LSAN_OPTIONS: `suppressions=${path.resolve('spy_leak.supp')}:print_suppressions=0` });
    });
    await deployment.generateKey('orders');       // the provider signs the certificate
    await deployment.createAssertion('orders');   // Cryptoki itself the assertion
    const { stdout } = await run('openssl', ['s_client', '-connect', new URL(deployment.httpOrigin).host]);
    assert.match(stdout, /Cipher is TLS_/);       // and the handshake
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    const calls = [...readFileSync(spied, 'utf8').matchAll(/^\d+: (C_\w+)$[^]*?^Returned:\s+\d+ (CKR_\w+)$/gm)]
      .map(([, name, answer]) => ({ name, answer })).filter(({ name }) => name !== 'C_GetFunctionList');
    const done = (wanted) => calls.flatMap(({ name, answer }, at) => (name === wanted && answer === 'CKR_OK' ? [at] : []));
    assert.deepEqual(done('C_Initialize'), [0]);
    assert.equal(done('C_Login').length, 1);
    assert.deepEqual(done('C_Finalize'), [calls.length - 1]);
    assert.ok(done('C_Sign').length >= 3);
  });
});
