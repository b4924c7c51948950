// Another PKCS#11 token than SoftHSM2, made by its script in tests/tokens.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { output } from './process.mjs';

const SCRIPTS = path.join(process.env.E2E_PROTO_DIR, '..', 'tests', 'tokens');

// What each token needs beside its URI. NSS holds no data objects, does not vouch for CKA_LOCAL, and wraps keys that it
// shows as not extractable.
export const NSS = { hsm: { accept_unshown: ['CKA_LOCAL', 'custody'] }, ledger: (folder) => `file:${folder}/ledger` };

export class TokenUnderTest {
  constructor(name) {
    this.name = name;
  }

  // Puts the token in the place of SoftHSM2's, before the daemon starts.
  async prepare(deployment, { hsm = {}, ledger } = {}) {
    this.folder = `${deployment.folder}-token`;  // apart: a token's own files hold its keys, and the deployment's may not
    await output(path.join(SCRIPTS, `${this.name}.sh`), ['start', this.folder]);
    const text = (name) => readFileSync(path.join(this.folder, name), 'utf8').trimEnd();
    deployment.pinFile = path.join(this.folder, 'pin');
    deployment.launcher = [path.join(this.folder, 'run')];
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    const initArgs = text('init_args');
    configuration.hsm = { uri: text('uri'), ...(initArgs ? { init_args: initArgs } : {}), ...hsm };
    if (ledger) configuration.ledger = ledger(deployment.folder);
    writeFileSync(deployment.configuration, JSON.stringify(configuration));
  }

  async stop() {
    if (this.folder) await output(path.join(SCRIPTS, `${this.name}.sh`), ['stop', this.folder]);
  }
}
