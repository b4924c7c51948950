// What one connection can cost: compressed messages, pings, headers, settings and resets, from a caller in no list.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { connect as connectTo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Deployment } from './deployment.mjs';
import { Deadline } from './process.mjs';
import { RawConnection, message } from './raw_connection.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const CREATE = 'assertion.v1.AssertionService/CreateAssertion';
const STREAM = 'assertion.v1.AssertionService/CreateAssertions';
const HEALTH = 'grpc.health.v1.Health/Check';
const MIB = 1 << 20;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const SETTINGS = 4;
const PING = 6;
const CONTINUATION = 9;
const HEADERS = 1;
const END_HEADERS = 4;
const END_STREAM = 1;

// RFC 9113 section 4.1.
function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

describe('one connection costs a bounded amount', () => {
  let deployment;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }]);
    await deployment.generateKey('orders');
  });

  after(() => deployment?.close());

  // Of the server: octets resident, and seconds of processor time.
  function cost() {
    const [, pages] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${deployment.daemon.pid}/status`, 'utf8'));
    const fields = readFileSync(`/proc/${deployment.daemon.pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return { resident: Number(pages) * 1024, processor: (Number(fields[11]) + Number(fields[12])) / 100 };
  }

  // Runs the attack, says what it cost, and shows that others are served.
  async function spend(what, attack) {
    const start = cost();
    await attack();
    assert.ok(await deployment.createAssertion('orders'));
    const end = cost();
    const spent = { mib: (end.resident - start.resident) / MIB, seconds: end.processor - start.processor };
    console.log(`${what}: ${spent.mib.toFixed(1)} MiB, ${spent.seconds.toFixed(2)} s of processor time`);
    return spent;
  }

  // A connection that sends that many octets of its own making, and has them all read or is closed.
  async function flood(octets, most) {
    const socket = connectTo(deployment.socket);
    let sent = 0;
    const closed = new Promise((resolve) => { socket.on('close', resolve).on('error', resolve); });
    socket.resume();
    socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0)]));
    const send = () => {
      while (!socket.destroyed) {
        sent += octets.length;
        if (sent >= most) {
          socket.end(octets);
          return;
        }
        if (!socket.write(octets)) {
          socket.once('drain', send);
          return;
        }
      }
    };
    send();
    await new Deadline(60, 'the server to close the connection').limit(closed);
  }

  it('a compressed message is refused, and not inflated', async () => {
    const bomb = gzipSync(Buffer.alloc(60 * MIB), { level: 9 });
    assert.ok(bomb.length < 64 * 1024, `${bomb.length} octets`);
    const { mib, seconds } = await spend('200 bombs', async () => {
      const connection = RawConnection.local(deployment.socket);
      for (let i = 0; i < 50; ++i) {
        const calls = [[CREATE, 'gzip'], [STREAM, 'gzip'], [HEALTH, 'gzip'], [CREATE, 'deflate']].map(([method, encoding]) => {
          const call = connection.call(method, { 'grpc-encoding': encoding });
          call.send(bomb, { compressed: true });
          return call.ended;
        });
        for (const { code, details } of await Promise.all(calls)) assert.equal(code, 'UNIMPLEMENTED', details);
      }
      // An encoding that nobody knows, and a message that says it is compressed though its call says no encoding.
      for (const headers of [{ 'grpc-encoding': 'zstd' }, {}]) {
        const call = connection.call(CREATE, headers);
        call.send(bomb, { compressed: true });
        const { code } = await call.ended;
        assert.ok(['UNIMPLEMENTED', 'INVALID_ARGUMENT', 'INTERNAL'].includes(code), code);
      }
      connection.close();
    });
    assert.ok(mib < 20, `${mib} MiB`);
    assert.ok(seconds < 2, `${seconds} s`);
  });

  it('a message is measured on the wire', async () => {
    const connection = RawConnection.local(deployment.socket);
    const call = connection.call(CREATE);
    call.send(Buffer.alloc(64 * 1024 + 1));
    assert.equal((await call.ended).code, 'RESOURCE_EXHAUSTED');
    connection.close();
  });

  it('a call without a message ends after 30 s', async () => {
    const connection = RawConnection.local(deployment.socket);
    const began = Date.now();
    const ends = await new Deadline(60, 'the calls to end').limit(Promise.all(
      [CREATE, STREAM, 'assertion.v1.AssertionService/GetJwks', 'assertion.v1.KeyAdminService/RotateKey']
        .map((method) => connection.call(method).ended)));
    assert.deepEqual(ends.map(({ code }) => code), ['DEADLINE_EXCEEDED', 'UNAVAILABLE', 'DEADLINE_EXCEEDED', 'DEADLINE_EXCEEDED']);
    assert.ok(Date.now() - began >= 30_000);
    const call = connection.call(CREATE);   // the connection goes on
    call.send(message({ 1: 'orders' }));
    assert.equal((await call.ended).code, 'OK');
    connection.close();
  });

  it('at most 100 calls are open on it', async () => {
    const connection = RawConnection.local(deployment.socket);
    await new Promise((resolve) => { connection.session.once('remoteSettings', resolve); });
    assert.equal(connection.session.remoteSettings.maxConcurrentStreams, 100);
    connection.close();
  });

  for (const method of [CREATE, `${CREATE}s`]) {
    it(`at most 256 calls are at work for it if it never acknowledges that limit: ${method}`, async () => {
      const field = (name, value) => Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name),
        Buffer.from([value.length]), Buffer.from(value)]);
      const headers = Buffer.concat(Object.entries({ ':method': 'POST', ':scheme': 'http', ':authority': 'localhost', ':path': `/${method}`,
        'content-type': 'application/grpc', te: 'trailers' }).map(([name, value]) => field(name, value)));
      // Without messages, so that none ends by itself meanwhile.
      const calls = Array.from({ length: 300 }, (_, i) => frame(HEADERS, END_HEADERS, 2 * i + 1, headers));
      const socket = connectTo(deployment.socket);
      const refused = [];
      let read = Buffer.alloc(0);
      const all = new Promise((resolve) => {
        socket.on('error', () => {}).on('close', resolve).on('data', (part) => {
          for (read = Buffer.concat([read, part]); read.length >= 9 && read.length >= 9 + read.readUIntBE(0, 3);) {
            const end = 9 + read.readUIntBE(0, 3);
            if (read[3] === HEADERS && (read[4] & END_STREAM) !== 0) refused.push(read.subarray(9, end).toString('latin1'));
            read = read.subarray(end);
          }
          if (refused.length >= 44) resolve();
        });
      });
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...calls]));
      await new Deadline(20, 'the refusals').limit(all);
      assert.match(refused[0], /calls are open on this connection/);
      assert.ok(await deployment.createAssertion('orders'));   // on another
      assert.equal(refused.length, 44);
      socket.destroy();
    });
  }

  it('headers are limited', async () => {
    const connection = RawConnection.local(deployment.socket);
    await new Promise((resolve) => { connection.session.once('remoteSettings', resolve); });
    await new Promise((resolve) => { connection.session.ping(resolve); });  // the server has seen them acknowledged
    const call = connection.call(CREATE, { 'x-large': 'x'.repeat(9000) });
    call.send(message({ 1: 'orders' }));
    assert.equal((await call.ended).code, 'RESOURCE_EXHAUSTED');
    connection.close();
  });

  it('pings are answered in constant memory', async () => {
    const ping = frame(PING, 0, 0, Buffer.alloc(8));
    const { mib, seconds } = await spend('1,000,000 pings', () =>
      flood(Buffer.concat(Array.from({ length: 1000 }, () => ping)), 1_000_000 * ping.length));
    assert.ok(mib < 40, `${mib} MiB`);
    assert.ok(seconds < 5, `${seconds} s`);
  });

  it('headers that never end do not pile up', async () => {
    const { mib } = await spend('CONTINUATION', async () => {
      const socket = connectTo(deployment.socket);
      socket.on('error', () => {}).resume();
      const closed = new Promise((resolve) => { socket.on('close', resolve); });
      // A literal field without indexing, again and again (RFC 7541 section 6.2.2).
      const field = Buffer.concat([Buffer.from([0, 1]), Buffer.from('x'), Buffer.from([100]), Buffer.alloc(100, 'y')]);
      const fields = Buffer.concat(Array.from({ length: 150 }, () => field));
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, 0, 1, fields)]));
      const more = frame(CONTINUATION, 0, 1, fields);
      for (let i = 0; i < 2000 && !socket.destroyed; ++i) {
        if (!socket.write(more)) {
          await Promise.race([new Promise((resolve) => { socket.once('drain', resolve); }), closed]);
        }
      }
      socket.destroy();
    });
    assert.ok(mib < 64, `${mib} MiB`);
  });

  it('settings and resets cost little each', async () => {
    const settings = await spend('20,000 SETTINGS', async () => {
      const socket = connectTo(deployment.socket);
      socket.on('error', () => {}).resume();
      const one = frame(SETTINGS, 0, 0, Buffer.from([0, 4, 0, 1, 0, 0]));
      socket.write(Buffer.concat([PREFACE, frame(SETTINGS, 0, 0), ...Array.from({ length: 20_000 }, () => one)]));
      await new Promise((resolve) => { socket.end(resolve); });
      socket.destroy();
    });
    assert.ok(settings.seconds < 5 && settings.mib < 20, JSON.stringify(settings));
    const resets = await spend('20,000 rapid resets', async () => {
      const session = http2.connect('http://localhost', { createConnection: () => connectTo(deployment.socket) });
      session.on('error', () => {});
      for (let i = 0; i < 200 && !session.destroyed; ++i) {
        const streams = Array.from({ length: 100 }, () => {
          const stream = session.request({ ':method': 'POST', ':path': `/${CREATE}`, 'content-type': 'application/grpc', te: 'trailers' });
          stream.on('error', () => {});
          stream.close(http2.constants.NGHTTP2_CANCEL);
          return new Promise((resolve) => { stream.on('close', resolve); });
        });
        await Promise.all(streams);
      }
      session.destroy();
    });
    assert.ok(resets.seconds < 20 && resets.mib < 256, JSON.stringify(resets));
  });
});
