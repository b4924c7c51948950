// One cell, tried: the fault is brought about, lasts, and ends; then what was promised is compared with what was seen.
import { ACTIONS } from './cells.mjs';
import { pause } from './service.mjs';

// Milliseconds.
const LEAST = { once: 30, lasting: 100 };  // of load while the fault lasts
const PATIENCE = 10_000;                   // until what is waited for must have come
const LOST = process.env.E2E_LONG ? 1000 : 2000;  // until the service says that it does not serve; CI is busy
const WELL = 1000;                         // until it is healthy, from the fault's end
const RELOADED = 3000;                     // the same when the module was reloaded, or somebody was waited for

export class Trial {
  #service;
  #cell;
  #action;
  #before;
  #began;
  #wrong = [];

  constructor(service, cell) {
    this.#service = service;
    this.#cell = cell;
    this.#action = ACTIONS[cell.expect];
  }

  // Returns what was seen, and in `wrong` what should have been otherwise.
  async run() {
    const { load, hsm, administrator } = this.#service;
    const broken = load.broken.length;
    load.take();
    this.#before = this.#service.look();
    this.#began = performance.now();
    hsm.tell(...this.#cell.rules);
    const act = this.#cell.act && administrator[this.#cell.act]();
    const lostAfter = await this.#last();
    if (act && this.#cell.fault !== 'hang') await act;
    const during = this.#since();
    await this.#end(during);
    const took = await this.#recover();
    const heard = await act;
    await administrator.tidy();
    const { answered, refused, slowest } = load.take();
    const row = { cell: this.#cell, wrong: this.#wrong, took, lostAfter, answered, statuses: refused, heard, slowest };
    this.#judge(row, during, this.#since());
    this.#wrong.push(...load.broken.slice(broken));
    return row;
  }

  // What has happened since the fault was told.
  #since() {
    const now = this.#service.look();
    const of = (name, what) => now.of(name, what) - this.#before.of(name, what);
    return { lost: now.lost - this.#before.lost, of };
  }

  async #until(condition, otherwise) {
    const end = performance.now() + PATIENCE;
    while (!condition(this.#since())) {
      if (performance.now() > end || this.#service.ended) {
        this.#wrong.push(otherwise);
        return;
      }
      await pause(5);
    }
  }

  // While the fault lasts: it must happen, and show what it leads to. Returns how long it took until the token was lost.
  async #last() {
    const { function: name, how, fault, crash, attempts } = this.#cell;
    const { lost, reloads, opened } = this.#action;
    const hit = name === '*' ? ['C_SignInit', 'C_Sign'] : [name];
    await this.#until(({ of }) => hit.some((one) => of(one, 'faults') > 0), 'the fault did not happen');
    if (crash) return undefined;
    const happened = performance.now();
    let lostAfter;
    if (lost[0] > 0) {
      await this.#until((seen) => seen.lost > 0, 'the token was not lost');
      lostAfter = performance.now() - happened;
    }
    // Each attempt to connect asks twice for the slots: one more is there when the one before is over.
    await this.#until(({ of }) => of('C_Initialize') >= reloads[0] && of('C_OpenSession') >= (opened?.[0] ?? 0) &&
      of('C_GetSlotList') > 2 * ((attempts ?? 0.5) - 1), 'what was to follow did not');
    await pause(LEAST[how === 'once' ? 'once' : 'lasting'] - (performance.now() - this.#began));
    if (lost[0] > 0 && how === 'lasting' && !fault.startsWith('delay') && !await this.#service.says(false)) {
      this.#wrong.push('health and readiness do not both say that it does not serve');
    }
    return lostAfter;
  }

  async #end(during) {
    const { hsm, deployment } = this.#service;
    if (this.#cell.crash) {
      const { status } = await deployment.daemon.ended;
      if (status !== 70) this.#wrong.push(`the crash ended assertiond with ${status}`);
      hsm.tell();
      await deployment.startDaemon();
    }
    hsm.tell(...this.#cell.then ?? []);
    if (this.#cell.expect === 'waits for another PIN') {
      this.#within('logins with a refused PIN', during.of('C_Login'), [1, 1]);
      this.#service.allowPin();
    }
  }

  // Returns how long it took from now; Infinity when it does not.
  async #recover() {
    const ended = performance.now();
    const well = await Promise.race([this.#service.well(), pause(PATIENCE).then(() => Infinity)]);
    if (this.#service.ended) this.#wrong.push('assertiond has ended');
    return well - ended;
  }

  #within(what, number, [least, most]) {
    if (number < least || number > most) this.#wrong.push(`${what}: ${number}, not ${least} to ${most}`);
  }

  #judge({ took, lostAfter, statuses, heard, slowest }, during, after) {
    const { act, attempts } = this.#cell;
    const expected = this.#action;
    const limit = attempts || after.of('C_Initialize') > 0 ? RELOADED : WELL;
    this.#within('milliseconds until well', Math.round(took), [0, limit]);
    if (lostAfter !== undefined) this.#within('milliseconds until lost', Math.round(lostAfter), [0, LOST]);
    this.#within('times lost', after.lost, expected.lost);
    // The OpenSSL provider initialises the module once more for itself, and doctor is a process of its own.
    if (!act) this.#within('reloads', after.of('C_Initialize'), expected.reloads);
    if (act !== 'doctor') this.#within('logins', (attempts ? during : after).of('C_Login'), expected.logins);
    if (expected.opened) this.#within('sessions opened', after.of('C_OpenSession'), expected.opened);
    if (expected.slowest) this.#within('milliseconds of the slowest answer', Math.round(slowest), expected.slowest);
    const refused = Object.values(statuses).reduce((sum, count) => sum + count, 0);
    this.#within('calls refused', refused, expected.refused);
    const strange = Object.keys(statuses).filter((status) => !expected.statuses?.includes(status));
    if (strange.length > 0) this.#wrong.push(`calls ended with ${strange.join(', ')}`);
    if (expected.act && (heard === 'OK') !== (expected.act === 'OK')) this.#wrong.push(`the administrator heard ${heard}`);
  }
}
