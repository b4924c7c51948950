// SoftHSM2 behind tests/faulty_hsm, for the deployment that it is prepared into: told to fail, and asked what it met.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const RECORD = 64;
const NAME = 48;

export class FaultyHsm {
  #faults;
  #counts;

  // To be called before the deployment's daemon starts.
  constructor(deployment) {
    this.#faults = path.join(deployment.folder, 'faults');
    this.#counts = path.join(deployment.folder, 'counts');
    Object.assign(deployment.environment, {
      FAULTY_HSM_MODULE: deployment.wrapModule(process.env.E2E_FAULTY_HSM),
      FAULTY_HSM_CONTROL: this.#faults,
      FAULTY_HSM_COUNTS: this.#counts,
    });
  }

  // Takes the place of what was told before. No rules: no faults.
  tell(...rules) {
    writeFileSync(`${this.#faults}.new`, rules.map((rule) => `${rule}\n`).join(''));
    renameSync(`${this.#faults}.new`, this.#faults);
  }

  // By function: how often it was called, and how often a rule met it.
  counts() {
    const file = readFileSync(this.#counts);
    const counts = new Map();
    for (let at = 0; at < file.length && file[at] !== 0; at += RECORD) {
      counts.set(file.toString('latin1', at, file.indexOf(0, at)), {
        calls: Number(file.readBigUInt64LE(at + NAME)),
        faults: Number(file.readBigUInt64LE(at + NAME + 8)),
      });
    }
    return counts;
  }

  // The functions that were, by name.
  called() {
    return [...this.counts().keys()].filter((name) => name.startsWith('C_'));
  }

  // How many are open.
  sessions() {
    return this.counts().get('sessions')?.calls ?? 0;
  }
}
