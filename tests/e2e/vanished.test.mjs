// Whatever vanishes from under assertiond and comes back - objects, files, the token, sessions, the login, the process -
// it signs again by itself, with the keys of its ledger. Steps are drawn from a seed: E2E_VANISHED_SEED draws others,
// E2E_VANISHED_STEPS more.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, renameSync, mkdirSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline } from './process.mjs';
import { randomOf } from './random.mjs';

const STEPS = Number(process.env.E2E_VANISHED_STEPS ?? 200);
const SEED = Number(process.env.E2E_VANISHED_SEED ?? 1);
const BRIEF_LOSS = 200;    // milliseconds, at most; nine in ten
const LONG_LOSS = 1000;    // at most
const LIMIT = 30;          // seconds; what it takes is printed

describe('what vanishes and comes back', () => {
  const random = randomOf(SEED);
  const kids = {};
  let deployment;
  let hsm;
  let tokens;
  let away;
  let billing;  // the files of that client's key

  const folder = () => path.join(tokens, readdirSync(tokens)[0]);
  const objects = () => readdirSync(folder()).filter((name) => name.endsWith('.object') && name !== 'token.object');

  before(async () => {
    deployment = await Deployment.start(['orders', 'billing'].map((client) => ({ client_id: client,
      audiences: ['https://localhost/token'] })), { refresh_interval: '1s', http_listen: '127.0.0.1:0' },
    async (made) => { hsm = new FaultyHsm(made); });
    tokens = path.join(deployment.folder, 'tokens');
    away = path.join(deployment.folder, 'away');
    mkdirSync(away);
    await deployment.generateKey('orders');
    const before = new Set(objects());
    await deployment.generateKey('billing', '--algorithm', 'ES256');
    billing = objects().filter((name) => !before.has(name));
    for (const client of ['orders', 'billing']) kids[client] = (await deployment.key(client)).kid;
  });

  after(() => deployment?.close());

  // Each takes something away and returns how it comes back.
  function move(...files) {
    const moved = files.filter(existsSync).map((file) => [file, path.join(away, randomUUID())]);
    for (const [from, to] of moved) renameSync(from, to);
    return () => { for (const [from, to] of moved) renameSync(to, from); };
  }
  const inToken = (names) => names.map((name) => path.join(folder(), name));
  // Another process makes an object, so that the token's generation changes: that needs no login. Something else that is
  // away may keep it from doing so.
  const bump = () => deployment.askToken(['--write-object', '/dev/null', '--type', 'data', '--label', randomUUID()])
    .catch(() => {});
  const fault = (text) => { hsm.tell(text); return () => hsm.tell(); };
  const LOSSES = {
    'all tokens': () => move(tokens),
    'the token': () => move(folder()),
    'all objects': () => move(...inToken(objects())),
    'one object': () => move(...inToken(objects().slice(0, 1 + random(objects().length || 1)).slice(-1))),
    'one client\'s key': () => move(...inToken(billing)),
    'the generation': () => move(...inToken(['generation'])),
    'the token\'s own object': () => move(...inToken(['token.object'])),
    'a key, destroyed and made again by another process': async () => {
      const back = move(...inToken(billing));
      await bump();
      return async () => { back(); await bump(); };
    },
    'the module\'s configuration': () => move(path.join(deployment.folder, 'softhsm2.conf')),
    'the PIN file': () => move(deployment.pinFile),
    'the connection': () => fault('* removed'),
    'the module\'s state': () => fault('C_Sign wedged times=1'),
    'the sessions': () => fault('* fail=0xb3 times=20'),
    'the login': () => fault('C_Sign fail=0x101 times=4'),
    'the process': async () => { await deployment.stopDaemon('SIGKILL'); return () => {}; },
  };

  async function signs(client) {
    const caller = new Caller(AssertionService, deployment.socket);
    try {
      const { assertion } = await caller.call('CreateAssertion', { client_id: client });
      const { kid } = JSON.parse(Buffer.from(assertion.split('.')[0], 'base64url'));
      assert.equal(kid, kids[client]);
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error;
      return false;
    } finally {
      caller.close();
    }
  }
  async function goesOn() {
    if (deployment.daemon.exitCode !== null || deployment.daemon.signalCode !== null) {
      await deployment.startDaemon().catch(() => {});   // as its supervisor does
    }
    return await signs('orders') && await signs('billing');
  }

  it(`signs again after each of ${STEPS} steps (seed ${SEED})`, async (context) => {
    const times = {};
    for (let step = 0; step < STEPS; ++step) {
      const names = Array.from({ length: 1 + random(3) }, () => Object.keys(LOSSES)[random(Object.keys(LOSSES).length)]);
      const back = [];
      for (const name of new Set(names)) {
        if (!existsSync(tokens) || readdirSync(tokens).length === 0) continue;
        back.unshift(await LOSSES[name]());
        await pass(random(random(10) === 0 ? LONG_LOSS : BRIEF_LOSS));
        await signs('billing');
      }
      for (const restore of back) await restore();
      const restored = Date.now();
      const what = `step ${step} of seed ${SEED}, without ${names.join(', ')}`;
      await new Deadline(LIMIT, `assertiond to sign after ${what}; its log is ${deployment.log}`).until(goesOn);
      (times[[...new Set(names)].length === 1 ? names[0] : 'several at once'] ??= []).push(Date.now() - restored);
    }
    for (const [name, took] of Object.entries(times).sort()) {
      context.diagnostic(`${name}: ${took.length} losses, longest ${Math.max(...took)} ms to sign again`);
    }
    const log = readFileSync(deployment.log, 'utf8');
    context.diagnostic(`${log.split('does not sign').length - 1} losses in the log, ` +
      `${hsm.counts().get('C_Initialize').calls} times C_Initialize`);
  });
});
