// A hostile neighbour, with nothing but what Node brings. Runs as a program of its own that is given as text, because the
// other user can read no file of the test's: node --input-type=module -e TEXT SOCKET ACT ARGUMENTS…
//   idle COUNT          opens that many connections that speak HTTP/2 and call nothing; tells how many were opened, then
//                       how many are open whenever a line comes; ends with its standard input
//   calls SECONDS       keeps 32 calls of CreateAssertion in flight; tells how many were answered, by gRPC status
//   garbled SECONDS     the same with an audience that is no UTF-8
//   streams COUNT       opens that many streams on ten connections, and tells how many have ended, by gRPC status
//   knocks SECONDS      opens streams without a message, 16 at a time; tells how many ended, by gRPC status
//   hold COUNT          opens that many streams without a message on ten connections, and keeps them until its standard input ends
//   bombs SECONDS       calls with a message of 61 KB that gzip makes 60 MiB of, 4 at a time; tells how many, by gRPC status
//   noise SECONDS       pings without end on one connection, calls that are reset at once on others
//   reflect COUNT       opens that many calls of the server's reflection on ten connections and leaves them open; tells how
//                       many were opened; ends with its standard input
//   users FIRST COUNT   as root: each of these users in turn calls on a connection of its own, which it closes while the
//                       next ones come; tells how many were not known as themselves
import http2 from 'node:http2';
import net from 'node:net';
import { gzipSync } from 'node:zlib';

const [socket, act, ...numbers] = process.argv.slice(1);
const [first, second] = numbers.map(Number);
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// A CreateAssertionRequest: a client that there is not, and an audience that is written six times as long as it is.
function request(audience) {
  const field = (number, octets) => Buffer.concat([
    Buffer.from([number * 8 + 2, (octets.length % 128) + 128, Math.floor(octets.length / 128)]), octets]);
  const message = Buffer.concat([field(1, Buffer.from('c'.repeat(200))), field(2, audience)]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
const REQUEST = request(Buffer.alloc(1024, 1));
const GARBLED = request(Buffer.alloc(256, 0xFF));

function connect() {
  const session = http2.connect('http://localhost', { createConnection: () => net.connect(socket) });
  session.on('error', (error) => { session.trouble = `${error}`; });
  return session;
}

// Resolves to { code, message }.
function call(session, method, body, headers = {}) {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'POST', ':path': `/assertion.v1.AssertionService/${method}`,
      'content-type': 'application/grpc', te: 'trailers', ...headers });
    let answer = { code: 'broken', message: '' };
    const note = (headers) => {
      if (headers['grpc-status']) answer = { code: headers['grpc-status'], message: headers['grpc-message'] ?? '' };
    };
    stream.on('response', note);
    stream.on('trailers', note);
    stream.on('error', (error) => { answer.message ||= `${error}`; });
    stream.on('close', () => resolve(answer));
    stream.resume();
    if (body) stream.end(body);
  });
}

// Keeps that many calls in flight until the time is over, on a connection that is made anew when it ends.
async function keepCalling(inFlight, seconds, ...what) {
  const codes = {};
  const end = Date.now() + seconds * 1000;
  let session = connect();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (Date.now() < end) {
      if (session.closed || session.destroyed) session = connect();
      const { code } = await call(session, ...what).catch(() => ({ code: 'broken' }));
      codes[code] = (codes[code] ?? 0) + 1;
      if (code === 'broken') await new Promise((resolve) => { setTimeout(resolve, 50); });
    }
  }));
  session.destroy();
  tell(codes);
}

const acts = {
  async idle() {
    const open = new Set();
    let opened = 0;
    let tried = 0;
    await new Promise((resolve) => {
      const next = () => {
        if (tried === first) return;
        tried += 1;
        const connection = net.connect(socket);
        let settled = false;
        const settle = () => {
          if (settled) return;
          settled = true;
          if (tried === first) resolve(); else next();
        };
        connection.on('connect', () => {
          open.add(connection);
          opened += 1;
          connection.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
          settle();
        });
        connection.on('error', settle);
        connection.on('close', () => open.delete(connection));
        connection.resume();
      };
      next();
    });
    tell({ opened });
    process.stdin.on('data', () => tell({ open: open.size }));
  },

  calls: () => keepCalling(32, first, 'CreateAssertion', REQUEST),
  knocks: () => keepCalling(16, first, 'CreateAssertions'),

  bombs() {
    const octets = gzipSync(Buffer.alloc(60 << 20), { level: 9 });
    const head = Buffer.from([1, 0, 0, 0, 0]);
    head.writeUInt32BE(octets.length, 1);
    return keepCalling(4, first, 'CreateAssertion', Buffer.concat([head, octets]), { 'grpc-encoding': 'gzip' });
  },

  async hold() {
    const sessions = Array.from({ length: 10 }, connect);
    const ended = [];
    for (let i = 0; i < first; ++i) ended.push(call(sessions[i % 10], 'CreateAssertions').catch(() => {}));
    tell({ asked: first });
    process.stdin.resume().on('end', () => process.exit());
    await Promise.all(ended);
  },

  async noise() {
    const end = Date.now() + first * 1000;
    const ping = Buffer.from([0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    const pings = Buffer.concat(Array.from({ length: 500 }, () => ping));
    const settled = (flooded) => new Promise((resolve) => { flooded.once('drain', resolve).once('close', resolve); });
    const pinging = async () => {
      while (Date.now() < end) {
        const flooded = net.connect(socket);
        flooded.on('error', () => {}).resume();
        flooded.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
        while (Date.now() < end && !flooded.destroyed) if (!flooded.write(pings)) await settled(flooded);
        flooded.destroy();
      }
    };
    const resetting = async () => {
      while (Date.now() < end) {
        const session = connect();
        const closed = new Promise((resolve) => { session.on('close', resolve); });
        for (let i = 0; i < 50 && !session.destroyed; ++i) {
          const stream = session.request({ ':method': 'POST', ':path': '/assertion.v1.AssertionService/CreateAssertion',
            'content-type': 'application/grpc', te: 'trailers' });
          stream.on('error', () => {});
          stream.close(http2.constants.NGHTTP2_CANCEL);
          if (i % 10 === 9) await new Promise((resolve) => { stream.on('close', resolve); });
        }
        session.destroy();
        await closed;
      }
    };
    await Promise.all([pinging(), resetting()]);
    tell({ over: true });
  },

  garbled: () => keepCalling(32, first, 'CreateAssertion', GARBLED),

  async streams() {
    const codes = {};
    const sessions = Array.from({ length: 10 }, connect);
    await Promise.all(Array.from({ length: first }, async (_, i) => {
      const { code } = await call(sessions[i % 10], 'CreateAssertions');
      codes[code] = (codes[code] ?? 0) + 1;
    }));
    tell(codes);
    for (const session of sessions) session.destroy();
  },

  async reflect() {
    // Frames, not a session: what no client acknowledges, no client is held to.
    const frame = (type, flags, stream, payload = Buffer.alloc(0)) => {
      const head = Buffer.alloc(9);
      head.writeUIntBE(payload.length, 0, 3);
      head.writeUInt8(type, 3);
      head.writeUInt8(flags, 4);
      head.writeUInt32BE(stream, 5);
      return Buffer.concat([head, payload]);
    };
    const field = (name, value) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name),
      Buffer.from([value.length]), Buffer.from(value)]);
    const headers = Buffer.concat(Object.entries({ ':method': 'POST', ':scheme': 'http', ':authority': 'localhost',
      ':path': '/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo', 'content-type': 'application/grpc',
      te: 'trailers' }).map(([name, value]) => field(name, value)));
    const connections = Array.from({ length: 10 }, () => net.connect(socket));
    await Promise.all(connections.map((connection) => new Promise((resolve) => {
      connection.on('error', () => {}).on('close', resolve).resume();
      const calls = Array.from({ length: first / 10 }, (_, i) => frame(1, 4, 2 * i + 1, headers));
      connection.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(4, 0, 0), ...calls]), resolve);
    })));
    tell({ opened: first });
    await new Promise((resolve) => { process.stdin.on('end', resolve).resume(); });
  },

  async users() {
    const wrong = [];
    let right = 0;
    const calls = [];
    for (let user = first; user < first + second; ++user) {
      process.seteuid(user);
      const session = connect();   // the kernel notes who connects
      process.seteuid(0);
      const asked = call(session, 'CreateAssertion', REQUEST).then(({ code, message }) => {
        if (code === '7' && decodeURIComponent(message).includes(`"uid:${user}"`)) right += 1; else wrong.push({ user, code, message });
        session.destroy();
      });
      calls.push(asked);
      if (user % 4 === 0) await asked;
    }
    await Promise.all(calls);
    tell({ right, wrong });
  },
};
await acts[act]();
if (!['idle', 'hold'].includes(act)) process.exit();
