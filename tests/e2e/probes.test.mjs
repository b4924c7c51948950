// Probes and metrics are answered whatever others do to the public listener, and are out of their reach by admin_listen.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deployment } from './deployment.mjs';
import { Deadline, Lines, asRoot, startProcess } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const CLIENTS = [{ client_id: 'orders', audiences: [AUDIENCE], binding: 'jwks', publish_lead: '1h' }];
const LARGEST = '/clients/orders/jwks.json';
const FLOOD = fileURLToPath(new URL('flood.py', import.meta.url));
const CONNECTIONS = Number(process.env.PROBES_CONNECTIONS ?? 1500);  // 5000: what README's figures are of
const PROBES = Number(process.env.PROBES_ASKED ?? 100);
const ONLY = new RegExp(process.env.PROBES_ONLY ?? '');
const KUBELET_MS = 1000;
const MIB = 1 << 20;

const portOf = (origin) => Number(new URL(origin).port);
const resident = ({ daemon }) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))[1]) * 1024;

// Returns { status, body } of one request, over a connection of its own.
function ask(origin, page, { localAddress = '127.0.0.1', timeout = 20_000 } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = http.request(origin + page, { agent: false, localAddress, timeout }, (reply) => {
      const chunks = [];
      reply.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      reply.on('end', () => resolve({ status: reply.statusCode, body: Buffer.concat(chunks).toString() }));
    });
    outgoing.on('error', reject).on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeout} ms`))).end();
  });
}

// Starts a flood (see flood.py), which ends with the test. Returns once each of its connections was tried.
async function flood(context, deployment, port, kind, sources, connections = CONNECTIONS) {
  const flooding = startProcess('/usr/bin/python3', [FLOOD, `${port}`, kind, `${connections}`, `${sources}`, LARGEST],
    { env: { PATH: process.env.PATH }, log: path.join(deployment.folder, 'flood.log') });
  context.after(async () => {
    flooding.kill('SIGKILL');
    await new Deadline(30, 'the end of the flood').limit(flooding.ended);
  });
  await new Lines(flooding, 'stdout').next(new Deadline(60, `a flood of kind ${kind}`));
  return flooding;
}

// How long each of so many probes took, in ms, sorted. A probe that is not answered takes for ever.
async function probe(origin, localAddress) {
  const times = [];
  const end = Date.now() + 20_000;
  for (let i = 0; i < PROBES && Date.now() < end; ++i) {
    const began = performance.now();
    const status = await ask(origin, '/healthz', { localAddress }).then((answer) => answer.status, () => 0);
    times.push(status === 200 ? performance.now() - began : Infinity);
  }
  return times.sort((a, b) => a - b);
}

// origins: from how many addresses floods come; 0: from the prober's own.
function withstandsFloods(title, kinds, origins, start) {
  describe(title, () => {
    let deployment;
    let probes;
    let flooded;

    before(async () => {
      ({ deployment, probes, flooded } = await start());
    });

    after(() => deployment?.close());

    for (const kind of kinds) {
      for (const sources of origins) {
        const from = ['the prober\'s own address', 'one other address'][sources] ?? `${sources} addresses`;
        if (!ONLY.test(`${kind} ${sources}`)) continue;
        it(`answers probes while ${CONNECTIONS} connections of kind ${kind} come from ${from}`, async (context) => {
          const base = resident(deployment);
          await flood(context, deployment, flooded(), kind, sources);
          const times = await probe(probes(), '127.0.0.1');
          const grown = (resident(deployment) - base) / MIB;
          const [p99, max] = [times[Math.floor(times.length * 0.99) - 1], times.at(-1)].map((time) => time.toFixed(1));
          process.stdout.write(`# ${title} | ${kind} | ${sources} | ${times.length} | ${p99} | ${max} | ` +
            `${(base / MIB).toFixed(0)} | +${grown.toFixed(1)}\n`);
          assert.ok(times.at(-2) < KUBELET_MS, `two probes took ${times.at(-2)} ms and more`);  // a kubelet asks again
          assert.ok(grown < 64, `${grown} MiB more`);
          await deployment.createAssertion('orders');
        });
      }
    }
  });
}

async function deploy(configuration, launcher) {
  const deployment = await Deployment.start(CLIENTS, configuration, async (made) => Object.assign(made, { launcher }));
  await deployment.generateKey('orders');
  return deployment;
}

withstandsFloods('one listener for all', ['silent', 'slow', 'half', 'header', 'pipeline', 'unread'], [0, 1, 1000], async () => {
  const deployment = await deploy({ http_listen: '127.0.0.1:0' });
  return { deployment, probes: () => deployment.httpOrigin, flooded: () => portOf(deployment.httpOrigin) };
});

withstandsFloods('the listener of probes beside a public one', ['silent', 'unread'], [0, 1000], async () => {
  const deployment = await deploy({ http_listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0' });
  return { deployment, probes: () => deployment.adminOrigin, flooded: () => portOf(deployment.httpOrigin) };
});

withstandsFloods('the listener of probes itself', ['silent', 'header'], [1], async () => {
  const deployment = await deploy({ admin_listen: '127.0.0.1:0' });
  return { deployment, probes: () => deployment.adminOrigin, flooded: () => portOf(deployment.adminOrigin) };
});

describe('with admin_listen', () => {
  let deployment;

  before(async () => {
    deployment = await deploy({ http_listen: '127.0.0.1:0', admin_listen: '127.0.0.1:0' }, ['prlimit', '--nofile=1024:1024']);
  });

  after(() => deployment?.close());

  it('probes and metrics are on it alone, and what is published is not', async () => {
    for (const page of ['/healthz', '/readyz', '/metrics']) {
      assert.equal((await ask(deployment.adminOrigin, page)).status, 200, page);
      const { status, body } = await ask(deployment.httpOrigin, page);
      assert.deepEqual([status, body], [404, 'here are /clients/{client_id}/jwks.json, /clients/{client_id}/certificate.pem\n'], page);
    }
    for (const page of [LARGEST, '/clients/orders/certificate.pem']) {
      assert.equal((await ask(deployment.httpOrigin, page)).status, 200, page);
      const { status, body } = await ask(deployment.adminOrigin, page);
      assert.deepEqual([status, body], [404, 'here are /healthz, /readyz, /metrics\n'], page);
    }
  });

  it('the page for people tells on each what that one tells', async () => {
    const page = async (origin) => (await fetch(`${origin}/`, { headers: { Accept: 'text/html' } })).text();
    const probes = await page(deployment.adminOrigin);
    const publications = await page(deployment.httpOrigin);
    assert.ok(probes.includes('Ready') && !probes.includes('/clients/'), probes);
    assert.ok(publications.includes('/clients/CLIENT_ID/jwks.json'), publications);
    assert.doesNotMatch(publications, /ready|metrics|orders/i);
  });

  it('probes are answered though the process has no descriptor left', async (context) => {
    const { pid } = deployment.daemon;
    const limit = (soft) => asRoot('prlimit', [`--pid=${pid}`, `--nofile=${soft}:`]);
    const open = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
    let lowest = 0;
    while (open.has(lowest)) lowest += 1;
    await limit(lowest);  // each number below is taken
    context.after(() => limit(1024));
    await flood(context, deployment, portOf(deployment.httpOrigin), 'silent', 10, 200);
    for (let i = 0; i < 20; ++i) assert.equal((await ask(deployment.adminOrigin, '/healthz')).status, 200);
    await assert.rejects(ask(deployment.httpOrigin, LARGEST, { timeout: 500 }), /no answer/);
    await limit(1024);
    await new Deadline(30, 'the public listener').until(
      () => ask(deployment.httpOrigin, LARGEST, { timeout: 1000 }).then(({ status }) => status === 200, () => false));
  });

  it('of one address there are so many connections and no more', async (context) => {
    const base = readdirSync(`/proc/${deployment.daemon.pid}/fd`).length;
    const opened = Array.from({ length: 300 }, () => net.connect({ port: portOf(deployment.httpOrigin), host: '127.0.0.1' })
      .on('error', () => {}).resume());
    context.after(() => opened.forEach((socket) => socket.destroy()));
    const deadline = new Deadline(30, 'the others to be closed');
    await deadline.until(() => opened.filter((socket) => !socket.closed).length <= 32);
    // A refresh may have the files of SoftHSM2 open at this instant.
    await deadline.until(() => readdirSync(`/proc/${deployment.daemon.pid}/fd`).length <= base + 32);
    assert.equal((await ask(deployment.httpOrigin, LARGEST)).status, 200);
  });

  it('a port that is taken is told by its field', async () => {
    const port = portOf(deployment.adminOrigin);
    await assert.rejects(deployment.startReplica({ http_listen: '127.0.0.1:0', admin_listen: `127.0.0.1:${port}` }), /ended with 20/);
    assert.match(readFileSync(path.join(deployment.folder, 'replica.log'), 'utf8'), /admin_listen: cannot listen on 127\.0\.0\.1 port/);
  });
});
