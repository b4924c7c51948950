// The keys of TLS and of the audit log on the second of two HSMs. The second is SoftHSM2 behind tests/faulty_hsm, the first another copy of SoftHSM2, so that each has sessions of its own.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, output, run, temporaryFolder } from './process.mjs';

const FIRST = 'end-to-end';
const SECOND = 'the-second';

describe('TLS and the audit log on the second HSM', () => {
  let deployment;
  let hsm;
  let configured;

  before(async () => {
    const authority = await CertificateAuthority.found('second');
    deployment = await Deployment.start([{ client_id: 'orders', audiences: ['https://localhost/token'] }], {}, async (made) => {
      await output('softhsm2-util', ['--init-token', '--free', '--label', SECOND, '--pin', made.pin,
        '--so-pin', randomBytes(12).toString('hex')], { env: made.environment });
      hsm = new FaultyHsm(made);
      const configuration = JSON.parse(readFileSync(made.configuration, 'utf8'));
      const copy = path.join(temporaryFolder(), 'first.so');
      copyFileSync(made.environment.FAULTY_HSM_MODULE, copy);
      const faulty = /module-path=([^&]*)/.exec(configuration.hsm)[1];
      configured = {
        ...configuration,
        hsm: [configuration.hsm.replace(faulty, copy), configuration.hsm.replace(FIRST, SECOND)],
        http_listen: '127.0.0.1:0',
        audit: { hsm: SECOND, checkpoint_lines: 1, checkpoint_interval: '1s' },
        tls: mutualTls(made.folder, authority.certificate, { hsm: SECOND }),
      };
      writeFileSync(made.configuration, JSON.stringify(configured));
      await made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration);
    });
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  const shakesHands = async () => {
    const port = new URL(deployment.httpOrigin).port;
    // Not by the cipher: TLS 1.3 has agreed on one before the server signs.
    return /Peer signature type: rsa/i.test((await run('openssl', ['s_client', '-connect', `127.0.0.1:${port}`])).stdout);
  };
  const labels = async (token) => (await output('pkcs11-tool', ['--module', deployment.environment.FAULTY_HSM_MODULE,
    '--token-label', token, '--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'privkey'],
  { env: { ...deployment.environment, E2E_PIN: deployment.pin } })).match(/(?<=label: +)\S+/g);
  const times = (text) => readFileSync(deployment.log, 'utf8').split(text).length;
  const loss = () => {   // to be awaited after the HSM was told
    const before = times(`the token '${SECOND}' does not sign`);
    return () => new Deadline(30, 'the loss to be logged').until(() => times(`the token '${SECOND}' does not sign`) > before);
  };
  const daemon = (...options) => run(path.join(process.env.E2E_BIN_DIR, 'assertiond'), options, { env: deployment.environment });

  it('are there, and not on the first', async () => {
    assert.ok(await shakesHands());
    const [first, second] = [await labels(FIRST), await labels(SECOND)];
    for (const label of ['assertiond-tls', 'assertiond-audit']) {
      assert.ok(second.includes(label) && !first.includes(label), `${label}: ${first} | ${second}`);
    }
    assert.ok(first.includes('orders') && !second.includes('orders'));
  });

  it('sign checkpoints that verify', async () => {
    await deployment.createAssertion('orders');
    const log = path.join(deployment.folder, 'audit.log');
    await new Deadline(30, 'a checkpoint').until(() => readFileSync(log, 'utf8').includes('"jws"'));
    const key = path.join(deployment.folder, 'audit.jwk');
    writeFileSync(key, await deployment.ctl('audit', 'key'));
    assert.match(await deployment.ctl('audit', 'verify', log, '--key', key), /proven|verified|ok/i);
  });

  it('while their HSM is away handshakes fail, the first signs on, and all recovers without a restart', async () => {
    await new Deadline(30, 'TLS').until(shakesHands);
    const lost = loss();
    hsm.tell('* removed');
    await lost();
    assert.equal(await shakesHands(), false);
    await deployment.createAssertion('orders');
    hsm.tell();
    await new Deadline(30, 'TLS to be back').until(shakesHands);
    await deployment.createAssertion('orders');
  });

  it('an HSM that hangs does not keep calls over the socket waiting', async () => {
    await new Deadline(30, 'TLS').until(shakesHands);
    hsm.tell('C_Sign hang');
    const hands = [1, 2, 3, 4, 5, 6].map(shakesHands);
    await deployment.createAssertion('orders');
    assert.deepEqual(await Promise.all(hands), hands.map(() => false));   // none of them hangs
    hsm.tell();
    await new Deadline(30, 'TLS to be back').until(shakesHands);
  });

  it('doctor looks for the key on it', async () => {
    const doctor = async (configuration) => (await deployment.tryCtl('doctor', '--config', configuration, '--verbose')).stdout;
    assert.match(await doctor(deployment.configuration), /^ok +tls: .*: key \S+ of this certificate is on the token$/m);
    const other = path.join(deployment.folder, 'other.json');
    writeFileSync(other, JSON.stringify({ ...configured, tls: { ...configured.tls, hsm: FIRST } }));
    assert.match(await doctor(other), /^wrong +tls: .*holds no key for this certificate/m);
  });

  it('an HSM that the configuration does not name is an error', async () => {
    const other = path.join(deployment.folder, 'nowhere.json');
    writeFileSync(other, JSON.stringify({ ...configured, tls: { ...configured.tls, hsm: 'nowhere' } }));
    const { status, stderr } = await daemon('--check-config', other);
    assert.equal(status, 3);
    assert.match(stderr, new RegExp(`tls\\.hsm: must be the token attribute .*: ${FIRST}, ${SECOND}`));
  });
});
