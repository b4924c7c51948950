// One HTTP/2 connection of which a test decides each frame that matters: a call may send its headers and no message.
import http2 from 'node:http2';
import { connect as connectTo } from 'node:net';
import { connect as connectTls } from 'node:tls';
import grpc from '@grpc/grpc-js';

export class RawConnection {
  #socket;

  // Over the Unix socket of that path.
  static local(socket) {
    return new RawConnection(connectTo(socket));
  }

  // Over TLS, as the holder of identity: { cert, key }.
  static tls(port, ca, identity) {
    return new RawConnection(connectTls({ host: '127.0.0.1', port, ca, ...identity, ALPNProtocols: ['h2'], servername: 'localhost' }));
  }

  constructor(socket) {
    this.#socket = socket;
    this.session = http2.connect('http://localhost', { createConnection: () => socket });
    this.session.on('error', () => {});
    this.closed = new Promise((resolve) => { this.session.on('close', resolve); });
  }

  // Sends the headers of a call. Returns { send(message), ended }: ended is a promise of { code, details, messages } once
  // the call has ended, whatever ended it.
  call(method, headers = {}) {
    const stream = this.session.request({ ':method': 'POST', ':path': `/${method}`, 'content-type': 'application/grpc',
      te: 'trailers', ...headers });
    let status = {};
    const parts = [];
    const take = (received) => { if (received['grpc-status'] !== undefined) status = received; };
    const ended = new Promise((resolve) => {
      stream.on('response', take).on('trailers', take).on('error', () => {});
      stream.on('data', (part) => parts.push(part));
      stream.on('close', () => resolve({
        code: status['grpc-status'] === undefined ? 'NONE' : grpc.status[status['grpc-status']],
        details: decodeURIComponent(status['grpc-message'] ?? ''), octets: Buffer.concat(parts),
      }));
    });
    return {
      ended,
      // A message as it stands on the wire, behind its five octets; compressed says what the first of them says.
      send(octets, { compressed = false, end = true } = {}) {
        const frame = Buffer.alloc(5);
        frame.writeUInt8(compressed ? 1 : 0);
        frame.writeUInt32BE(octets.length, 1);
        if (stream.destroyed) return;
        stream.write(Buffer.concat([frame, octets]));
        if (end) stream.end();
      },
    };
  }

  close() {
    this.session.destroy();
    this.#socket.destroy();
  }
}

// A message whose fields, by number, are integers, strings or messages, each less than 128 or of fewer octets.
export const message = (fields) => Buffer.concat(Object.entries(fields).map(([number, value]) => (
  typeof value === 'number' ? Buffer.from([Number(number) << 3, value])
    : Buffer.concat([Buffer.from([(Number(number) << 3) | 2, value.length]), Buffer.from(value)]))));
