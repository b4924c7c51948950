// The keys of assertiond itself, assertiond-audit and assertiond-ledger: another is made only where there is none.
import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { FaultyHsm } from './faulty_hsm.mjs';
import { Deadline, run, wholeLines } from './process.mjs';

const CLIENTS = [{ client_id: 'orders', audiences: ['https://is.example/token'] }];

// Label and CKA_ID of the own keys, sorted.
async function ownKeys(deployment) {
  const listing = await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--list-objects', '--type', 'privkey']);
  return [...listing.matchAll(/label: +(assertiond-\S+)\s+ID: +(\S+)/g)].map(([, label, id]) => `${label} ${id}`).sort();
}

// A start that must fail. Returns the exit status.
async function failedStart(deployment) {
  const { status } = await new Deadline(60, `assertiond to end; its log is ${deployment.log}`)
    .limit(deployment.launchDaemon().ended);
  return status;
}

async function restart(deployment) {
  await deployment.stopDaemon();
  await deployment.startDaemon();
}

describe('own keys', () => {
  it('the first start says that it makes them, and on which token, before it does; a later start does not', async () => {
    const deployment = await Deployment.start(CLIENTS);
    const messages = () => wholeLines(deployment.log).map((line) => JSON.parse(line).message);
    const made = (text) => /^making the key that (.*) on token 'end-to-end'; this may take a minute$/.exec(text)?.[1];
    const first = messages();
    assert.deepEqual(first.map(made).filter(Boolean), ['signs the ledger', 'signs the audit log']);
    assert.ok(first.findLastIndex(made) < first.findIndex((text) => text.startsWith('serving on unix:')));
    await restart(deployment);
    assert.deepEqual(messages().slice(first.length).filter(made), []);
    await deployment.close();
  });

  it('a key that does not prove itself stops the start, is named, and no other is made', async () => {
    let faults;
    const deployment = await Deployment.start(CLIENTS, {}, (made) => {
      faults = new FaultyHsm(made);
      faults.tell();
    });
    await deployment.generateKey('orders');
    const keys = await ownKeys(deployment);
    assert.equal(keys.length, 2);
    await deployment.stopDaemon();
    faults.tell('C_Sign flip');
    for (let start = 0; start < 2; ++start) {
      const { length } = readFileSync(deployment.log, 'utf8');
      assert.equal(await failedStart(deployment), 19, deployment.log);
      const [, name, id] = /own key '(assertiond-\w+)' with CKA_ID (\w+) does not prove itself/
        .exec(readFileSync(deployment.log, 'utf8').slice(length));
      assert.ok(keys.includes(`${name} ${id}`), `${name} ${id}`);
      assert.deepEqual(await ownKeys(deployment), keys);
    }
    faults.tell();
    await deployment.startDaemon();
    await deployment.createAssertion('orders');
    assert.deepEqual(await ownKeys(deployment), keys);

    // CKA_PUBLIC_EXPONENT, which some tokens show in the public half alone: without a PIN that one can be destroyed.
    faults.tell('unreadable 0x122');
    await restart(deployment);
    await deployment.createAssertion('orders');
    assert.deepEqual(await ownKeys(deployment), keys);
    faults.tell();
    await deployment.close();
  });

  // As after audit.hsm was set to another token.
  it('a signed log on a token without its key stops the start, and no key is made', async () => {
    const deployment = await Deployment.start(CLIENTS, { audit: { checkpoint_lines: 1 } });
    await new Deadline(30, 'a checkpoint').until(() => deployment.auditLines().some(({ event }) => event === 'Checkpoint'));
    await deployment.stopDaemon();
    for (const type of ['privkey', 'pubkey']) {
      await deployment.askToken(['--login', '--pin', 'env:E2E_PIN', '--delete-object', '--type', type, '--label', 'assertiond-audit']);
    }
    const { length } = readFileSync(deployment.log, 'utf8');
    assert.equal(await failedStart(deployment), 22, deployment.log);
    assert.match(readFileSync(deployment.log, 'utf8').slice(length), /signed by a key that is not on the token of audit\.hsm/);
    assert.deepEqual((await ownKeys(deployment)).map((key) => key.split(' ')[0]), ['assertiond-ledger']);
    for (const name of readdirSync(deployment.folder).filter((file) => file.startsWith('audit.log'))) {
      renameSync(path.join(deployment.folder, name), path.join(deployment.folder, `old-${name}`));
    }
    await deployment.startDaemon();
    assert.deepEqual((await ownKeys(deployment)).map((key) => key.split(' ')[0]), ['assertiond-audit', 'assertiond-ledger']);
    await deployment.close();
  });

  // Servers on two machines: each has a lock of its own. The first has seen that there is no key, and waits. The first
  // generation of a process is the custody trial's.
  for (const [which, rule, both] of [['ledger', 'C_GenerateKeyPair hang skip=2', true], ['audit', 'C_GenerateKeyPair hang skip=3', false]]) {
    it(`two first starts that each make the ${which} key both start again, and make no more`, async () => {
      let first;
      let faults;
      const starting = Deployment.start(CLIENTS, {}, (made) => {
        first = made;
        faults = new FaultyHsm(made);
        faults.tell(rule);
      });
      const waiting = (count) => new Deadline(60, `${count} to wait`).until(() =>
        first && existsSync(path.join(first.folder, 'counts')) &&
        (faults.counts().get('C_GenerateKeyPair')?.faults ?? 0) >= count);
      await waiting(1);
      const replica = first.startReplica({ lock_directory: path.join(first.folder, 'other-lock') });
      await (both ? waiting(2) : replica);
      faults.tell();
      const servers = await Promise.all([starting, replica]);
      const keys = await ownKeys(first);
      assert.equal(keys.filter((key) => key.startsWith(`assertiond-${which} `)).length, 2, keys.join());
      await first.generateKey('orders');
      for (const server of servers) {
        await restart(server);
        await server.createAssertion('orders');
      }
      assert.deepEqual(await ownKeys(first), keys);
      for (const server of servers) assert.doesNotMatch(readFileSync(server.log, 'utf8'), /not the token's/);
      await servers[1].stopDaemon();
      await first.close();
    });
  }
});

// SoftHSM2 finds an object that was away again only after a reload.
describe('an own key whose object is away for a moment', () => {
  let deployment;

  before(async () => {
    const authority = await CertificateAuthority.found('own keys');
    deployment = await Deployment.start(CLIENTS, (folder) => ({
      refresh_interval: '1s', http_listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0',
      audit: { checkpoint_lines: 1, checkpoint_interval: '1s' },
      tls: mutualTls(folder, authority.certificate),
    }), (made) => made.ctl('tls', 'generate', '--san', 'IP:127.0.0.1', '--config', made.configuration));
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  const log = () => readFileSync(deployment.log, 'utf8');
  const status = async () => JSON.parse((await deployment.tryCtl('status', '--json')).stdout);
  const USES = {
    'assertiond-tls': async () => /Peer signature type: rsa/i.test((await run('openssl',
      ['s_client', '-connect', new URL(deployment.httpOrigin).host])).stdout),
    'assertiond-ledger': async () => (await deployment.tryCtl('key', 'generate', '--client-id', 'orders')).status === 0,
    'assertiond-audit': async () => {
      if ((await deployment.tryCtl('assertion', 'create', '--client-id', 'orders')).status !== 0) return false;
      const { audit } = await status();
      return audit.checkpoint_sequence >= audit.sequence - 2;
    },
  };

  // The files of RSA private keys are the largest.
  function privateKeys() {
    const tokens = path.join(deployment.folder, 'tokens');
    const folder = path.join(tokens, readdirSync(tokens)[0]);
    return readdirSync(folder).filter((name) => name.endsWith('.object')).map((name) => path.join(folder, name))
      .sort((one, other) => statSync(other).size - statSync(one).size).slice(0, 4);
  }

  it('is told by log and readiness, and serves again once it is back', async () => {
    const seen = new Set();
    for (const file of privateKeys()) {
      const from = log().length;
      const missing = () => /own key '(assertiond-\w+)' with CKA_ID \w+ is not on the token/.exec(log().slice(from))?.[1];
      const clients = () => /client orders.* is in the ledger but not on the token/.test(log().slice(from));
      renameSync(file, `${file}.away`);
      await new Deadline(30, 'the loss to be logged').until(() => missing() ?? clients());
      const label = missing();
      if (label) {
        seen.add(label);
        await new Deadline(30, 'readiness to tell it').until(async () =>
          new RegExp(`^ready\nwarning: own keys: assertiond's own key '${label}' .*is not on the token`, 'm')
            .test((await run('curl', ['-s', `${deployment.adminOrigin}/readyz`])).stdout));
      }
      renameSync(`${file}.away`, file);
      for (const [name, works] of Object.entries(USES)) {
        await new Deadline(40, `${name} to work after ${label ?? 'the client'}'s key was away; the log is ${deployment.log}`).until(works);
      }
      if (label) {
        await new Deadline(30, 'the return to be logged').until(() =>
          new RegExp(`own key '${label}' with CKA_ID \\w+ is on the token again`).test(log().slice(from)));
      }
      await deployment.createAssertion('orders');
    }
    assert.deepEqual([...seen].sort(), Object.keys(USES).sort());
  });
});
