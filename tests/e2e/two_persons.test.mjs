// The two-person rule: who asks for a change cannot approve it, and what waits survives a restart.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { CertificateAuthority } from './certificate_authority.mjs';
import { KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { Deadline } from './process.mjs';

const ME = `uid:${process.getuid()}`;
const REVOKED_BY_ANNA = { method: 'RevokeKey', requested_by: 'dns:anna.example.org' };

// Over the Unix socket this test is one person; certificates make others of it.
describe('the two-person rule', () => {
  let deployment;
  let authority;
  const people = {};

  const configure = (change) => writeFileSync(deployment.configuration,
    JSON.stringify(change(JSON.parse(readFileSync(deployment.configuration, 'utf8')))));

  async function reconfigure(change) {
    configure(change);
    const size = readFileSync(deployment.log, 'utf8').length;
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'the reload').until(() =>
      readFileSync(deployment.log, 'utf8').slice(size).includes('SIGHUP: clients and operators'));
  }

  before(async () => {
    authority = await CertificateAuthority.found('people');
    for (const name of ['anna', 'ben', 'both']) people[name] = await authority.identity(`DNS:${name}.example.org`);
    deployment = await Deployment.start(['orders', 'reports'].map((client_id) => ({ client_id, audiences: ['https://is.example/token'] })), (folder) => {
      const client_ca = path.join(folder, 'people.pem');
      writeFileSync(client_ca, authority.certificate);
      return {
        tls: { listen: '127.0.0.1:0', certificate: path.join(folder, 'tls.pem'), client_ca },
        two_person_rule: { methods: ['RevokeKey', 'DestroyKey', 'ScheduleKey', 'ImportCertificate'], window: '1h' },
        operators: [
          { caller: ME, roles: ['operator', 'approver'] },
          { caller: 'dns:anna.example.org', roles: ['operator'] },
          { caller: 'dns:ben.example.org', roles: ['approver'] },
          { caller: 'dns:both.example.org', roles: ['operator', 'approver'] },
        ],
      };
    }, async (made) => {
      await made.ctl('tls', 'generate', '--san', 'DNS:localhost', '--config', made.configuration);
    });
    await deployment.generateKey('orders');
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  function ask(name, method, request) {
    // The server's certificate is self-signed: it is its own authority.
    const roots = readFileSync(path.join(deployment.folder, 'tls.pem'));
    const { key, cert } = people[name];
    const client = new KeyAdminService(`127.0.0.1:${deployment.tlsPort}`,
      grpc.credentials.createSsl(roots, Buffer.from(key), Buffer.from(cert)),
      { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' });
    return new Promise((resolve) => {
      client[method](request, { deadline: Date.now() + 30_000 }, (error, answer) => {
        client.close();
        resolve(error ? { code: grpc.status[error.code], details: error.details } : { code: 'OK', ...answer });
      });
    });
  }

  // What the audit log's lines say of the change.
  const linesOf = ({ id }) => readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
    .map((line) => JSON.parse(line)).filter(({ change }) => change === id);
  const recordOf = (change) => linesOf(change)
    .map(({ event, outcome, caller, client_id, kid, pending, method, requested_by }) => JSON.parse(JSON.stringify(
      { event, outcome, caller, client_id, kid, pending, method, requested_by })));

  const keys = async () => JSON.parse(await deployment.ctl('key', 'list', '--json')).keys;
  const staged = async () => (await keys()).find((key) => key.state === 'staged');
  const version = async () => (await keys())[0].version;

  async function propose(name, method = 'RevokeKey', more = {}) {
    const answer = await ask(name, method, {
      client_id: 'orders', kid: (await staged()).kid, change: { expected_version: await version() }, ...more,
    });
    assert.equal(answer.code, 'OK', answer.details);
    assert.ok(!answer.key);
    return answer.pending;
  }

  it('the first call changes nothing and answers with what waits', async () => {
    const before = await keys();
    const pending = await propose('anna');
    assert.deepEqual((await keys()).map(({ state }) => state), before.map(({ state }) => state));
    assert.equal(pending.requested_by, 'dns:anna.example.org');
    assert.equal(pending.method, 'RevokeKey');
    const { changes } = await ask('ben', 'ListPendingChanges', {});
    assert.deepEqual(changes.map(({ id }) => id), [pending.id]);
    assert.equal((await ask('anna', 'WithdrawChange', { id: pending.id })).code, 'OK');
    assert.deepEqual(recordOf(pending).at(-1), { event: 'WithdrawChange', outcome: 'OK', caller: 'dns:anna.example.org',
      client_id: 'orders', kid: pending.kid, ...REVOKED_BY_ANNA });
    assert.equal((await ask('ben', 'ApproveChange', pending)).code, 'NOT_FOUND');
  });

  it('who asked cannot approve, nor can who lacks the role; a wrong digest approves nothing', async () => {
    const pending = await propose('both');
    const own = await ask('both', 'ApproveChange', pending);
    assert.equal(own.code, 'PERMISSION_DENIED');
    assert.match(own.details, /dns:both\.example\.org", who asked for this change/);
    assert.equal((await ask('anna', 'ApproveChange', pending)).code, 'PERMISSION_DENIED');
    assert.equal((await ask('ben', 'ApproveChange', { ...pending, digest: 'x' })).code, 'FAILED_PRECONDITION');
    assert.ok(await staged());
    assert.equal((await ask('both', 'WithdrawChange', { id: pending.id })).code, 'OK');
  });

  it('an operator withdraws no revocation that another asked for; an approver does', async () => {
    const pending = await propose('both');
    const refused = await ask('anna', 'WithdrawChange', { id: pending.id });
    assert.equal(refused.code, 'PERMISSION_DENIED');
    assert.match(refused.details, /dns:anna\.example\.org": only who asked for this change, or an approver, may/);
    assert.deepEqual((await ask('ben', 'ListPendingChanges', {})).changes.map(({ id }) => id), [pending.id]);
    assert.equal((await ask('ben', 'WithdrawChange', { id: pending.id })).code, 'OK');
  });

  it('a change that came in between is not overrun', async () => {
    const pending = await propose('anna');
    await deployment.generateKey('orders');
    assert.equal((await ask('ben', 'ApproveChange', pending)).code, 'ABORTED');
    await ask('anna', 'WithdrawChange', { id: pending.id });
  });

  it('what waits survives a restart, and the second person does it', async () => {
    const pending = await propose('anna');
    await deployment.stopDaemon('SIGKILL');
    await deployment.startDaemon();
    const answer = await ask('ben', 'ApproveChange', pending);
    assert.equal(answer.code, 'OK', answer.details);
    assert.equal(answer.key.kid, pending.kid);
    assert.equal(answer.key.state, 'KEY_STATE_WITHDRAWN');
    assert.deepEqual((await ask('ben', 'ListPendingChanges', {})).changes ?? [], []);

    assert.deepEqual(recordOf(pending).map(({ kid, ...line }) => ({ ...line, kid: kid === pending.kid })), [
      { event: 'RevokeKey', outcome: 'OK', caller: 'dns:anna.example.org', client_id: 'orders', kid: true, pending: true },
      { event: 'ApproveChange', outcome: 'OK', caller: 'dns:ben.example.org', client_id: 'orders', kid: true, ...REVOKED_BY_ANNA }]);
  });

  it('the revocation of a withdrawn key asks nobody, and the audit log tells of it', async () => {
    const { kid } = (await keys()).find((key) => key.state === 'withdrawn');
    const before = await version();
    assert.match(await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`),
      /^this key was withdrawn before: nothing has changed\n {2}next: have the identity server forget the key/m);
    assert.equal(await version(), before);
    assert.match(await deployment.ctl('key', 'pending'), /no change waits/);
    const { outcome, caller, pending } = deployment.auditLines().findLast(({ event }) => event === 'RevokeKey');
    assert.deepEqual({ outcome, caller, pending }, { outcome: 'OK', caller: ME, pending: undefined });
  });

  it('a withdrawn key is destroyed by two, with assertionctl as one of them', async () => {
    const { kid } = (await keys()).find((key) => key.state === 'withdrawn');
    const said = await deployment.ctl('key', 'destroy', '--client-id', 'orders', `--kid=${kid}`);
    assert.match(said, /nothing has changed yet: DestroyKey of key/);
    const { pending: [waiting] } = JSON.parse(await deployment.ctl('key', 'pending', '--json'));
    const own = await deployment.tryCtl('key', 'approve', waiting.id, `--digest=${waiting.digest}`);
    assert.equal(own.status, 1);
    assert.equal((await ask('ben', 'ApproveChange', waiting)).code, 'OK');
    assert.equal((await keys()).find((key) => key.kid === kid), undefined);
  });

  it('assertionctl approves what another asked for, and withdraws', async () => {
    const pending = await propose('anna', 'ScheduleKey', { sign_from: { seconds: Math.floor(Date.now() / 1000) + 3600 } });
    await deployment.ctl('key', 'approve', pending.id, `--digest=${pending.digest}`);
    const again = await propose('anna');
    await deployment.ctl('key', 'withdraw', again.id);
    assert.match(await deployment.ctl('key', 'pending'), /no change waits/);
    await deployment.generateKey('orders');
    const revocation = await propose('anna');
    assert.match(await deployment.ctl('key', 'approve', revocation.id, `--digest=${revocation.digest}`),
      /^revoked: it neither signs nor is published from now on\n {2}next: have the identity server forget the key/m);
  });

  it('who has lost the role asks in vain', async () => {
    const pending = await propose('anna');
    await reconfigure((json) => ({ ...json, operators: json.operators.filter(({ caller }) => !caller.includes('anna')) }));
    const answer = await ask('ben', 'ApproveChange', pending);
    assert.equal(answer.code, 'PERMISSION_DENIED');
    assert.match(answer.details, /may not change keys any more/);
    const approval = await deployment.tryCtl('key', 'approve', pending.id, `--digest=${pending.digest}`);
    assert.match(approval.stderr, /^ {2}next: withdraw the change, and have an operator ask again/m);
    assert.match(await deployment.ctl('key', 'pending'), new RegExp(`its requester may not change keys any more.*key withdraw ${pending.id}`));
    assert.match((await deployment.tryCtl('status')).stdout, /^ {2}waits .*RevokeKey cannot be approved: its requester may not change keys any more/m);
    await deployment.ctl('key', 'withdraw', pending.id);
  });

  it('with "all" one person alone neither makes nor moves nor ends a key', async () => {
    await reconfigure((json) => ({
      ...json,
      operators: [...json.operators, { caller: 'dns:anna.example.org', roles: ['operator'] }],
      two_person_rule: { methods: 'all', window: '1h' },
    }));
    const before = await keys();
    const said = await deployment.ctl('key', 'rotate', '--client-id', 'orders', '--algorithm', 'ES256', '--sign-from',
      'now', '--force', 'orders', '--common-name', 'next');
    assert.match(said, /nothing has changed yet: RotateKey of client orders/);
    assert.match(said, /algorithm ES256, common name "next", sign_from \S+ \(when made, if that is later\)/);
    assert.match(said, /FORCED/);
    const made = await deployment.ctl('key', 'generate', '--client-id', 'orders', '--bits', '3072');
    assert.match(made, /nothing has changed yet: GenerateKey of client orders[^]*3072 bits, decided on version \d+\n/);
    assert.deepEqual(await keys(), before);
    const { pending } = JSON.parse(await deployment.ctl('key', 'pending', '--json'));
    assert.deepEqual(pending.map(({ method, kid }) => [method, kid]).sort(), [['GenerateKey', ''], ['RotateKey', '']]);
    const rotation = pending.find(({ method }) => method === 'RotateKey');
    const asked = linesOf(rotation).map(({ forced, summary, digest }) => ({ forced, summary, digest }));
    assert.deepEqual(asked, [{ forced: true, summary: rotation.summary, digest: rotation.digest }]);
    assert.match(await deployment.ctl('key', 'pending'), /algorithm ES256[^]*another operator with the role approver may approve it/);
    for (const { id } of pending) await deployment.ctl('key', 'withdraw', id);
    const again = await deployment.tryCtl('key', 'withdraw', pending[0].id);
    assert.match(again.stderr, /no such change waits/);
  });

  it('a request that could not be acted on does not wait', async () => {
    const refused = (change) => ask('anna', 'GenerateKey', { client_id: 'orders', ...change });
    assert.equal((await refused({})).code, 'INVALID_ARGUMENT');
    assert.equal((await refused({ change: { expected_version: 1 }, key_bits: 17 })).code, 'INVALID_ARGUMENT');
    assert.equal((await refused({ change: { expected_version: 1 }, hsm: 'nope' })).code, 'NOT_FOUND');
    const key = { client_id: 'orders', kid: (await keys())[0].kid, change: { expected_version: await version() } };
    assert.equal((await ask('anna', 'ScheduleKey', key)).code, 'INVALID_ARGUMENT');
    assert.equal((await ask('anna', 'ImportCertificate', { ...key, certificates: Buffer.from('junk') })).code, 'INVALID_ARGUMENT');
    assert.match(await deployment.ctl('key', 'pending'), /no change waits/);
  });

  it('the texts of one that waits hide neither itself nor the others, and are no fields of it', async () => {
    const change = { expected_version: await version() };
    const names = ['\u6f22'.repeat(64), 'x", decided on version 9', 'a\u202eb'];
    const asked = [];
    for (const common_name of names) asked.push(await ask('anna', 'GenerateKey', { client_id: 'orders', change, common_name }));
    assert.deepEqual(asked.map(({ code }) => code), names.map(() => 'OK'));
    const { code, changes } = await ask('ben', 'ListPendingChanges', {});
    assert.equal(code, 'OK');
    assert.equal(changes.length, names.length);
    for (const { summary } of changes) {
      assert.match(summary, /^[ -~]+$/);
      assert.match(summary, new RegExp(`, common name "[^"]*"[^"]*, decided on version ${change.expected_version}$`));
    }
    for (const { pending } of asked) assert.equal((await ask('anna', 'WithdrawChange', { id: pending.id })).code, 'OK');
  });

  it('the second person makes the key: generated, then rotated with its time', async () => {
    const generated = await ask('anna', 'GenerateKey', { client_id: 'reports', change: { expected_version: 0 } });
    assert.ok(generated.pending && !generated.key);
    const first = await ask('ben', 'ApproveChange', generated.pending);
    assert.equal(first.code, 'OK', first.details);
    const ofReports = async () => (await keys()).filter(({ client_id }) => client_id === 'reports');
    assert.deepEqual((await ofReports()).map(({ kid, state }) => [kid, state]), [[first.key.kid, 'signing']]);

    // The time that was asked for has passed when it is approved: it means now.
    const rotated = await ask('anna', 'RotateKey', {
      client_id: 'reports', change: { expected_version: 1, force_client_id: 'reports' },
      sign_from: { seconds: Math.floor(Date.now() / 1000) - 5 },
    });
    assert.equal((await ofReports()).length, 1);
    const next = await ask('ben', 'ApproveChange', rotated.pending);
    assert.equal(next.code, 'OK', next.details);
    assert.equal(next.key.state, 'KEY_STATE_SIGNING');
    assert.deepEqual((await ofReports()).filter(({ state }) => state === 'signing').map(({ kid }) => kid), [next.key.kid]);
    assert.deepEqual(recordOf(rotated.pending).map(({ event, caller, kid }) => [event, caller, kid ?? '']),
      [['RotateKey', 'dns:anna.example.org', ''], ['ApproveChange', 'dns:ben.example.org', next.key.kid]]);
  });

  it('of persons who race for one change exactly one has an effect', async () => {
    for (let round = 0; round < 6; ++round) {
      const before = (await keys()).length;
      const { pending } = await ask('anna', 'GenerateKey', { client_id: 'orders', change: { expected_version: await version() } });
      const answers = await Promise.all([
        ask('ben', 'ApproveChange', pending), ask('both', 'ApproveChange', pending),
        ask('anna', 'WithdrawChange', { id: pending.id }),
      ]);
      assert.equal(answers.filter(({ code }) => code === 'OK').length, 1, JSON.stringify(answers));
      const approved = answers.slice(0, 2).some(({ code }) => code === 'OK');
      assert.equal((await keys()).length, before + (approved ? 1 : 0));
      assert.match(await deployment.ctl('key', 'pending'), /no change waits/);
    }
  });

  it('a change asked for twice is done once', async () => {
    const before = (await keys()).length;
    const request = { client_id: 'orders', change: { expected_version: await version() } };
    const [one, two] = [await ask('anna', 'GenerateKey', request), await ask('anna', 'GenerateKey', request)];
    assert.equal(one.pending.digest, two.pending.digest);
    const answers = await Promise.all([one, two].map(({ pending }) => ask('ben', 'ApproveChange', pending)));
    assert.deepEqual(answers.map(({ code }) => code).sort(), ['ABORTED', 'OK']);
    assert.equal((await keys()).length, before + 1);
    for (const { id } of JSON.parse(await deployment.ctl('key', 'pending', '--json')).pending) {
      await deployment.ctl('key', 'withdraw', id);
    }
  });

  it('revoke_by_one_person lets one person brake, and nothing else', async () => {
    await reconfigure((json) => ({
      ...json, two_person_rule: { methods: ['all'], revoke_by_one_person: true, window: '1h' },
    }));
    const { kid } = (await keys()).find(({ state }) => state === 'signing');
    const said = await deployment.ctl('key', 'revoke', '--client-id', 'orders', `--kid=${kid}`, '--force', 'orders');
    assert.match(said, /withdrawn/);
    const { pending } = await ask('anna', 'DestroyKey', { client_id: 'orders', kid, change: { expected_version: await version() } });
    assert.equal(pending.method, 'DestroyKey');
    await deployment.ctl('key', 'withdraw', pending.id);
  });
});
