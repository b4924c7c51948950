// Calls of assertiond's services with a deadline and with retries.
import { setMaxListeners } from 'node:events';
import grpc from '@grpc/grpc-js';
import { AssertiondError, fromCall } from './errors.js';
import { checkTimeout, retrying } from './retries.js';
import { whyClosed } from './socket-access.js';
import { AssertionStream } from './stream.js';
import { checkRequest, methods } from './wire.js';

const DEFAULT_TIMEOUT_MS = 5000;
const CHANNEL_OPTIONS = {
  // gRPC waits up to two minutes between attempts to connect; a restarted server must be found sooner.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // close() must end the connection, which clients of one address would share.
  'grpc.use_local_subchannel_pool': 1,
};

function credentialsOf(server, tls) {
  if (tls === undefined) {
    if (!server.startsWith('unix:')) {
      throw new TypeError(`server "${server}" needs the option tls: without it only unix:/path is allowed`);
    }
    return grpc.credentials.createInsecure();  // the kernel tells the server who calls
  }
  const { ca, certificate, key } = tls;
  for (const [name, pem] of Object.entries({ ca, certificate, key })) {
    if (!pem) throw new TypeError(`tls.${name} is missing: it is a string or Buffer of PEM`);
  }
  return grpc.credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
}

// One connection to assertiond. Keep one for the life of the process.
export class Client {
  #channel;
  #socket;  // undefined: it is no socket of this machine
  #timeoutMs;
  #calls = new Set();
  #closed = new AbortController();

  // server: unix:/path, or HOST:PORT together with tls: { ca, certificate, key }, each PEM.
  // timeoutMs: for a whole call, retries included.
  constructor(server, { tls, timeoutMs = DEFAULT_TIMEOUT_MS } = {}) {
    if (typeof server !== 'string') throw new TypeError('server must be unix:/path or HOST:PORT');
    checkTimeout(timeoutMs);
    this.#timeoutMs = timeoutMs;
    this.#socket = tls === undefined ? server : undefined;
    this.#channel = new grpc.Client(server, credentialsOf(server, tls), CHANNEL_OPTIONS);
    setMaxListeners(0, this.#closed.signal);  // each call that waits to be repeated listens
  }

  createAssertion(request, options) {
    return this.#call(methods.createAssertion, request, options);
  }

  createDpopProof(request, options) {
    return this.#call(methods.createDpopProof, request, options);
  }

  createRequestObject(request, options) {
    return this.#call(methods.createRequestObject, request, options);
  }

  getAccessToken(request, options) {
    return this.#call(methods.getAccessToken, request, options);
  }

  getCertificate(request, options) {
    return this.#call(methods.getCertificate, request, options);
  }

  getJwks(request, options) {
    return this.#call(methods.getJwks, request, options);
  }

  // Many assertions in flight at once. Returns an AssertionStream.
  stream() {
    const { path, requestSerialize, responseDeserialize } = methods.createAssertions;
    const open = () => this.#track(this.#channel.makeBidiStreamRequest(path, requestSerialize, responseDeserialize));
    return new AssertionStream(open, { timeoutMs: this.#timeoutMs, closed: this.#closed.signal });
  }

  // Calls that are under way fail.
  close() {
    this.#closed.abort();
    for (const call of this.#calls) call.cancel();
    this.#channel.close();
  }

  #track(call) {
    this.#calls.add(call);
    return call.on('status', () => this.#calls.delete(call));
  }

  // No retry opens a socket that this process may not open.
  #failure(error) {
    const closed = error.code === 'UNAVAILABLE' && this.#socket !== undefined ? whyClosed(this.#socket) : undefined;
    return closed === undefined ? error : new AssertiondError('PERMISSION_DENIED', closed);
  }

  async #call(method, request, { timeoutMs = this.#timeoutMs } = {}) {
    checkTimeout(timeoutMs);
    checkRequest(request, method.requestType.type);
    if (this.#closed.signal.aborted) throw new Error('the client is closed');
    return retrying(timeoutMs, this.#closed.signal, (left) => new Promise((resolve, reject) => {
      this.#track(this.#channel.makeUnaryRequest(
        method.path, method.requestSerialize, method.responseDeserialize, request, { deadline: Date.now() + left },
        (error, reply) => { if (error) reject(this.#failure(fromCall(error))); else resolve(reply); },
      ));
    }));
  }
}
