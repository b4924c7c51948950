// Many assertions in flight on one stream, each answered by its tag.
import { AssertiondError, fromCall, fromStatus } from './errors.js';
import { checkTimeout, retrying } from './retries.js';
import { checkRequest, duration, methods } from './wire.js';

const IN_FLIGHT = 256;  // what the server takes on one stream
const LONGEST_MS = 30_000;  // what the server lets a request wait
const late = (what) => new AssertiondError('DEADLINE_EXCEEDED', what);

// One call of CreateAssertions and the answers that it owes.
class Connection {
  #call;
  #pending = new Map();
  #onAnswer;

  constructor(call, onAnswer) {
    this.#call = call;
    this.#onAnswer = onAnswer;
    this.broken = false;
    let status;
    call.on('data', (reply) => this.#answer(reply));
    call.on('error', () => {});  // the status says it
    call.on('status', (its) => { status = its; });
    // 'end' comes after the last answer was read, 'status' may come before.
    this.ended = new Promise((resolve) => { call.on('end', () => resolve(this.#end(status))); });
  }

  // Returns false if the stream has ended: nothing was sent then.
  send(message, settle) {
    if (this.broken) return false;
    this.#pending.set(message.tag, settle);
    this.#call.write(message);
    return true;
  }

  finish() {
    this.broken = true;
    this.#call.end();
  }

  cancel() {
    this.#call.cancel();
  }

  #answer({ tag, outcome, assertion, error }) {
    const settle = this.#pending.get(tag);
    if (!settle) return;
    this.#pending.delete(tag);
    this.#onAnswer();
    if (outcome === 'assertion') settle(undefined, assertion); else settle(fromStatus(error));
  }

  #end(status) {
    this.broken = true;
    const error = status?.code ? fromCall(status) : new AssertiondError('UNAVAILABLE', 'the server ended the stream');
    const owed = [...this.#pending.values()];
    this.#pending.clear();
    for (const settle of owed) {
      this.#onAnswer();
      settle(error);
    }
  }
}

// Sends requests without waiting for the answers. Opens the stream anew after it broke.
export class AssertionStream {
  #open;
  #timeoutMs;
  #aborted;
  #connection;
  #free = IN_FLIGHT;
  #waiting = new Set();
  #submitted = new Set();
  #closed = false;
  #tag = 0;

  constructor(open, { timeoutMs, closed }) {
    this.#open = open;
    this.#timeoutMs = timeoutMs;
    this.#aborted = closed;
  }

  // Resolves to a CreateAssertionResponse. Waits for a place while 256 requests are in flight.
  async submit(request, { timeoutMs = this.#timeoutMs } = {}) {
    checkTimeout(timeoutMs);
    checkRequest(request, methods.createAssertion.requestType.type);
    if (this.#closed || this.#aborted.aborted) throw new Error('the stream is closed');
    const answer = retrying(timeoutMs, this.#aborted, (left) => this.#attempt(request, left));
    this.#submitted.add(answer);
    try {
      return await answer;
    } finally {
      this.#submitted.delete(answer);
    }
  }

  // Takes no more requests and waits for the answers that are owed: each comes, or fails, by its deadline.
  async close() {
    this.#closed = true;
    await Promise.allSettled(this.#submitted);
    const connection = this.#connection;
    if (!connection || connection.broken) return;
    connection.finish();
    const timer = setTimeout(() => connection.cancel(), this.#timeoutMs);
    await connection.ended;
    clearTimeout(timer);
  }

  async #attempt(assertion, left) {
    const deadline = performance.now() + left;
    await this.#place(left);
    return new Promise((resolve, reject) => {
      // The server keeps the time too. This timer is for a server that does not answer at all.
      const remaining = Math.max(1, deadline - performance.now());
      const timer = setTimeout(() => reject(late('assertiond did not answer in time')), remaining);
      this.#send({ tag: ++this.#tag, assertion, timeout: duration(Math.min(remaining, LONGEST_MS)) }, (error, reply) => {
        clearTimeout(timer);
        if (error) reject(error); else resolve(reply);
      });
    });
  }

  #send(message, settle) {
    while (!this.#connection?.send(message, settle)) {
      this.#connection = new Connection(this.#open(), () => this.#release());
    }
  }

  // Takes one of the places, or waits for one.
  #place(left) {
    if (this.#free > 0) {
      this.#free -= 1;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const take = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(take);
        reject(late(`${IN_FLIGHT} requests are in flight and none was answered`));
      }, left);
      this.#waiting.add(take);
    });
  }

  // Hands a place to the request that waits longest.
  #release() {
    const [take] = this.#waiting;
    if (!take) {
      this.#free += 1;
      return;
    }
    this.#waiting.delete(take);
    take();
  }
}
