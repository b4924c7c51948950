// A hostile neighbour, with nothing but what Node brings. Runs as a program of its own that is given as text, because the
// other user can read no file of the test's: node --input-type=module -e TEXT SOCKET ACT ARGUMENTS…
//   idle COUNT          opens that many connections that speak HTTP/2 and call nothing; tells how many were opened, then
//                       how many are open whenever a line comes; ends with its standard input
//   calls SECONDS       keeps 32 calls of CreateAssertion in flight; tells how many were answered, by gRPC status
//   streams COUNT       opens that many streams on ten connections, and tells how many have ended, by gRPC status
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

  async calls() {
    const codes = {};
    const end = Date.now() + first * 1000;
    const session = connect();
    await Promise.all(Array.from({ length: 32 }, async () => {
      while (Date.now() < end) {
        const { code } = await call(session, 'CreateAssertion', REQUEST);
        codes[code] = (codes[code] ?? 0) + 1;
      }
    }));
    session.destroy();
    tell(codes);
  },

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
