// A token that is restored from an older backup: its ledger is refused, named with both versions, and accepted on purpose.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { KeyAdminService } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment } from './deployment.mjs';
import { Deadline } from './process.mjs';

const AUDIENCES = ['https://localhost:9443/oauth2/token'];

describe('a ledger that is older than what was seen', () => {
  let deployment;
  let anna;
  let first;

  before(async () => {
    const authority = await CertificateAuthority.found('people');
    anna = await authority.identity('DNS:anna.example.org');
    deployment = await Deployment.start(['orders', 'other'].map((client) => ({ client_id: client, audiences: AUDIENCES })), (folder) => {
      writeFileSync(path.join(folder, 'people.pem'), authority.certificate);
      return {
        refresh_interval: '1s', http_listen: '127.0.0.1:0',
        tls: { listen: '127.0.0.1:0', certificate: path.join(folder, 'tls.pem'), client_ca: path.join(folder, 'people.pem') },
        operators: [{ caller: `uid:${process.getuid()}`, roles: ['operator', 'approver'] }, { caller: 'dns:anna.example.org', roles: ['approver'] }],
      };
    }, async (made) => made.ctl('tls', 'generate', '--san', 'DNS:localhost', '--config', made.configuration));
    await deployment.generateKey('other');
    first = await deployment.generateKey('orders');
    await stop();
    cpSync(path.join(deployment.folder, 'tokens'), path.join(deployment.folder, 'backup'), { recursive: true });
    await deployment.startDaemon();
    await deployment.generateKey('orders');
    await deployment.generateKey('orders');
    assert.equal((await deployment.key('orders')).version, 3);
  });

  after(() => deployment?.close());

  const stop = async () => assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
  async function restore() {
    await stop();
    rmSync(path.join(deployment.folder, 'tokens'), { recursive: true });
    cpSync(path.join(deployment.folder, 'backup'), path.join(deployment.folder, 'tokens'), { recursive: true });
    await deployment.startDaemon();
  }
  const get = (name) => new Promise((resolve, reject) => {
    // The certificate is self-signed, and for another name than the address.
    https.get(`${deployment.httpOrigin}/${name}`, { ca: readFileSync(path.join(deployment.folder, 'tls.pem')), checkServerIdentity: () => undefined },
      async (response) => resolve((await response.toArray()).join(''))).on('error', reject);
  });
  const versions = async () => Object.fromEntries([...(await get('metrics'))
    .matchAll(/^assertiond_ledger_rolled_back\{client_id="orders",hsm="[^"]+",which="(\w+)"\} (\d+)$/gm)].map(([, which, value]) => [which, Number(value)]));
  const accept = (version, ...options) =>
    deployment.tryCtl('key', 'accept-ledger', '--client-id', 'orders', '--version', `${version}`, '--force', 'orders', ...options);
  const audited = (event) => readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
    .map((line) => JSON.parse(line)).filter((line) => line.event === event && line.outcome === 'OK');

  async function isRefused(found, seen) {
    const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
    assert.notEqual(status, 0);
    const said = new RegExp(`of version ${found} now, but version ${seen} was seen before`);
    assert.match(stderr, said);
    assert.match(await get('readyz'), new RegExp(`^ready\\nwarning: ledgers: .*client 'orders' is ${said.source}`));
    assert.deepEqual(await versions(), { found, seen });
    assert.match(readFileSync(deployment.log, 'utf8'), said);
    await deployment.createAssertion('other');
    await isToldToOperators(found, seen);
  }

  async function isToldToOperators(found, seen) {
    const { status, stdout } = await deployment.tryCtl('status', '--json');
    const { attention } = JSON.parse(stdout);
    assert.deepEqual([status, attention.map((one) => [one.level, one.client_id, one.text])],
      [1, [['wrong', 'orders', `its ledger on HSM ${attention[0].hsm} was rolled back or lost: version ${found}, and ${seen} was seen before`]]]);
    assert.match(attention[0].next, /key accept-ledger/);
    const doctor = await deployment.tryCtl('doctor', '--config', deployment.configuration);
    assert.equal(doctor.status, 1);
    assert.match(doctor.stdout, new RegExp(`^wrong {2}ledger: .*client 'orders' is of version ${found} now, but version ${seen} was seen before`, 'm'));
    const list = JSON.parse((await deployment.tryCtl('key', 'list', '--json')).stdout);
    assert.deepEqual(list.rolled_back_ledgers, [{ hsm: attention[0].hsm, client_id: 'orders', found, seen }]);
    assert.match((await deployment.tryCtl('key', 'list')).stdout, /^orders +ledger rolled back: see status /m);
  }

  async function signsWithFirst() {
    const jwt = await deployment.createAssertion('orders');
    assert.equal(JSON.parse(Buffer.from(jwt.split('.')[0], 'base64url')).kid, first.kid);
    await new Deadline(30, 'all to be well').until(async () => (await get('readyz')).trim() === 'ready');
    assert.deepEqual(await versions(), {});
  }

  it('stops its client alone, and says both versions in /readyz, metrics and the log', async () => {
    await restore();
    await isRefused(1, 3);
    const refused = await deployment.tryCtl('key', 'generate', '--client-id', 'orders');
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /was seen before.*\n +next: assertionctl status shows the versions; assertionctl key accept-ledger --help\n/);
  });

  it('no other version is accepted, and none without the client id once more', async () => {
    for (const other of [0, 2, 3, 4]) {
      const { status, stderr } = await accept(other);
      assert.notEqual(status, 0);
      assert.match(stderr, new RegExp(`^assertionctl: --version: .*are at version 1 now, not ${other}: `));
      assert.match(stderr, /^ {2}next: nothing was changed: .* name it with --version$/m);
    }
    const negative = await accept(-1);
    assert.equal(negative.status, 2);
    assert.match(negative.stderr, /^assertionctl: --version: must be a whole number that is not negative, not "-1"$/m);
    assert.equal((await deployment.tryCtl('key', 'accept-ledger', '--client-id', 'orders', '--version', '1')).status, 2);
    assert.equal((await deployment.tryCtl('key', 'accept-ledger', '--client-id', 'orders', '--version', '1', '--force', 'other')).status === 0, false);
    const { stderr } = await deployment.tryCtl('key', 'accept-ledger', '--client-id', 'other', '--version', '1', '--force', 'other');
    assert.match(stderr, /no later one was seen: there is nothing to accept/);
    await isRefused(1, 3);
  });

  it('accepted, its keys sign again, also after a restart; the audit log has both versions', async () => {
    assert.deepEqual(JSON.parse((await accept(1, '--json')).stdout), { found: 1, seen: 3, version: 4 });
    await signsWithFirst();
    const [line, ...more] = audited('AcceptLedger');
    assert.deepEqual([line.client_id, line.found_version, line.seen_version, more.length], ['orders', 1, 3, 0]);
    await stop();
    await deployment.startDaemon();
    await signsWithFirst();
    assert.match((await accept(4)).stderr, /there is nothing to accept/);
    await deployment.generateKey('orders');
    assert.equal((await deployment.key('orders')).version, 5);
  });

  it('takes two persons where the rule says so, and the backup once more is older again', async () => {
    writeFileSync(deployment.configuration, JSON.stringify({
      ...JSON.parse(readFileSync(deployment.configuration, 'utf8')), two_person_rule: { methods: 'all', window: '1h' },
    }));
    await restore();
    await isRefused(1, 5);
    assert.match((await accept(4)).stderr, /^assertionctl: --version: the HSM holds no ledger of this version/);
    const { pending } = JSON.parse((await accept(1, '--json')).stdout);
    assert.equal(pending.method, 'AcceptLedger');
    assert.match(pending.summary, /decided on version 1, TO BE ACCEPTED although version 5 was seen: /);
    assert.equal(JSON.parse(await deployment.ctl('key', 'pending', '--json')).pending[0].summary, pending.summary);
    const summaries = deployment.auditLines().filter(({ event, outcome }) => event === 'AcceptLedger' && outcome !== 'OK');
    assert.ok(summaries.length > 0);
    for (const { summary } of summaries) assert.match(summary, /, TO BE ACCEPTED although a later version was seen: /);
    await isRefused(1, 5);
    const own = await deployment.tryCtl('key', 'approve', pending.id, `--digest=${pending.digest}`);
    assert.match(own.stderr, /another person with the role approver must approve it/);
    const roots = readFileSync(path.join(deployment.folder, 'tls.pem'));
    const client = new KeyAdminService(`127.0.0.1:${deployment.tlsPort}`,
      grpc.credentials.createSsl(roots, Buffer.from(anna.key), Buffer.from(anna.cert)), { 'grpc.ssl_target_name_override': 'localhost' });
    const { ledger } = await new Promise((resolve, reject) => {
      client.ApproveChange(pending, { deadline: Date.now() + 30_000 }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
    client.close();
    assert.deepEqual(ledger, { found: 1, seen: 5, version: 6 });
    await signsWithFirst();
    assert.deepEqual([audited('AcceptLedger').at(-1), audited('ApproveChange').at(-1)].map((line) =>
      [line.found_version, line.seen_version, line.change]), [[1, 5, pending.id], [1, 5, pending.id]]);
  });
});
