// Three replicas share a network HSM, each on a machine of its own: see hsm_network.mjs. The HSM is cut off from one, two
// and all of them, for a moment and for longer, is slow, and loses packets; meanwhile keys are rotated. Verifiers keep the
// JWK Set of any replica for as long as it says: they must be able to verify each assertion. Each assertion stands in its
// replica's audit log, and each replica signs again by itself.
//
// "By itself" includes a supervisor that starts it again, as deploy/systemd/assertiond.service says: a module without time
// limits of its own may never return, and assertiond then ends with a status of its own.
//
// Before that, all replicas change keys at the same moment, again and again: they must agree on what there is then.
//
// E2E_NETWORK_SEED draws another order. E2E_NETWORK_SECONDS is how long the long cuts last, and E2E_NETWORK_ROUNDS how often
// all steps are done.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { setTimeout as pass } from 'node:timers/promises';
import { compactVerify, decodeJwt, importJWK } from 'jose';
import { AssertionService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { HsmNetwork, describeInNamespaces } from './hsm_network.mjs';
import { Deadline, Lines } from './process.mjs';
import { randomOf } from './random.mjs';

const SEED = Number(process.env.E2E_NETWORK_SEED ?? 1);
const ROUNDS = Number(process.env.E2E_NETWORK_ROUNDS ?? 1);
const LONG = Number(process.env.E2E_NETWORK_SECONDS ?? 24);   // longer than LEAD + LIFETIME: keys come and go meanwhile
const LIMIT = 90 + LONG;   // seconds to sign again; the kernel's retransmission doubles its pause. What it takes is printed.
const LEAD = 16;           // seconds, publish_lead; a look at the ledger counts for 12 s, which a busy machine may need
const LIFETIME = 5;        // seconds
const CLIENT = 'orders';
const REPLICAS = ['first', 'second', 'third'];
const MODULES = ['brief', 'brief', 'none'];   // time limits, see hsm_network.mjs
const CALLERS = 2;         // of each replica
const RACES = 10;
const RACED = 'payments';
const AGAIN = new Set([4, 8, 14]);   // DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNAVAILABLE
const UNIT = readFileSync(path.join(process.env.E2E_PROTO_DIR, '../deploy/systemd/assertiond.service'), 'utf8');

// A replica with its supervisor, its callers, and what its JWK Set said.
class Replica {
  answers = [];   // { asked, received, kid, assertion, jti, exp }
  refusals = {};  // by code
  samples = [];   // see jwks_sampler.mjs
  ends = [];      // statuses with which the daemon ended by itself
  #over = false;
  #starts = [];
  #supervised;
  #running = [];

  constructor(name, deployment) {
    Object.assign(this, { name, deployment });
    this.#supervised = this.#supervise();
  }

  // As systemd with the unit that is shipped.
  async #supervise() {
    const [, prevented] = /^RestartPreventExitStatus=(.*)$/m.exec(UNIT);
    const [, pause] = /^RestartSec=(\d+)s$/m.exec(UNIT);
    const [, burst] = /^StartLimitBurst=(\d+)$/m.exec(UNIT);
    const [, interval] = /^StartLimitIntervalSec=(\d+)min$/m.exec(UNIT);
    for (;;) {
      const { status, signal } = await this.deployment.daemon.ended;
      if (this.#over) return;
      this.ends.push(status ?? signal);
      const log = `its log is ${this.deployment.log}`;
      assert.ok(status !== 0 && !prevented.split(' ').includes(`${status}`), `${this.name} ended with ${status}; ${log}`);
      await pass(pause * 1000);
      this.#starts = [...this.#starts.filter((at) => Date.now() - at < interval * 60000), Date.now()];
      assert.ok(this.#starts.length <= burst, `${this.name}: a supervisor does not start it again so often; ${log}`);
      this.deployment.daemon = this.deployment.launchDaemon();
    }
  }

  keepCalling() {
    this.#running.push(...Array.from({ length: CALLERS }, async () => {
      const caller = new Caller(AssertionService, this.deployment.socket);
      while (!this.#over) {
        const asked = Date.now();
        try {
          const { assertion, kid } = await caller.call('CreateAssertion', { client_id: CLIENT }, 10);
          const { jti, exp } = decodeJwt(assertion);
          this.answers.push({ asked, received: Date.now(), kid, assertion, jti, exp });
        } catch ({ code, details }) {
          this.refusals[code] = (this.refusals[code] ?? 0) + 1;
          if (!AGAIN.has(code)) throw new Error(`${this.name} answered ${code}: ${details}`);
        }
        await pass(50);
      }
      caller.close();
    }));
  }

  keepSampling(sampler) {
    const lines = new Lines(sampler, 'stdout');
    this.#running.push((async () => {
      while (!this.#over) this.samples.push(JSON.parse(await lines.next(new Deadline(30, 'a sample of the JWK Set'))));
    })());
  }

  // Whether a call that began after `moment` was answered.
  hasSignedSince = (moment) => this.answers.findLast(({ asked }) => asked >= moment) !== undefined;

  // Settles when something has failed, or all is over.
  watch = () => Promise.all([this.#supervised, ...this.#running]);

  async end() {
    this.#over = true;
    const deadline = new Deadline(60, `the end of ${this.name}; its log is ${this.deployment.log}`);
    await deadline.limit(Promise.all(this.#running));
    this.deployment.daemon.kill('SIGTERM');
    await deadline.limit(this.#supervised);
    const { status, signal } = await this.deployment.daemon.ended;
    return status ?? signal;
  }
}

describeInNamespaces('three replicas and a network HSM', () => {
  const random = randomOf(SEED);
  const promised = [];   // the kids of rotations that were answered
  let replicas = [];
  let network;
  let deployment;

  before(async () => {
    const launch = (at) => ({ http_listen: network.httpListen, state_directory: path.join(deployment.folder, REPLICAS[at]) });
    const client = { audiences: ['https://localhost/token'], algorithm: 'ES256' };   // its keys are made fast: others wait
    deployment = await Deployment.start([{ ...client, client_id: CLIENT, binding: 'jwks', publish_lead: `${LEAD}s`,
      default_lifetime: `${LIFETIME}s` }, { ...client, client_id: RACED }],
    { refresh_interval: '1s', http_listen: '127.0.0.1:8080',
      key_limits: { per_client: RACES + 2, generations_per_hour: 999, client_generations_per_hour: 999 } },
    async (made) => {
      network = await HsmNetwork.start(made, MODULES);
      const [, ...options] = /^ExecStart=\S+ --config \S+(.*)$/m.exec(UNIT)[1].split(' ');
      Object.assign(made, { launcher: network.launcher(0), options });
    });
    const deployments = [deployment];
    for (const [at, name] of REPLICAS.entries()) {
      mkdirSync(path.join(deployment.folder, name), { mode: 0o700 });
      if (at > 0) deployments.push(await deployment.startReplica(launch(at), { name, launcher: network.launcher(at) }));
    }
    promised.push((await deployment.generateKey(CLIENT)).kid);
    for (const replica of deployments) {
      await new Deadline(30, 'the key at every replica').until(async () => (await replica.key(CLIENT))?.kid === promised[0]);
    }
    replicas = deployments.map((each, at) => new Replica(REPLICAS[at], each));
    for (const [at, replica] of replicas.entries()) {
      replica.keepSampling(network.sample(at, CLIENT));
      replica.keepCalling();
    }
  });

  after(async () => {
    try {
      const secrets = await deployment?.findSecrets();
      const ends = [];
      for (const replica of replicas) ends.push(await replica.end());
      assert.deepEqual({ ends, secrets }, { ends: replicas.map(() => 0), secrets: [] });
    } finally {
      network?.end();
    }
  });

  it('keys that all make at the same moment: all see the same', async () => {
    await deployment.generateKey(RACED);
    const apart = randomOf(SEED);
    const kids = async ({ deployment: each }) => JSON.parse(await each.ctl('key', 'list', '--client-id', RACED, '--json'))
      .keys.map(({ kid }) => kid).sort().join(' ');
    for (let race = 0; race < RACES; ++race) {
      const id = randomUUID();
      const ends = await Promise.all(replicas.map(async ({ deployment: each }) => {
        await pass(apart(300));   // milliseconds: a change takes about as long
        return each.tryCtl('key', 'rotate', '--client-id', RACED, '--request-id', id, '--sign-from', 'now', '--force', RACED, '--json');
      }));
      const made = ends.filter(({ status }) => status === 0).map(({ stdout }) => JSON.parse(stdout).key.kid);
      assert.ok(made.length > 0, ends.map(({ stderr }) => stderr).join('\n'));
      await new Deadline(60, `all replicas to know the key of race ${race + 1} of ${RACES}`).until(async () => {
        const [first, ...others] = await Promise.all(replicas.map(kids));
        return others.every((other) => other === first) && made.every((kid) => first.includes(kid));
      });
    }
  });

  it('a server says that SoftHSM2 is behind another module', () => {
    for (const { deployment: each } of replicas) assert.match(readFileSync(each.log, 'utf8'), /is SoftHSM2 behind another module/);
  });

  // Makes the client's next key through one of the replicas, and asks the next one until one has answered.
  async function rotate(at) {
    const id = randomUUID();
    let said = '';
    for (const began = Date.now(); Date.now() - began < (LIMIT + LONG) * 1000; ++at) {
      const { status, stdout, stderr } = await replicas[at % replicas.length].deployment.tryCtl('key', 'rotate',
        '--client-id', CLIENT, '--request-id', id, '--json').catch(({ message }) => ({ stderr: message }));
      if (status === 0) {
        promised.push(JSON.parse(stdout).key.kid);
        return;
      }
      said = stderr;
      await pass(500);
    }
    throw new Error(`no replica made a key: ${said}`);
  }

  // act is told the machines, by number; what it does to them ends with network.heal().
  const STEPS = [
    { what: 'the link of one is down for a moment', of: 1, seconds: 1, act: (its) => network.down(its) },
    { what: 'the HSM refuses two for a moment', of: 2, seconds: 1, act: (its) => network.refuse(its) },
    { what: 'all hear nothing for a moment', of: 3, seconds: 1, act: (its) => network.silence(its) },
    { what: 'one hears nothing for long', of: 1, seconds: LONG, rotates: true, act: (its) => network.silence(its) },
    { what: 'the answers to two are lost for long', of: 2, seconds: LONG, rotates: true, act: (its) => network.loseAnswers(its) },
    { what: 'the links of all are down for long, and a machine starts', of: 3, seconds: LONG, rotates: true, kills: true,
      act: (its) => network.down(its) },
    { what: 'a third of a second each way', of: 3, seconds: LONG / 2, rotates: true, act: () => network.delay(300) },
    { what: 'a fifth of all packets is lost', of: 3, seconds: LONG / 2, rotates: true, act: (its) => network.lose(its, 20) },
  ];

  for (let round = 0; round < ROUNDS; ++round) {
    const left = [...STEPS];
    while (left.length > 0) {
      const [{ what, of, seconds, act, rotates, kills }] = left.splice(random(left.length), 1);
      const first = random(3);
      const touched = [0, 1, 2].map((at) => (first + at) % 3).slice(0, of);
      const rotatesAt = random(3);
      it(`${what}${rotates ? ', and a key is rotated' : ''} (seed ${SEED}, round ${round + 1})`, async (context) => {
        const failed = Promise.all(replicas.map((replica) => replica.watch()));
        failed.catch(() => {});
        const before = replicas.map(({ ends }) => ends.length);
        await act(touched);
        const rotated = rotates ? rotate(rotatesAt) : undefined;
        rotated?.catch(() => {});
        if (kills) replicas[first].deployment.daemon.kill('SIGKILL');
        await Promise.race([pass(seconds * 500), failed]);
        const halfway = Date.now();
        await Promise.race([pass(seconds * 500), failed]);
        for (const [at, replica] of replicas.entries()) {
          assert.ok(rotates === undefined || touched.includes(at) || replica.hasSignedSince(halfway),
            `${replica.name} has no part in it, and did not sign meanwhile`);
        }
        await network.heal();
        const healed = Date.now();
        const took = [];
        await new Deadline(LIMIT, 'all replicas to sign again').limit(Promise.race([failed, Promise.all(replicas.map(
          async (replica, at) => {
            while (!replica.hasSignedSince(healed)) await pass(20);
            took[at] = Date.now() - healed;
          }))]));
        await rotated;
        context.diagnostic(`signed again after ${took.join(', ')} ms; ended and were started again: ` +
          `${replicas.map(({ ends }, at) => ends.slice(before[at]).join(' and ') || 'no').join(', ')}`);
      });
    }
  }

  it('each key that was promised takes over at every replica', async () => {
    await new Deadline(LEAD + 30, 'all replicas to sign with the last key').until(() => replicas.every(({ answers }) =>
      answers.at(-1)?.kid === promised.at(-1)));
    for (const { deployment: each } of replicas) {
      const { keys } = JSON.parse(await each.ctl('key', 'list', '--json'));
      for (const kid of promised) assert.ok(keys.some((key) => key.kid === kid), `${kid} is lost`);
    }
  });

  it('each assertion is one that a verifier with any replica\'s JWK Set can verify', async (context) => {
    const answers = replicas.flatMap((replica) => replica.answers);
    const keys = new Map(replicas.flatMap(({ samples }) => samples.flatMap((sample) => sample.keys ?? []))
      .map((jwk) => [jwk.kid, jwk]));
    for (const { kid, assertion } of answers) {
      const jwk = keys.get(kid);
      assert.ok(jwk, `no JWK Set ever had ${kid}`);
      jwk.imported ??= await importJWK(jwk, jwk.alg);
      await compactVerify(assertion, jwk.imported);
    }
    assert.equal(new Set(answers.map(({ jti }) => jti)).size, answers.length);
    assert.deepEqual(unverifiable(answers, replicas), []);
    const [{ asked, received }] = answers;   // a JWK Set without keys would be noticed, from before the call and after it
    for (const forged of [{ began: asked - 1, ended: asked, maxAge: 60 }, { began: received, ended: received + 1, maxAge: 0 }]) {
      assert.notDeepEqual(unverifiable(answers, [{ name: 'forged', samples: [{ ...forged, status: 200, keys: [] }] }]), []);
    }
    for (const { name, answers: its, refusals, samples } of replicas) {
      context.diagnostic(`${name}: ${its.length} assertions, refusals by code ${JSON.stringify(refusals)}, ${samples.length} ` +
        `looks at the JWK Set, ${samples.filter(({ status }) => status !== 200).length} without an answer`);
    }
    context.diagnostic(`${promised.length} keys, of which ${new Set(answers.map(({ kid }) => kid)).size} signed`);
  });

  it('each assertion is in its replica\'s audit log', () => {
    for (const [at, { name, answers }] of replicas.entries()) {
      const recorded = new Set();
      const file = at === 0 ? /^audit\.log(\.\d+)?$/ : new RegExp(`^${name}\\.audit(\\.\\d+)?$`);
      for (const log of readdirSync(deployment.folder).filter((each) => file.test(each))) {
        for (const line of readFileSync(path.join(deployment.folder, log), 'utf8').trim().split('\n')) {
          const { jti, outcome } = JSON.parse(line);
          if (outcome === 'OK' && jti) recorded.add(jti);
        }
      }
      const lost = answers.map(({ jti }) => jti).filter((jti) => !recorded.has(jti));
      assert.deepEqual(lost, [], name);
    }
  });
});

// The assertions that a verifier would refuse: it has a JWK Set from before the call, which it was told it may keep, or
// reads one while the assertion is valid; and the key is not in it.
function unverifiable(answers, replicas) {
  const found = [];
  for (const kid of new Set(answers.map((answer) => answer.kid))) {
    const its = answers.filter((answer) => answer.kid === kid);
    for (const { name, samples } of replicas) {
      const lacking = samples.filter(({ status, keys }) => status === 200 && !keys.some((key) => key.kid === kid));
      for (const { began, ended, maxAge } of lacking) {
        const refused = its.find(({ asked, received, exp }) =>
          (asked >= ended && received <= began + maxAge * 1000) || (began >= received && ended <= exp * 1000));
        if (refused) {
          found.push({ kid, set: `of ${name}, read ${ended - refused.asked} ms after the call, to be kept ${maxAge} s` });
          break;
        }
      }
    }
  }
  return found;
}
