// Uses assertiond-client as a program would. client_contract.mjs describes the verbs; those after "this package's own"
// are for clients_node.test.mjs.
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import net from 'node:net';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import grpc from '@grpc/grpc-js';
import { AssertiondError, Client } from 'assertiond-client';
import { methods } from './node_modules/assertiond-client/src/wire.js';

const SERVER = process.env.ASSERTIOND_SERVER;
const orders = { clientId: 'orders' };
const refusalOf = (promise) => promise.then(() => 'not refused', (error) => error);
const seconds = (since) => (performance.now() - since) / 1000;

function messageOf(action) {
  try {
    action();
    return 'not refused';
  } catch (error) {
    return error.message;
  }
}

const verbs = {
  async stream(count) {
    const client = new Client(SERVER, { timeoutMs: 60_000 });
    const stream = client.stream();
    const answers = await Promise.allSettled(Array.from({ length: Number(count) },
      (_, i) => stream.submit({ clientId: i % 10 === 0 ? 'foreign' : 'orders' })));
    await stream.close();
    client.close();
    return {
      jtis: new Set(answers.flatMap(({ value }) => (value ? [value.jti] : []))).size,
      refused: answers.flatMap(({ reason }, i) => (reason ? [[i, reason.code ?? reason.message]] : [])),
    };
  },

  async rate(calls, timeout) {
    const client = new Client(SERVER, { timeoutMs: 20_000 });
    const started = performance.now();
    try {
      for (let i = 0; i < Number(calls); ++i) {
        await client.createAssertion(orders, i === 0 ? {} : { timeoutMs: Number(timeout) * 1000 });
      }
    } finally {
      client.close();
    }
    return { seconds: seconds(started) };
  },

  async patience(calls, timeout) {
    const client = new Client(SERVER, { timeoutMs: Number(timeout) * 1000 });
    const stream = client.stream();
    const started = performance.now();
    try {
      await Promise.all(Array.from({ length: Number(calls) }, () => stream.submit(orders)));
      return { seconds: seconds(started) };
    } finally {
      await stream.close();
      client.close();
    }
  },

  async restart() {
    const client = new Client(SERVER, { timeoutMs: 20_000 });
    const stream = client.stream();
    const both = async () => [(await client.createAssertion(orders)).jti, (await stream.submit(orders)).jti];
    const before = await both();
    console.log('called');
    const input = createInterface({ input: process.stdin });
    await once(input, 'line');
    input.close();
    const jtis = new Set([...before, ...await both()]).size;
    await stream.close();
    client.close();
    return { jtis };
  },

  async down(timeout) {
    const client = new Client(SERVER, { timeoutMs: Number(timeout) * 1000 });
    const started = performance.now();
    const { code, retryable, message } = await refusalOf(client.createAssertion(orders));
    client.close();
    return { code, retryable, message, seconds: seconds(started) };
  },

  async token() {
    const client = new Client(SERVER);
    const first = await client.getAccessToken(orders);
    const second = await client.getAccessToken(orders);
    client.close();
    return { type: first.tokenType, same: first.accessToken === second.accessToken,
      validFor: first.expiresAt.seconds - Date.now() / 1000 };
  },

  async others() {
    const client = new Client(SERVER);
    const shop = { clientId: 'shop' };
    const { proof } = await client.createDpopProof({ ...shop, htm: 'POST', htu: 'https://as.example.org/' });
    const { requestObject } = await client.createRequestObject(shop);
    const { pem } = await client.getCertificate(shop);
    const { jwks } = await client.getJwks(shop);
    client.close();
    return { proof, object: requestObject, certificate: pem, keys: jwks };
  },

  misuse: async () => ({
    plaintext: messageOf(() => new Client('localhost:1')),
    timeout: messageOf(() => new Client(SERVER, { timeoutMs: 0 })),
  }),

  async tls(address, timeout, ...files) {
    const [ca, certificate, key] = files.map((file) => readFileSync(file));
    const client = new Client(address, { tls: { ca, certificate, key }, timeoutMs: Number(timeout) * 1000 });
    try {
      const { jti } = await client.createAssertion(orders);
      return { jti };
    } finally {
      client.close();
    }
  },

  // ---- this package's own ----

  async fields() {
    const client = new Client(SERVER);
    const stream = client.stream();
    const refusals = await Promise.all([
      client.createAssertion({ ...orders, audiense: 'x' }), client.createAssertion({ ...orders, audience: 1 }),
      client.createAssertion({}), stream.submit({}),
    ].map(refusalOf));
    client.close();
    return refusals.map(({ message }) => message);
  },

  // Of requests with a field that protobuf would drop, change or not encode: the name and message of each error.
  async messages() {
    const client = new Client(SERVER);
    const stream = client.stream();
    const wrong = [
      ...['60s', 60, [60], {}, { secs: 60 }, { seconds: 'x' }, { seconds: 1.5 }, new Date()].map((lifetime) => ({ lifetime })),
      ...['{}', { account: 17 }, { fields: { account: 17 } }, { fields: { account: { number: 17 } } },
        { fields: { list: { listValue: { values: [17] } } } }].map((extraClaims) => ({ extraClaims })),
    ];
    const refusals = await Promise.all(wrong.flatMap((field) =>
      [client.createAssertion({ ...orders, ...field }), stream.submit({ ...orders, ...field })].map(refusalOf)));
    const right = await Promise.all([{ seconds: 60 }, { seconds: '60', nanos: 0 }, null, undefined].map((lifetime) =>
      stream.submit({ ...orders, lifetime })));
    await stream.close();
    client.close();
    return { refusals: refusals.map((error) => `${error.name}: ${error.message}`), jtis: right.map(({ jti }) => jti).length };
  },

  async close() {
    const silent = net.createServer((socket) => socket.unref()).listen(`${SERVER.slice('unix:'.length)}.silent`);
    await once(silent, 'listening');
    const client = new Client(`${SERVER}.silent`);
    const call = refusalOf(client.createAssertion(orders));
    const stream = refusalOf(client.stream().submit(orders));
    await once(silent, 'connection');
    client.close();
    const codes = { call: (await call).code, stream: (await stream).code,
      next: (await refusalOf(client.createAssertion(orders))).message };
    silent.close();
    return codes;
  },

  // Against a server that holds its answers until a call of its own kind asks how many requests have come.
  async crowd(count) {
    const socket = `${SERVER}.crowd`;
    const held = [];
    let answer = (call, { tag }) => { held.push([call, tag]); if (held.length === 256) full.emit('full'); };
    const full = new EventEmitter();
    const reply = (call, tag) => call.write({ tag, assertion: { jti: String(tag) } });
    const server = new grpc.Server();
    server.addService({ CreateAssertions: methods.createAssertions, GetJwks: methods.getJwks }, {
      CreateAssertions: (call) => call.on('data', (request) => answer(call, request)).on('end', () => call.end()),
      GetJwks: (call, done) => done(null, { jwks: String(held.length) }),
    });
    await promisify(server.bindAsync).call(server, socket, grpc.ServerCredentials.createInsecure());

    const client = new Client(socket, { timeoutMs: 30_000 });
    const stream = client.stream();
    const crowd = Promise.all(Array.from({ length: Number(count) }, () => stream.submit(orders)));
    if (held.length < 256) await once(full, 'full');
    const inFlight = Number((await client.getJwks(orders)).jwks);
    answer = (call, { tag }) => reply(call, tag);
    for (const [call, tag] of held) reply(call, tag);
    const jtis = new Set((await crowd).map(({ jti }) => jti)).size;
    await stream.close();
    client.close();
    server.forceShutdown();
    return { inFlight, jtis };
  },
};

const [verb, ...options] = process.argv.slice(2);
try {
  console.log(JSON.stringify(await verbs[verb](...options)));
} catch (error) {
  if (!(error instanceof AssertiondError)) throw error;
  console.error(`${error.code}, retry after ${error.retryAfterMs / 1000}`);
  process.exitCode = 1;
}
