// Two HSMs behind one PKCS#11 module, which SoftHSM2 reads again only when it is initialised again: that ends the
// sessions on both.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, output, run } from './process.mjs';

const FIRST = 'end-to-end';
const SECOND = 'the-second';

describe('two HSMs behind one module', () => {
  let deployment;
  let away;
  let hsm;
  const folders = {};

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://localhost/token'], binding: 'jwks',
      publish_lead: '5s' }], { refresh_interval: '1s', http_listen: '127.0.0.1:0' }, async (made) => {
      const tokens = path.join(made.folder, 'tokens');
      [folders[FIRST]] = readdirSync(tokens).map((name) => path.join(tokens, name));
      await output('softhsm2-util', ['--init-token', '--free', '--label', SECOND, '--pin', made.pin,
        '--so-pin', randomBytes(12).toString('hex')], { env: made.environment });
      folders[SECOND] = readdirSync(tokens).map((name) => path.join(tokens, name)).find((folder) => folder !== folders[FIRST]);
      hsm = new FaultyHsm(made);   // to count reloads
      hsm.tell();
      const configuration = JSON.parse(readFileSync(made.configuration, 'utf8'));
      writeFileSync(made.configuration, JSON.stringify({ ...configuration,
        hsm: [configuration.hsm, configuration.hsm.replace(FIRST, SECOND)] }));
      away = path.join(made.folder, 'away');
      mkdirSync(away);
      take(SECOND);   // before the start
    });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  const hidden = (token) => path.join(away, path.basename(folders[token]));
  const take = (token) => renameSync(folders[token], hidden(token));
  const bring = (token) => renameSync(hidden(token), folders[token]);
  const log = () => readFileSync(deployment.log, 'utf8');
  const ready = async () => (await run('curl', ['-s', `${deployment.httpOrigin}/readyz`])).stdout;

  it('one that was not there at the start is told by readiness, found when it comes, and disturbs nobody', async () => {
    assert.match(await ready(), /^ready\nwarning: HSM 2: no token matches the PKCS#11 URI/m);
    hsm.tell('C_GenerateKeyPair take=1500');   // the key of the second's ledger: the first must find its keys meanwhile
    bring(SECOND);
    await new Deadline(40, 'the second HSM to be found').until(async () => {
      await deployment.createAssertion('orders');
      return log().includes('HSM 2 is there now');
    });
    hsm.tell();
    assert.doesNotMatch(await ready(), /HSM 2/);
    const { hsms } = JSON.parse(await deployment.ctl('status', '--json'));
    assert.deepEqual(hsms.map(({ hsm }) => hsm).sort(), [FIRST, SECOND].sort());
  });

  it('while one is away the other signs on: no call fails, and it is never told as lost or rolled back', async () => {
    await deployment.generateKey('orders', '--hsm', SECOND);
    await new Deadline(60, 'both to sign').until(async () => JSON.parse(await deployment.ctl('key', 'list', '--json')).keys
      .filter(({ state }) => state === 'signing').length === 2);
    const from = log().length;
    const caller = new Caller(AssertionService, deployment.socket);
    take(FIRST);
    await new Deadline(30, 'the loss to be logged').until(() => log().slice(from).includes(`the token '${FIRST}' does not sign`));
    const reloads = () => hsm.counts().get('C_Initialize').calls;
    const before = reloads();
    await new Deadline(60, 'reloads').until(async () => {
      await caller.call('CreateAssertion', { client_id: 'orders' });
      return reloads() >= before + 3;
    });
    caller.close();
    bring(FIRST);
    await new Deadline(40, 'the first to sign again').until(() => log().slice(from).includes(`the token '${FIRST}' signs again`));
    // Of the first it may be told: SoftHSM2 shows a token without its folder as empty for a while.
    assert.doesNotMatch(log().slice(from), new RegExp(`the token '${SECOND}' (does not sign|signs again)|'${SECOND}'.*rolled back`));
  });
});
