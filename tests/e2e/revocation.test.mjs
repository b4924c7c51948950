// What a revocation ends: not only the next connection, but all that is open.
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline } from './process.mjs';
import { RawConnection, message } from './raw_connection.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ME = `uid:${process.getuid()}`;
const CREATE = 'assertion.v1.AssertionService/CreateAssertion';
const STREAM = 'assertion.v1.AssertionService/CreateAssertions';
const ROTATE = 'assertion.v1.KeyAdminService/RotateKey';
const REQUEST = message({ 1: 'orders' });
const ON_STREAM = message({ 2: REQUEST });
const ROTATION = message({ 1: 'orders', 6: message({ 1: 1 }) });
const GRACE = 8;
const IPV6 = Object.values(networkInterfaces()).flat().some(({ address }) => address === '::1');
// refresh_interval is 1 s; the rest is for a busy machine.
const ENDS = 15;

describe('a revocation ends what is open', () => {
  let root;
  let intermediate;
  let deployment;
  let crls;
  let identities;
  const open = [];

  const writeCrl = async (authority, name) => {
    const draft = path.join(deployment.folder, 'crl.new');
    writeFileSync(draft, await authority.crl());
    renameSync(draft, path.join(crls, name));
  };

  const connect = (identity) => {
    const connection = RawConnection.tls(deployment.tlsPort, root.certificate, identity);
    open.push(connection);
    return connection;
  };

  const ask = async (identity) => {
    const connection = RawConnection.tls(deployment.tlsPort, root.certificate, identity);
    const call = connection.call(CREATE);
    call.send(REQUEST);
    const { code, details } = await call.ended;
    connection.close();
    return { code, details };
  };
  const refused = (identity) => async () => (await ask(identity)).code !== 'OK';

  const logged = () => readFileSync(deployment.log, 'utf8');
  const keys = async () => JSON.parse(await deployment.ctl('key', 'list', '--json')).keys.length;
  const configure = (change) => {
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    change(configuration);
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
    deployment.daemon.kill('SIGHUP');
  };

  before(async () => {
    root = await CertificateAuthority.found('root');
    intermediate = await CertificateAuthority.found('intermediate', root);
    identities = {
      leaver: await root.identity('DNS:leaver.example.org'),
      removed: await root.identity('DNS:removed.example.org'),
      stays: await root.identity('DNS:stays.example.org'),
      below: await intermediate.identity('DNS:below.example.org'),
    };
    deployment = await Deployment.start([{
      client_id: 'orders', audiences: [AUDIENCE],
      callers: [ME, ...Object.keys(identities).map((name) => `dns:${name}.example.org`)],
    }], (folder) => {
      crls = path.join(folder, 'crls');
      mkdirSync(crls);
      return {
        refresh_interval: '1s',
        tls: mutualTls(folder, root.certificate + intermediate.certificate,
          { listen: IPV6 ? '[::]:0' : '127.0.0.1:0', crl_directory: crls, crl_grace: `${GRACE}s` }),
        operators: [
          { caller: ME, roles: ['viewer', 'operator', 'approver'] },
          { caller: 'dns:leaver.example.org', roles: ['operator'] },
        ],
      };
    }, async (made) => {
      deployment = made;
      await writeCrl(root, 'root.crl');
      await writeCrl(intermediate, 'intermediate.crl');
      await made.makeTlsKey(root);
    });
    await deployment.generateKey('orders');
  });

  after(async () => {
    for (const connection of open) connection.close();
    await deployment?.close();
  });

  it('streams without a message, calls of which only the headers came, and idle connections', async () => {
    const before = await keys();
    const leaver = connect(identities.leaver);
    const calls = [leaver.call(STREAM), leaver.call(STREAM), leaver.call(STREAM), leaver.call(CREATE), leaver.call(ROTATE)];
    const onlyHeaders = connect(identities.leaver);  // of which no handler has heard
    const waiting = onlyHeaders.call(CREATE);
    const idle = connect(identities.leaver);
    // What is refused here ends nothing of the others.
    const innocent = connect(identities.stays);
    const going = innocent.call(STREAM);
    const overIpv6 = IPV6 ? [connect({ ...identities.stays, host: '::1' })] : [];
    for (const connection of [innocent, ...overIpv6]) {
      const first = connection.call(CREATE);
      first.send(REQUEST);
      assert.equal((await first.ended).code, 'OK');
    }
    const served = leaver.call(CREATE);
    served.send(REQUEST);
    assert.equal((await served.ended).code, 'OK');

    await root.revoke(identities.leaver.cert);
    await writeCrl(root, 'root.crl');
    const deadline = new Deadline(ENDS, 'what is open to end');
    const ends = await deadline.limit(Promise.all([...calls, waiting].map(({ ended }) => ended)));
    await deadline.limit(Promise.all([leaver.closed, onlyHeaders.closed, idle.closed]));
    for (const { code } of ends) assert.notEqual(code, 'OK');
    for (const call of calls.slice(0, 3)) call.send(ON_STREAM);
    calls[3].send(REQUEST);
    calls[4].send(ROTATION);
    assert.notEqual((await ask(identities.leaver)).code, 'OK');
    assert.equal(await keys(), before);

    for (const connection of overIpv6) {
      const last = connection.call(CREATE);
      last.send(REQUEST);
      assert.equal((await last.ended).code, 'OK');
    }
    going.send(ON_STREAM);
    const { code, octets } = await going.ended;
    assert.equal(code, 'OK');
    assert.ok(octets.length > 200, 'an assertion');
  });

  it('so does a reload that removes the caller from every list', async () => {
    const removed = connect(identities.removed);
    const stream = removed.call(STREAM);
    const served = removed.call(CREATE);
    served.send(REQUEST);
    assert.equal((await served.ended).code, 'OK');
    const stays = connect(identities.stays);
    const other = stays.call(STREAM);
    const known = stays.call(CREATE);
    known.send(REQUEST);
    assert.equal((await known.ended).code, 'OK');
    configure(({ clients }) => { clients[0].callers = clients[0].callers.filter((name) => !name.includes('removed')); });
    await new Deadline(ENDS, 'the stream to end').limit(Promise.all([stream.ended, removed.closed]));
    other.send(ON_STREAM);
    assert.equal((await other.ended).code, 'OK');
  });

  it('an intermediate that its root has revoked vouches for nobody', async () => {
    assert.deepEqual(await ask(identities.below), { code: 'OK', details: '' });
    const connection = connect(identities.below);
    const stream = connection.call(STREAM);
    const served = connection.call(CREATE);
    served.send(REQUEST);
    assert.equal((await served.ended).code, 'OK');
    await root.revoke(intermediate.certificate);
    await writeCrl(root, 'root.crl');
    await new Deadline(ENDS, 'the revocation').until(refused(identities.below));
    await new Deadline(ENDS, 'the stream to end').limit(stream.ended);
    assert.equal((await ask(identities.stays)).code, 'OK');
  });

  it('CRLs that cannot all be read are used for crl_grace, and then nobody is believed', async () => {
    const junk = path.join(crls, 'notes.txt');
    writeFileSync(junk, 'hello');
    await new Deadline(ENDS, 'the log to say so').until(() => /revocation goes on by the CRLs.*notes\.txt/.test(logged()));
    assert.equal((await ask(identities.stays)).code, 'OK');
    const connection = connect(identities.stays);
    const served = connection.call(CREATE);
    served.send(REQUEST);
    assert.equal((await served.ended).code, 'OK');
    await new Deadline(GRACE + ENDS, 'the end of the grace').until(refused(identities.stays));
    await new Deadline(ENDS, 'the connection to end').limit(connection.closed);
    assert.match(logged(), /nobody with a certificate is served/);
    assert.equal(logged().match(/revocation goes on by the CRLs/g).length, 1, 'one line a change of state');
    assert.ok(await deployment.createAssertion('orders'), 'callers of this machine have no certificate');
    rmSync(junk);
    await new Deadline(ENDS, 'the service to be back').until(async () => !(await refused(identities.stays)()));
    assert.match(logged(), /all CRLs can be read again/);
  });
});
