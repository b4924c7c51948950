// A backend as it should be, for measuring: asks for assertions at a steady rate, alone and on a stream, asks again where
// it is told to, and connects anew where a connection or stream has come to its age. Given as text to another user, as
// stranger.mjs is: node --input-type=module -e TEXT SOCKET CLIENT RATE
// A line on its standard input ends a phase, of which it tells { asked, answered, again, lost, jtis, p50, p99 }; each
// time is counted from when the call was due. It ends with its standard input.
import http2 from 'node:http2';
import net from 'node:net';
import { createInterface } from 'node:readline';

const [socket, client, rate] = process.argv.slice(1);
const ATTEMPTS = 20;
const PAUSE = 100;  // milliseconds
const AGAIN = new Set(['8', '14', 'broken']);  // RESOURCE_EXHAUSTED, UNAVAILABLE, a connection that ended

// A field of at most 127 octets.
const field = (number, octets) => Buffer.concat([Buffer.from([(number << 3) | 2, octets.length]), octets]);
function framed(message) {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
const REQUEST = field(1, Buffer.from(client));
const pause = () => new Promise((resolve) => { setTimeout(resolve, PAUSE); });

// Of an answer, or of one on a stream: { jti } of the assertion in it.
function jtiOf(message) {
  const [, payload] = /(eyJ[\w-]+\.([\w-]+)\.[\w-]+)/.exec(message.toString('latin1'))?.[0].split('.') ?? [];
  return payload && JSON.parse(Buffer.from(payload, 'base64url')).jti;
}

let session;
function connection() {
  if (!session || session.closed || session.destroyed) {
    session = http2.connect('http://localhost', { createConnection: () => net.connect(socket) });
    session.on('error', () => {});
  }
  return session;
}

// Resolves to { code, jti }.
function unary() {
  return new Promise((resolve) => {
    let code = 'broken';
    const parts = [];
    const note = (headers) => { code = headers['grpc-status'] ?? code; };
    let stream;
    try {
      stream = connection().request({ ':method': 'POST', ':path': '/assertion.v1.AssertionService/CreateAssertion',
        'content-type': 'application/grpc', te: 'trailers', 'grpc-timeout': '20S' });
    } catch {
      resolve({ code });
      return;
    }
    stream.on('response', note).on('trailers', note).on('error', () => {});
    stream.on('data', (part) => parts.push(part));
    stream.on('close', () => resolve({ code, jti: code === '0' ? jtiOf(Buffer.concat(parts)) : undefined }));
    stream.end(framed(REQUEST));
  });
}

// One stream for all; a request on it resolves as unary() does.
class Stream {
  #stream;
  #waiting = new Map();
  #arrived = Buffer.alloc(0);
  #tag = 127;

  ask() {
    if (!this.#stream || this.#stream.destroyed || this.#stream.readableEnded) this.#open();
    this.#tag = this.#tag < 16383 ? this.#tag + 1 : 128;   // two octets of a varint
    return new Promise((resolve) => {
      this.#waiting.set(this.#tag, resolve);
      this.#stream.write(framed(Buffer.concat([Buffer.from([8, (this.#tag & 127) | 128, this.#tag >> 7]), field(2, REQUEST)])));
    });
  }

  #open() {
    const waiting = new Map();
    this.#waiting = waiting;
    this.#arrived = Buffer.alloc(0);
    const stream = connection().request({ ':method': 'POST', ':path': '/assertion.v1.AssertionService/CreateAssertions',
      'content-type': 'application/grpc', te: 'trailers' });
    this.#stream = stream;
    stream.on('error', () => {});
    stream.on('data', (part) => { if (stream === this.#stream) this.#read(part); });
    stream.on('close', () => { for (const resolve of waiting.values()) resolve({ code: 'broken' }); });
  }

  #read(part) {
    this.#arrived = Buffer.concat([this.#arrived, part]);
    while (this.#arrived.length >= 5 && this.#arrived.length >= 5 + this.#arrived.readUInt32BE(1)) {
      const end = 5 + this.#arrived.readUInt32BE(1);
      const message = this.#arrived.subarray(5, end);
      this.#arrived = this.#arrived.subarray(end);
      const tag = (message[1] & 127) | (message[2] << 7);   // tag = 1
      const jti = jtiOf(message);
      const status = message.subarray(message[4] < 128 ? 5 : 6);   // error = 3, of which code = 1
      const resolve = this.#waiting.get(tag);
      this.#waiting.delete(tag);
      resolve?.({ code: jti ? '0' : `${status[1]}`, jti });
    }
  }

  close() {
    this.#stream?.end();
  }
}

const fresh = () => ({ asked: 0, answered: 0, again: 0, lost: [], jtis: [], times: [], open: new Set() });
const stream = new Stream();
let phase = fresh();

async function deliver(ask, due, its) {
  its.asked += 1;
  let answer;
  for (let attempt = 0; attempt < ATTEMPTS; ++attempt) {
    answer = await Promise.resolve().then(ask).catch(() => ({ code: 'broken' }));
    if (!AGAIN.has(answer.code)) break;
    its.again += 1;
    await pause();
  }
  if (answer.jti) {
    its.answered += 1;
    its.jtis.push(answer.jti);
    its.times.push(performance.now() - due);
  } else {
    its.lost.push(answer.code);
  }
}

const began = performance.now();
let sent = 0;
const beat = setInterval(() => {
  for (let due; (due = began + (sent * 1000) / Number(rate)) <= performance.now(); ++sent) {
    const its = phase;
    const done = deliver(sent % 3 === 0 ? () => stream.ask() : unary, due, its).finally(() => its.open.delete(done));
    its.open.add(done);
  }
}, 2);

createInterface({ input: process.stdin }).on('line', async () => {
  const its = phase;
  phase = fresh();
  await Promise.all(its.open);
  its.times.sort((a, b) => a - b);
  const at = (share) => its.times[Math.floor(its.times.length * share)];
  process.stdout.write(`${JSON.stringify({ asked: its.asked, answered: its.answered, again: its.again, lost: its.lost,
    jtis: its.jtis, p50: at(0.5), p99: at(0.99) })}\n`);
}).on('close', () => {
  clearInterval(beat);
  process.exit();
});
