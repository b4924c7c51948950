// A hostile neighbour, with nothing but what Node brings. Runs as a program of its own that is given as text, because the
// other user can read no file of the test's: node --input-type=module -e TEXT SOCKET ACT ARGUMENTS…
//   idle COUNT          opens that many connections that speak HTTP/2 and call nothing; tells how many were opened, then
//                       how many are open whenever a line comes; ends with its standard input
//   calls SECONDS       keeps 32 calls of CreateAssertion in flight; tells how many were answered, by gRPC status
//   garbled SECONDS     the same with an audience that is no UTF-8
//   streams COUNT       opens that many streams on ten connections, and tells how many have ended, by gRPC status
//   reflect COUNT       opens that many calls of the server's reflection on ten connections and leaves them open; tells how
//                       many were opened; ends with its standard input
//   users FIRST COUNT   as root: each of these users in turn calls on a connection of its own, which it closes while the
//                       next ones come; tells how many were not known as themselves
import http2 from 'node:http2';
import net from 'node:net';

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
function call(session, method, body) {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'POST', ':path': `/assertion.v1.AssertionService/${method}`,
      'content-type': 'application/grpc', te: 'trailers' });
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

  async calls(body = REQUEST) {
    const codes = {};
    const end = Date.now() + first * 1000;
    const session = connect();
    await Promise.all(Array.from({ length: 32 }, async () => {
      while (Date.now() < end) {
        const { code } = await call(session, 'CreateAssertion', body);
        codes[code] = (codes[code] ?? 0) + 1;
      }
    }));
    session.destroy();
    tell(codes);
  },

  garbled() { return acts.calls(GARBLED); },

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
if (act !== 'idle') process.exit();
