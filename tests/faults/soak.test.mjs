// Long at work, with a fault every few seconds: nothing that is promised breaks, and nothing piles up. The module is
// SoftHSM2 behind tests/faulty_hsm. E2E_SEED repeats a run's faults, E2E_SECONDS says how long it takes, E2E_SHARE how much
// of what the service can do is asked of it.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Deployment } from '../e2e/deployment.mjs';
import { FaultyHsm } from '../e2e/faulty_hsm.mjs';
import { asRoot, Deadline } from '../e2e/process.mjs';
import { FAULTS } from './fault.mjs';
import { AUDIENCE, Load } from './load.mjs';
import { Random } from './random.mjs';
import { pause } from './service.mjs';
import { Table } from './table.mjs';

const CLIENTS = ['orders', 'billing'];
const SECONDS = Number(process.env.E2E_SECONDS ?? (process.env.E2E_LONG ? 600 : 20));
const SEED = Number(process.env.E2E_SEED ?? randomInt(2 ** 32));
const SHARE = Number(process.env.E2E_SHARE ?? 0.7);  // of the capacity
const CALL = 2;           // a call's deadline, in seconds
const MEASURED = 3000;    // milliseconds of each measurement
const GROWTH = 0.02;      // in the second half: what the allocator keeps for threads that come and go is there after the first
const BACK_WITHIN = 1000;
const BACK_AFTER_RELOAD_WITHIN = 3000;
// How many descriptors a process has at the least, in so many seconds. Of one that shields itself root alone sees them.
const FEWEST_DESCRIPTORS = `
import os, sys, time
pid, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
fewest = sys.maxsize
while time.monotonic() < end:
    fewest = min(fewest, len(os.listdir(f"/proc/{pid}/fd")))
    time.sleep(0.02)
print(fewest)`;
// Its allocator keeps what was freed, to find who uses it then.
const SANITIZED = readFileSync(path.join(process.env.E2E_BIN_DIR, 'assertiond')).includes('__asan_init');

const median = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];

describe('a soak', () => {
  const random = new Random(SEED);
  const table = new Table('soak.md', `A soak of ${SECONDS} s with faults`);
  let deployment;
  let hsm;
  let load;
  let slowest = 0;
  let reloads = 0;

  before(async () => {
    process.stdout.write(`soak: E2E_SEED=${SEED} E2E_SECONDS=${SECONDS}\n`);
    deployment = await Deployment.start(CLIENTS.map((client_id) => ({ client_id, audiences: [AUDIENCE] })),
      { sessions: 2 }, async (made) => { hsm = new FaultyHsm(made); });
    for (const client of CLIENTS) await deployment.generateKey(client);
  });

  after(async () => {
    hsm.tell();
    await load?.stop();
    await deployment.close();
  });

  const answered = () => new Deadline(30, 'every client to be served').limit(load.answered());

  async function measureCapacity() {
    load = await Load.start(deployment.socket, CLIENTS, { seconds: CALL });
    await answered();
    await pause(MEASURED / 3);
    load.take();
    const began = performance.now();
    await pause(MEASURED);
    const { answered: count } = load.take();
    const took = performance.now() - began;
    await load.stop();
    assert.deepEqual(load.broken, []);
    return count * 1000 / took;
  }

  // What the process holds while it serves and no fault is on: the least that it comes down to, of what comes and goes.
  async function measure() {
    const { pid } = deployment.daemon;
    const fewest = asRoot('python3', ['-c', FEWEST_DESCRIPTORS, String(pid), String(MEASURED / 1000)]);
    const seen = { rss: [], sessions: [] };
    for (const end = performance.now() + MEASURED; performance.now() < end;) {
      seen.rss.push(Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))[1]));
      seen.sessions.push(hsm.sessions());
      await pause(20);
    }
    return { rss: median(seen.rss), descriptors: Number(await fewest), sessions: Math.min(...seen.sessions) };
  }

  // One fault, and the way back from it.
  async function suffer(fault, milliseconds) {
    const finalized = () => hsm.counts().get('C_Finalize')?.calls ?? 0;
    const before = finalized();
    hsm.tell(...fault.rules(random));
    await pause(milliseconds);
    hsm.tell();
    const ended = performance.now();
    const took = await answered() - ended;
    const reloaded = finalized() > before;
    reloads += reloaded ? 1 : 0;
    slowest = Math.max(slowest, took);
    const limit = reloaded ? BACK_AFTER_RELOAD_WITHIN : BACK_WITHIN;
    assert.ok(took <= limit, `${fault.name}: back after ${Math.round(took)} ms; ${limit} are allowed`);
    assert.deepEqual(load.broken, [], fault.name);
  }

  it('breaks nothing and keeps nothing', async () => {
    const capacity = await measureCapacity();
    load = await Load.start(deployment.socket, CLIENTS, { seconds: CALL, rate: SHARE * capacity });
    await answered();
    // Memory that a kind of fault takes once belongs to the base.
    for (const fault of FAULTS) await suffer(fault, fault.longest);
    load.take();
    const began = performance.now();
    const base = await measure();
    const rate = load.take().answered * 1000 / (performance.now() - began);

    const counts = new Map(FAULTS.map(({ name }) => [name, 0]));
    const end = performance.now() + SECONDS * 1000;
    slowest = 0;
    reloads = 0;
    const half = performance.now() + SECONDS * 500;
    let settled;
    while (performance.now() < end) {
      if (!settled && performance.now() >= half) settled = (await measure()).rss;
      await pause(random.between(500, 3000));
      const fault = random.of(FAULTS);
      counts.set(fault.name, counts.get(fault.name) + 1);
      await suffer(fault, random.between(100, fault.longest));
    }
    const { answered: good, refused } = load.take();

    const last = await measure();
    const faults = [...counts.values()].reduce((sum, count) => sum + count);
    const growth = last.rss / (settled ?? base.rss) - 1;
    table.note(`Seed ${SEED}: ${faults} faults, of which ${[...counts].map(([name, count]) => `${count} × ${name}`).join(', ')}.`);
    for (const [what, value] of Object.entries({
      'capacity, a second': capacity,
      'load without a fault, a second': rate,
      answered: good,
      'refused, by status': JSON.stringify(refused),
      'reloads of the module': reloads,
      'back after a fault, worst, ms': slowest,
      'resident memory, kB': `${base.rss}, ${settled ?? '-'} after half of the time, then ${last.rss} (${(growth * 100).toFixed(2)} % in the second half)`,
      descriptors: `${base.descriptors}, then ${last.descriptors}`,
      sessions: `${base.sessions}, then ${last.sessions}`,
    })) table.add({ what, value });
    table.write();

    assert.deepEqual(load.broken, []);
    if (process.env.E2E_LONG) {  // the capacity is measured once, and CI's machine is not ours alone
      assert.ok(rate > 0.9 * SHARE * capacity && rate < 1.1 * SHARE * capacity, `the load was ${rate} a second`);
    }
    assert.ok(good > 0.3 * SHARE * capacity * SECONDS, `only ${good} were answered in ${SECONDS} s`);
    assert.deepEqual({ ...last, rss: 0 }, { ...base, rss: 0 });
    assert.ok(SANITIZED || growth < GROWTH, `memory grew by ${(growth * 100).toFixed(2)} % in the second half`);
    const key = path.join(deployment.folder, 'audit.jwk');
    await deployment.ctl('audit', 'key', '--out', key);
    const logs = readdirSync(deployment.folder).filter((name) => /^audit\.log(\.\d+)?$/.test(name));
    await deployment.ctl('audit', 'verify', ...logs.map((name) => path.join(deployment.folder, name)), '--key', key);
  });
});
