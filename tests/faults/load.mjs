// A constant load: callers in a closed loop, each on a connection of its own. Every assertion is verified by jose
// against the JWK Set of the start, and no jti may come twice.
import grpc from '@grpc/grpc-js';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { AssertionService, Caller } from '../e2e/caller.mjs';

export const AUDIENCE = 'https://localhost/token';
const GRACE = 0.5;      // seconds after its deadline by which a call must have ended
const MOST_LATE = 50;     // milliseconds that a caller with a rate catches up
const AFTER_REFUSAL = 5;  // milliseconds until a caller who was refused tries again

export class Load {
  #loops;
  #going = true;
  #jtis = new Set();
  #seen = Load.#nothing();
  #waiting = [];

  // What was promised and not kept, ever. Must stay empty.
  broken = [];

  // Answered and verified, ever.
  total = 0;

  // clients: ids of clients with a key; each caller asks for all of them in turn. seconds: every call's deadline. rate:
  // calls a second of all callers together, if they shall not ask as fast as they can.
  static async start(socket, clients, { callers = 8, seconds = 8, rate = Infinity } = {}) {
    const load = new Load();
    const asking = new Caller(AssertionService, socket);
    const jwks = new Map();
    for (const client of clients) {
      const answer = await asking.call('GetJwks', { client_id: client });
      jwks.set(client, createLocalJWKSet(JSON.parse(answer.jwks)));
    }
    asking.close();
    load.#loops = Array.from({ length: callers }, (_, i) => load.#callAgainAndAgain(socket, jwks, i, seconds, callers / rate));
    return load;
  }

  // What happened since the last look: { answered, refused: by status, slowest: milliseconds of an answered call }.
  take() {
    const seen = this.#seen;
    this.#seen = Load.#nothing();
    return seen;
  }

  // Resolves with the time (performance.now) at which calls that begin now or later have been answered, for each client.
  answered() {
    return new Promise((resolve) => { this.#waiting.push({ since: performance.now(), clients: new Set(), resolve }); });
  }

  // Resolves when so many more calls have been answered.
  async more(calls) {
    const enough = this.total + calls;
    while (this.total < enough) await this.answered();
  }

  // Calls under way end first.
  async stop() {
    this.#going = false;
    await Promise.all(this.#loops);
  }

  static #nothing() {
    return { answered: 0, refused: {}, slowest: 0 };
  }

  async #callAgainAndAgain(socket, jwks, offset, seconds, period) {
    const caller = new Caller(AssertionService, socket);
    const clients = [...jwks.keys()];
    let due = performance.now();
    for (let turn = offset; this.#going; ++turn) {
      due = Math.max(due + period * 1000, performance.now() - MOST_LATE);
      if (due > performance.now()) await new Promise((resolve) => { setTimeout(resolve, due - performance.now()); });
      const client = clients[turn % clients.length];
      const began = performance.now();
      try {
        const answer = await caller.call('CreateAssertion', { client_id: client, audience: AUDIENCE }, seconds);
        this.#seen.slowest = Math.max(this.#seen.slowest, performance.now() - began);
        await this.#verify(client, answer, jwks.get(client));
        this.#seen.answered += 1;
        this.total += 1;
        this.#tell(client, began, clients.length);
      } catch (error) {
        const status = grpc.status[error.code] ?? `${error}`;
        if (!(error.code in grpc.status)) this.broken.push(`no status: ${error.stack}`);
        this.#seen.refused[status] = (this.#seen.refused[status] ?? 0) + 1;
        await new Promise((resolve) => { setTimeout(resolve, AFTER_REFUSAL); });
      }
      const took = performance.now() - began;
      if (took > (seconds + GRACE) * 1000) this.broken.push(`a call took ${Math.round(took)} ms`);
    }
    caller.close();
  }

  async #verify(client, answer, jwks) {
    const options = { issuer: client, subject: client, audience: AUDIENCE };
    const { payload } = await jwtVerify(answer.assertion, jwks, options).catch((error) => {
      this.broken.push(`an assertion of ${client} does not verify: ${error}: ${answer.assertion}`);
      return { payload: { jti: answer.jti } };
    });
    if (this.#jtis.has(payload.jti) || payload.jti !== answer.jti) this.broken.push(`jti ${payload.jti} came twice`);
    this.#jtis.add(payload.jti);
  }

  #tell(client, began, all) {
    this.#waiting = this.#waiting.filter(({ since, clients, resolve }) => {
      if (began >= since) clients.add(client);
      if (clients.size === all) resolve(performance.now());
      return clients.size < all;
    });
  }
}
