// assertiond on a token that fails as it is told, under a constant load, and what can be seen of it from outside.
import { closeSync, openSync, readdirSync, readSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { Caller, Health } from '../e2e/caller.mjs';
import { Deployment } from '../e2e/deployment.mjs';
import { FaultyHsm } from '../e2e/faulty_hsm.mjs';
import { Administrator } from './administrator.mjs';
import { AUDIENCE, Load } from './load.mjs';

const CLIENTS = ['orders', 'billing'];
const SPARE = 'spare';
const LOOK = 5;         // milliseconds between two looks
const AGREEMENT = 500;  // milliseconds until health and readiness say the same

export const pause = (milliseconds) => new Promise((resolve) => { setTimeout(resolve, milliseconds); });

export class Service {
  static async start() {
    const service = new Service();
    service.deployment = await Deployment.start(
      [...CLIENTS, SPARE].map((client_id) => ({ client_id, audiences: [AUDIENCE] })),
      // Nothing that happens by itself comes between: it would take faults that are meant for others.
      { http_listen: '127.0.0.1:0', sessions: 2, refresh_interval: '1h',
        audit: { checkpoint_lines: 1_000_000, checkpoint_interval: '1h' } },
      async (made) => { service.hsm = new FaultyHsm(made); });
    for (const client of [...CLIENTS, SPARE, SPARE]) await service.deployment.generateKey(client);
    service.#health = new Caller(Health, service.deployment.socket);
    service.administrator = new Administrator(service.deployment, SPARE);
    service.load = await Load.start(service.deployment.socket, CLIENTS);
    return service;
  }

  #health;
  #read = 0;   // of the log
  #lost = 0;
  #rest = '';

  get ended() {
    return this.deployment.daemon.exitCode !== null || this.deployment.daemon.signalCode !== null;
  }

  // Counts, ever: calls and faults by function, and how often the token was lost.
  look() {
    const counts = this.hsm.counts();
    const file = openSync(this.deployment.log, 'r');
    const chunk = Buffer.alloc(statSync(this.deployment.log).size - this.#read);
    readSync(file, chunk, 0, chunk.length, this.#read);
    closeSync(file);
    this.#read += chunk.length;
    const lines = (this.#rest + chunk.toString()).split('\n');
    this.#rest = lines.pop();
    this.#lost += lines.filter((line) => line.includes('the token does not sign:')).length;
    return { lost: this.#lost, of: (name, what = 'calls') => counts.get(name)?.[what] ?? 0 };
  }

  // Whether gRPC's health service says that it serves, and whether /readyz does.
  async #ask() {
    const health = this.#health.call('Check', {}, 2).then(({ status }) => status === 'SERVING', () => false);
    const ready = fetch(`${this.deployment.httpOrigin}/readyz`).then(({ status }) => status === 200, () => false);
    return Promise.all([health, ready]);
  }

  // Whether both come to say the same of it.
  async says(serving) {
    const end = performance.now() + AGREEMENT;
    while (performance.now() < end) {
      if ((await this.#ask()).every((one) => one === serving)) return true;
      await pause(LOOK);
    }
    return false;
  }

  // Resolves with the time at which both say that it serves and every client has been answered.
  async well() {
    const answered = this.load.answered();
    while (!(await this.#ask()).every((serving) => serving)) await pause(LOOK);
    return Math.max(performance.now(), await answered);
  }

  // Whether a change of keys succeeds. What it was decided on may have changed: then it is decided again.
  async administers() {
    for (let i = 0; i < 3; ++i) {
      if (await this.administrator.schedule() === 'OK') return true;
    }
    return false;
  }

  // What somebody does who has seen to the PIN.
  allowPin() {
    for (const name of readdirSync(this.deployment.folder)) {
      if (name.startsWith('pin-refused-')) unlinkSync(path.join(this.deployment.folder, name));
    }
  }

  // Ends it as every test must, and verifies the audit log, of processes that crashed too.
  async stop() {
    await this.load.stop();
    this.#health.close();
    this.administrator.close();
    const { folder } = this.deployment;
    const key = path.join(folder, 'audit.jwk');
    await this.deployment.ctl('audit', 'key', '--out', key);
    await this.deployment.close();
    const logs = readdirSync(folder).filter((name) => /^audit\.log(\.\d+)?$/.test(name));
    await this.deployment.ctl('audit', 'verify', ...logs.map((name) => path.join(folder, name)), '--key', key);
  }
}
