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

// Over the Unix socket this test is one person; certificates make others of it.
describe('the two-person rule', () => {
  let deployment;
  let authority;
  const people = {};

  const configure = (change) => writeFileSync(deployment.configuration,
    JSON.stringify(change(JSON.parse(readFileSync(deployment.configuration, 'utf8')))));

  before(async () => {
    authority = await CertificateAuthority.found('people');
    for (const name of ['anna', 'ben', 'both']) people[name] = await authority.identity(`DNS:${name}.example.org`);
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://is.example/token'] }], (folder) => {
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
    await ask('anna', 'WithdrawChange', { id: pending.id });
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

    const log = readFileSync(path.join(deployment.folder, 'audit.log'), 'utf8').split('\n').filter(Boolean)
      .map((line) => JSON.parse(line)).filter((line) => line.change === pending.id);
    assert.deepEqual(log.map(({ event, caller }) => [event, caller]),
      [['RevokeKey', 'dns:anna.example.org'], ['ApproveChange', 'dns:ben.example.org']]);
    assert.equal(log[1].kid, pending.kid);
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
  });

  it('who has lost the role asks in vain', async () => {
    const pending = await propose('anna');
    configure((json) => ({ ...json, operators: json.operators.filter(({ caller }) => !caller.includes('anna')) }));
    const size = readFileSync(deployment.log, 'utf8').length;
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'the reload').until(() =>
      readFileSync(deployment.log, 'utf8').slice(size).includes('SIGHUP: clients and operators'));
    const answer = await ask('ben', 'ApproveChange', pending);
    assert.equal(answer.code, 'PERMISSION_DENIED');
    assert.match(answer.details, /may not change keys any more/);
    await deployment.ctl('key', 'withdraw', pending.id);
  });
});
