// The token goes and comes back; assertiond goes on by itself. The module is SoftHSM2 behind tests/faulty_hsm.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, run } from './process.mjs';

describe('recovery', () => {
  let deployment;
  let hsm;

  const httpPort = () => new URL(deployment.httpOrigin).port;
  const shakesHands = async (port) =>
    /Peer signature type: rsa/i.test((await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`])).stdout);
  // Waits until the log says it once more than it did at the last call.
  const counts = {};
  const said = async (text) => {
    const count = () => readFileSync(deployment.log, 'utf8').split(text).length - 1;
    await new Deadline(30, `the log to say: ${text}`).until(() => count() > (counts[text] ?? 0));
    counts[text] = count();
  };

  before(async () => {
    const authority = await CertificateAuthority.found('recovery');
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://localhost/token'] }], (folder) => ({
      tls: mutualTls(folder, authority.certificate), http_listen: '127.0.0.1:0',
    }), async (made) => {
      await made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration);
      hsm = new FaultyHsm(made);
    });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  // Object handles mean others afterwards in the first case.
  for (const [what, lost, back] of [
    ['taken out', '* removed', 'C_FindObjects renumber times=0'],
    ['wedged until C_Finalize', 'C_Sign wedged times=1', ''],
  ]) {
    it(`a token that is ${what} comes back, and TLS with it`, async () => {
      await deployment.createAssertion('orders');
      assert.ok(await shakesHands(httpPort()) && await shakesHands(deployment.tlsPort));
      hsm.tell(lost);
      await said('the token does not sign');
      const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
      if (lost.endsWith('removed')) assert.ok(status !== 0 && /the HSM is not available; try again/.test(stderr), stderr);
      if (lost.endsWith('removed')) {
        const change = await deployment.tryCtl('key', 'generate', '--client-id', 'orders');
        assert.match(change.stderr, /the change may have been made nevertheless: look at the client's keys before you repeat it/);
      }
      hsm.tell(back);
      await said('the token signs again');
      await deployment.createAssertion('orders');
      assert.ok(await shakesHands(httpPort()));
      const deadline = new Deadline(30, 'gRPC to take the key again');
      await deadline.until(() => shakesHands(deployment.tlsPort));
      await deployment.ctl('key', 'rotate', '--client-id', 'orders');   // by the provider
    });
  }

  it('a token that hangs keeps no caller waiting, and assertiond goes on after it', async () => {
    hsm.tell('C_Sign hang');
    const { status, stderr } = await deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
    assert.ok(status !== 0 && /the HSM (is not available|did not answer|does not answer)/.test(stderr), stderr);
    await said('the token does not sign');
    hsm.tell();
    await said('the token signs again');
    await deployment.createAssertion('orders');
  });

  it('a token that hangs for good ends assertiond, which says so', async () => {
    hsm.tell('C_Sign hang');
    const { status } = await new Deadline(40, `assertiond to give up; its log is ${deployment.log}`)
      .limit(deployment.daemon.ended);
    assert.equal(status, 24);
    hsm.tell();
    await deployment.startDaemon();
    await deployment.createAssertion('orders');
  });

  it('SIGTERM while a call hangs ends it in time', async () => {
    hsm.tell('C_Sign hang');
    await said('the token does not sign');
    assert.deepEqual(await deployment.stopDaemon(), { status: 0, signal: null });
    hsm.tell();
    await deployment.startDaemon();
    await deployment.createAssertion('orders');
  });
});
