// kube-apiserver has its service account tokens signed: ExternalJWTSigner on a socket of its own.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { chmodSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import protoLoader from '@grpc/proto-loader';
import { decodeProtectedHeader } from 'jose';
import { AssertionService, Caller, Health, KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { API, ExternalJWTSigner, KubeApiserver } from './kube_apiserver.mjs';
import { Deadline, run } from './process.mjs';

const ISSUER = 'https://kubernetes.default.svc.cluster.local';
const ME = `uid:${process.getuid()}`;
const OTHER = 60007;  // not nobody, who is refused everywhere
const NOGROUP = 65534;
const LONGEST = 3600;
const CODES = { INVALID_ARGUMENT: 3, PERMISSION_DENIED: 7, RESOURCE_EXHAUSTED: 8, FAILED_PRECONDITION: 9, UNIMPLEMENTED: 12 };

// What kube-apiserver writes for a pod.
function claims(changed = {}) {
  const now = Math.floor(Date.now() / 1000);
  return {
    aud: [ISSUER], exp: now + LONGEST, iat: now, iss: ISSUER, jti: randomUUID(),
    'kubernetes.io': { namespace: 'default', pod: { name: 'p', uid: randomUUID() }, serviceaccount: { name: 'builder', uid: randomUUID() } },
    nbf: now, sub: 'system:serviceaccount:default:builder', ...changed,
  };
}

describe('the signer of Kubernetes', () => {
  let deployment;
  let socket;
  let apiserver;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://localhost:9443/oauth2/token'] }],
      (folder) => ({
        refresh_interval: '1s',
        http_listen: '127.0.0.1:0',
        kubernetes_signer: { listen: `unix:${folder}/kubernetes.sock`, listen_group: 'nogroup', caller: ME, issuer: ISSUER,
          max_lifetime: `${LONGEST}s`, publish_lead: '4s', algorithm: 'ES256' },
      }));
    socket = path.join(deployment.folder, 'kubernetes.sock');
    apiserver = new KubeApiserver(socket, ISSUER);
  });

  after(async () => {
    apiserver.close();
    await deployment.close();
  });

  const refused = (call, code, message) => assert.rejects(call, (error) => {
    assert.equal(error.code, code, error.message);
    assert.match(error.details, message);
    return true;
  });
  const audited = (event) => deployment.auditLines().filter((line) => line.event === event);

  const counted = async (algorithm, outcome) => {
    const metrics = await (await fetch(`${deployment.httpOrigin}/metrics`)).text();
    const line = `assertiond_assertions_total{client_id="kubernetes",algorithm="${algorithm}",outcome="${outcome}"} `;
    return Number(metrics.split('\n').find((one) => one.startsWith(line))?.slice(line.length) ?? 0);
  };

  it('has the published API, field by field', () => {
    const ours = protoLoader.loadSync('kubernetes/external_jwt.proto',
      { includeDirs: [process.env.E2E_PROTO_DIR], keepCase: true });
    const { service: published } = ExternalJWTSigner;
    const shape = ({ fileDescriptorProtos, ...method }) => ({
      path: method.path, streams: [method.requestStream, method.responseStream],
      types: [method.requestType, method.responseType].map(({ type }) => type.name),
    });
    for (const [name, method] of Object.entries(ours['v1.ExternalJWTSigner'])) {
      assert.deepEqual(shape(method), shape(published[name]));
    }
    assert.deepEqual(Object.keys(ours['v1.ExternalJWTSigner']).sort(), Object.keys(published).sort());
    const types = { string: 'TYPE_STRING', bytes: 'TYPE_BYTES', bool: 'TYPE_BOOL', int64: 'TYPE_INT64' };
    for (const [name, { fields }] of Object.entries(API)) {
      if (!fields) continue;
      const inProto = Object.fromEntries(ours[`v1.${name}`].type.field.map((one) =>
        [one.name, [one.number, one.type, one.label === 'LABEL_REPEATED']]));
      assert.deepEqual(inProto, Object.fromEntries(Object.entries(fields).map(([field, { type, id, rule }]) =>
        [field, [id, types[type] ?? 'TYPE_MESSAGE', rule === 'repeated']])), name);
    }
  });

  it('says what is missing while there is no key', async () => {
    await refused(apiserver.syncKeys(), CODES.FAILED_PRECONDITION, /key generate --client-id kubernetes/);
    await refused(apiserver.sign(JSON.stringify(claims())), CODES.FAILED_PRECONDITION, /has no key that signs now/);
    await deployment.generateKey('kubernetes');
  });

  it('signs what kube-apiserver composes, octet for octet, and its keys verify it', async () => {
    assert.equal(await apiserver.start(), LONGEST);
    const wanted = claims({ aud: ['vault', 'sts.example'] });
    const token = await apiserver.generateToken(wanted);
    assert.deepEqual(await apiserver.verify(token), wanted);
    const line = audited('Sign').at(-1);
    const { outcome, caller, client_id: client, purpose, subject, audience, jti, kid, lifetime_s: lifetime, exp } = line;
    assert.deepEqual({ outcome, caller, client, purpose, subject, audience, jti, kid, lifetime, exp }, {
      outcome: 'OK', caller: ME, client: 'kubernetes', purpose: 'kubernetes', subject: wanted.sub,
      audience: '["vault","sts.example"]', jti: wanted.jti, kid: decodeProtectedHeader(token).kid, lifetime: LONGEST,
      exp: wanted.exp,
    });
    assert.equal(await counted('ES256', 'OK'), 1);
  });

  it('refuses other claims, and says why', async () => {
    const now = Math.floor(Date.now() / 1000);
    for (const [payload, why] of [
      ['no JSON', /not a JSON object/],
      [JSON.stringify(claims({ exp: now + LONGEST + 1, iat: now })), /a token lives at most 3600 s/],
      [JSON.stringify(claims({ iat: now + 7200, exp: now + 7300 })), /a token lives at most 3600 s/],
      [JSON.stringify(claims({ iss: 'https://elsewhere.example' })), /not the configured/],
      [JSON.stringify(claims({ sub: 'system:admin' })), /sub must be/],
      [JSON.stringify(claims({ Exp: now + 10 * LONGEST })), /can be taken for exp/],
      [JSON.stringify(claims({ more: 'x'.repeat(20_000) })), /more than 16384 octets/],
    ]) {
      await refused(apiserver.sign(payload), CODES.INVALID_ARGUMENT, why);
    }
    await refused(apiserver.sign('x'.repeat(70_000)), CODES.RESOURCE_EXHAUSTED, /larger than 64 KiB/);
    assert.equal(audited('Sign').at(-1).outcome, 'RESOURCE_EXHAUSTED');
  });

  it('offers nothing else there, and nothing of it elsewhere; the keys sign nothing else', async () => {
    const callers = [];
    const caller = (Service, where) => callers[callers.push(new Caller(Service, where)) - 1];
    try {
      const assertion = { client_id: 'kubernetes' };
      await refused(caller(AssertionService, socket).call('CreateAssertion', assertion), CODES.UNIMPLEMENTED, /^/);
      await refused(caller(KeyAdminService, socket).call('ListKeys', {}), CODES.UNIMPLEMENTED, /^/);
      await refused(caller(Health, socket).call('Check', {}), CODES.UNIMPLEMENTED, /^/);
      await refused(caller(ExternalJWTSigner, deployment.socket).call('FetchKeys', {}), CODES.UNIMPLEMENTED, /^/);
      await refused(caller(AssertionService, deployment.socket).call('CreateAssertion', assertion),
        CODES.PERMISSION_DENIED, /may not ask for assertions of this client/);
      await refused(caller(KeyAdminService, deployment.socket).call('ProveKey', { ...assertion, kid: 'any' }),
        CODES.FAILED_PRECONDITION, /sign service account tokens alone/);
    } finally {
      for (const one of callers) one.close();
    }
  });

  it('serves the one user alone, although the group lets others connect', async () => {
    assert.equal(statSync(socket).mode & 0o777, 0o660);
    if (process.getuid() !== 0) return;  // only root can become another user
    chmodSync(deployment.folder, 0o711);
    chmodSync(path.dirname(deployment.folder), 0o711);
    const refusedBefore = await counted('', 'PERMISSION_DENIED');
    const call = `
      const http2 = require('node:http2');
      const session = http2.connect('http://localhost', { createConnection: () => require('node:net').connect(process.argv[1]) });
      const answers = ['Sign', 'FetchKeys', 'Metadata'].map((method) => new Promise((resolve) => {
        const stream = session.request({ ':method': 'POST', ':path': '/v1.ExternalJWTSigner/' + method,
          'content-type': 'application/grpc', te: 'trailers' });
        const note = (headers) => { if (headers['grpc-status']) resolve(headers['grpc-status'] + ' ' + headers['grpc-message']); };
        stream.on('response', note).on('trailers', note).on('error', (error) => resolve(String(error))).resume();
        stream.end(Buffer.alloc(5));
      }));
      Promise.all(answers).then((all) => { console.log(all.join('\\n')); process.exit(); });`;
    const { stdout, stderr } = await run('setpriv', [`--reuid=${OTHER}`, `--regid=${NOGROUP}`, '--clear-groups',
      process.execPath, '-e', call, socket]);
    const answers = stdout.trim().split('\n').map(decodeURIComponent);
    assert.equal(answers.length, 3, stderr);
    for (const answer of answers) {
      assert.match(answer, new RegExp(`^7 you are known here as "uid:${OTHER}", who may not have service account tokens signed`));
    }
    for (const event of ['Sign', 'FetchKeys', 'Metadata']) {
      const { outcome, caller, purpose } = audited(event).at(-1);
      assert.deepEqual({ outcome, caller, purpose }, { outcome: 'PERMISSION_DENIED', caller: `uid:${OTHER}`, purpose: 'kubernetes' });
    }
    assert.equal(await counted('', 'PERMISSION_DENIED'), refusedBefore + 1);
  });

  it('rotates under load: no token names a key that kube-apiserver does not know', async () => {
    const kids = new Set();
    let over = false;
    const work = async () => {
      while (!over) kids.add(decodeProtectedHeader(await apiserver.generateToken(claims())).kid);
    };
    const work4 = Promise.all(Array.from({ length: 4 }, work));
    try {
      const [before] = (await apiserver.syncKeys()).keys;
      const rotated = JSON.parse(await deployment.ctl('key', 'rotate', '--client-id', 'kubernetes', '--json'));
      assert.ok(JSON.stringify(rotated).includes(before.key_id));
      await Promise.race([work4, new Deadline(60, 'the next key to sign').until(() => kids.size === 2)]);
    } finally {
      over = true;
    }
    await work4;
    const { keys } = await apiserver.syncKeys();
    assert.deepEqual(keys.map(({ key_id: kid }) => kid).sort(), [...kids].sort(), 'the retiring key still verifies');
    assert.ok(keys.every((key) => !key.exclude_from_oidc_discovery));
  });

  it('excludes a key from discovery until it is published, and trusts none that nobody means to publish', async () => {
    const { kid } = await deployment.generateKey('kubernetes');
    const found = async () => (await apiserver.syncKeys()).keys.find((key) => key.key_id === kid)?.exclude_from_oidc_discovery;
    assert.equal(await found(), undefined);
    const schedule = (when) => deployment.ctl('key', 'schedule', '--client-id', 'kubernetes', `--kid=${kid}`, '--publish-from', when);
    await schedule('+1h');
    assert.equal(await found(), true);
    await schedule('now');
    assert.equal(await found(), false);
    await deployment.ctl('key', 'revoke', '--client-id', 'kubernetes', `--kid=${kid}`);
    assert.equal(await found(), undefined);
  });

  it('gives out no token of an algorithm that kube-apiserver does not know', async () => {
    const { kid } = await deployment.generateKey('kubernetes', '--algorithm', 'PS256');
    await deployment.ctl('key', 'schedule', '--client-id', 'kubernetes', `--kid=${kid}`, '--publish-from', 'now',
      '--sign-from', 'now', '--force', 'kubernetes');
    await refused(apiserver.sign(JSON.stringify(claims())), CODES.FAILED_PRECONDITION, /signs with PS256/);
    assert.ok((await apiserver.syncKeys()).keys.every((key) => key.key_id !== kid));
    await deployment.ctl('key', 'revoke', '--client-id', 'kubernetes', `--kid=${kid}`, '--force', 'kubernetes');
    await deployment.generateKey('kubernetes');  // signs at once, because no other does
    await apiserver.syncKeys();
  });

  it('goes on after a restart, for a connection that stays', async () => {
    const token = await apiserver.generateToken(claims());
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    await deployment.startDaemon();
    await new Deadline(30, 'kube-apiserver to be connected again').until(
      () => apiserver.syncKeys().then(() => true, () => false));
    await apiserver.verify(token);
    await apiserver.verify(await apiserver.generateToken(claims()));
  });
});
