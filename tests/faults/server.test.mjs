// A network HSM is killed, is away, and hangs, under load: SoftHSM2 behind `p11-kit server`.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Caller, Health } from '../e2e/caller.mjs';
import { Deadline } from '../e2e/process.mjs';
import { AUDIENCE, Load } from './load.mjs';
import { P11KitServer } from '../e2e/p11_kit_server.mjs';
import { pause } from './service.mjs';
import { Table } from './table.mjs';

const CLIENTS = ['orders', 'billing'];
const ROUNDS = process.env.E2E_LONG ? 100 : 20;
const HANGS = process.env.E2E_LONG ? 20 : 4;
const SECONDS = 2;  // a call's deadline
const TURNS = 20;   // of all clients, between two faults
const LOST = 'the token does not sign';
const LOST_WITHIN = process.env.E2E_LONG ? 1000 : 2000;  // CI is busy
const BACK_WITHIN = 3000;
const table = new Table('server.md', 'SoftHSM2 behind `p11-kit server`, killed and stopped under a load of 8 callers');

describe('a network HSM', () => {
  let deployment;
  let server;
  let load;
  let health;

  before(async () => {
    ({ deployment, server } = await P11KitServer.deploy(CLIENTS, { sessions: 2 }, AUDIENCE));
    health = new Caller(Health, deployment.socket);
    load = await Load.start(deployment.socket, CLIENTS, { seconds: SECONDS });
    await answered('the load to begin');
  });

  after(async () => {
    server.continueChildren();
    await load?.stop();
    health?.close();
    await deployment.close();
    table.write();
  });

  const answered = (what) => new Deadline(30, what).limit(load.answered());
  const count = (text) => readFileSync(deployment.log, 'utf8').split(text).length - 1;

  // When the health service says so first, or a failure.
  async function becomes(status) {
    await new Deadline(30, `health to be ${status}`)
      .until(async () => (await health.call('Check', {}, SECONDS)).status === status);
    return performance.now();
  }

  // Before each round: the load goes on as if nothing had been.
  async function flows() {
    for (let turn = 0; turn < TURNS; ++turn) await answered('the load to go on');
    return count(LOST);
  }

  // The service lost the token when it was hit, and has it back. In milliseconds since `returned`.
  async function isBack(returned, losses) {
    await new Deadline(30, 'the log to say that the token is lost').until(() => count(LOST) > losses);
    const [calls, ready] = await Promise.all([answered('every client to be served again'), becomes('SERVING')]);
    assert.deepEqual(load.broken, []);
    return { calls: calls - returned, ready: ready - returned };
  }

  function conclude(what, rounds) {
    const worst = (figure) => Math.max(...rounds.map((round) => round[figure] ?? 0));
    const { answered: good, refused } = load.take();
    table.add({ what, times: rounds.length, 'not ready, worst': worst('lost'), 'calls back, worst': worst('calls'),
      'ready again, worst': worst('ready'), answered: good, refused: JSON.stringify(refused) });
    assert.ok(good > rounds.length * TURNS, 'there was a load');
    assert.ok(worst('lost') < LOST_WITHIN, `it was noticed after ${worst('lost')} ms`);
    assert.ok(worst('calls') < BACK_WITHIN && worst('ready') < BACK_WITHIN, JSON.stringify(rounds));
  }

  it('that is killed and started again at once', async () => {
    const rounds = [];
    load.take();
    for (let round = 0; round < ROUNDS; ++round) {
      const losses = await flows();
      // In turns, the child alone: then the server is there all the time.
      if (round % 2 === 0) {
        server.killChildren();
      } else {
        await server.kill();
        await server.start();
      }
      rounds.push(await isBack(performance.now(), losses));
    }
    conclude('`kill -9`, started again at once', rounds);
  });

  it('that is away for a second', async () => {
    const rounds = [];
    load.take();
    for (let round = 0; round < HANGS; ++round) {
      const losses = await flows();
      const lines = count('\n');
      await server.kill();
      const gone = performance.now();
      const lost = await becomes('NOT_SERVING') - gone;
      await pause(1000 - (performance.now() - gone));
      assert.equal((await health.call('Check', {}, SECONDS)).status, 'NOT_SERVING');
      // One for the change of state, and those of calls that were under way.
      const written = count('\n') - lines;
      assert.ok(written < 30, `${written} lines of log about a server that is away`);
      await server.start();
      rounds.push({ lost, ...await isBack(performance.now(), losses) });
    }
    conclude('`kill -9`, away for 1 s', rounds);
  });

  // Up to more than the queue grants a call: then the workers are given up, and others take their place.
  for (const seconds of [1, 3, 7]) {
    it(`that hangs for ${seconds} s`, async () => {
      const rounds = [];
      load.take();
      for (let round = 0; round < Math.ceil(HANGS / seconds); ++round) {
        const losses = await flows();
        server.stopChildren();
        const hangs = performance.now();
        const lost = await becomes('NOT_SERVING') - hangs;
        await pause(seconds * 1000 - (performance.now() - hangs));
        assert.equal((await health.call('Check', {}, SECONDS)).status, 'NOT_SERVING');
        server.continueChildren();
        rounds.push({ lost, ...await isBack(performance.now(), losses) });
      }
      conclude(`hangs for ${seconds} s`, rounds);
    });
  }

  it('that hangs and is killed then', async () => {
    const rounds = [];
    load.take();
    for (let round = 0; round < HANGS; ++round) {
      const losses = await flows();
      server.stopChildren();
      const hangs = performance.now();
      const lost = await becomes('NOT_SERVING') - hangs;
      server.killChildren();
      rounds.push({ lost, ...await isBack(performance.now(), losses) });
    }
    conclude('hangs, then `kill -9`', rounds);
  });
});
