// SIGTERM ends assertiond with status 0 in time though calls into the module do not return, whoever made them: the
// module is a network HSM whose server is stopped.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { AssertionService, Caller, Health, KeyAdminService } from '../e2e/caller.mjs';
import { Deadline, startProcess } from '../e2e/process.mjs';
import { AUDIENCE } from './load.mjs';
import { P11KitServer } from '../e2e/p11_kit_server.mjs';

const DRAIN = 3;  // seconds
const MORE = 5;   // until the process must have ended, after those
const QUIET = { audit: { enabled: false } };  // its last checkpoint would be a call that hangs, too

describe('the end of assertiond while the module hangs', { concurrency: true }, () => {
  const clients = [];
  const connect = (Service, { socket }) => {
    const client = new Caller(Service, socket);
    clients.push(client);
    return client;
  };

  after(() => {
    for (const client of clients) client.close();
  });

  async function becomesNotServing(deployment) {
    const health = connect(Health, deployment);
    await new Deadline(10, 'health to be NOT_SERVING')
      .until(async () => (await health.call('Check', {}, 5)).status === 'NOT_SERVING');
  }

  async function assertEnds(daemon, limit, log) {
    const began = performance.now();
    daemon.kill('SIGTERM');
    const end = await new Deadline(30, `assertiond to end; its log is ${log}`).limit(daemon.ended);
    const took = (performance.now() - began) / 1000;
    assert.deepEqual(end, { status: 0, signal: null }, `${took} s; the log is ${log}`);
    assert.ok(took < limit, `it took ${took} s; the log is ${log}`);
  }

  for (const [what, configuration, hangs] of [
    ['nobody calls', {}, becomesNotServing],
    ['nobody calls and there is no audit log', QUIET, becomesNotServing],
    ['the keys are being refreshed', { ...QUIET, refresh_interval: '1s' }, async (deployment) => {
      await becomesNotServing(deployment);
      await new Promise((resolve) => { setTimeout(resolve, 1500); });  // more than the interval
    }],
    ['assertions are wanted', QUIET, async (deployment) => {
      const calls = Array.from({ length: 8 }, () =>
        connect(AssertionService, deployment).call('CreateAssertion', { client_id: 'orders' }, 20).catch(() => {}));
      await becomesNotServing(deployment);
      return calls;
    }],
    ['a key is being generated', QUIET, async (deployment) => {
      connect(KeyAdminService, deployment)
        .call('GenerateKey', { client_id: 'late', change: { expected_version: 0 } }, 20).catch(() => {});
      await becomesNotServing(deployment);
    }],
    ['the configuration is read again', QUIET, async (deployment) => {
      await becomesNotServing(deployment);
      deployment.daemon.kill('SIGHUP');  // the kernel delivers it before SIGTERM
    }],
  ]) {
    it(`when ${what}`, async () => {
      const { deployment, server } = await P11KitServer.deploy(['orders', 'late'],
        { drain_limit: `${DRAIN}s`, sessions: 2, ...configuration }, AUDIENCE);
      server.stopChildren();
      await hangs(deployment);
      await assertEnds(deployment.daemon, DRAIN + MORE, deployment.log);
      server.continueChildren();
    });
  }

  it('when it has only just begun', async () => {
    const { deployment, server } = await P11KitServer.deploy(['orders'], {}, AUDIENCE);
    await deployment.stopDaemon();
    server.stop();
    const log = path.join(deployment.folder, 'start.log');
    const daemon = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertiond'), ['--config', deployment.configuration],
      { env: deployment.environment, log });
    // From then on the signal waits for whom it is meant; the module's call does not return whenever it begins.
    const blocksTerm = () => {
      const [, blocked] = /^SigBlk:\s+([0-9a-f]+)$/m.exec(readFileSync(`/proc/${daemon.pid}/status`, 'latin1'));
      return (BigInt(`0x${blocked}`) >> BigInt(os.constants.signals.SIGTERM - 1)) & 1n;
    };
    await new Deadline(10, 'assertiond to block SIGTERM').until(blocksTerm);
    await assertEnds(daemon, MORE, log);
  });
});
