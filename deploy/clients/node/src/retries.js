// Repeats an attempt until it succeeds, fails for good, or has no time left.
import { setTimeout as pause } from 'node:timers/promises';
import { AssertiondError } from './errors.js';

const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export function checkTimeout(timeoutMs) {
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0 && timeoutMs <= LONGEST_TIMER_MS)) {
    throw new RangeError(`timeoutMs must be a positive number of milliseconds, not ${String(timeoutMs)}`);
  }
}

// attempt: gets the milliseconds that are left. closed: an AbortSignal that ends the waiting.
export async function retrying(timeoutMs, closed, attempt) {
  const deadline = performance.now() + timeoutMs;
  let left = timeoutMs;
  for (let backoff = FIRST_PAUSE_MS; ; backoff = Math.min(2 * backoff, LONGEST_PAUSE_MS)) {
    try {
      return await attempt(left);
    } catch (error) {
      if (!(error instanceof AssertiondError)) throw error;
      // Jitter, so that callers refused together do not come back together. Never earlier than the server asks.
      const wait = error.retryAfterMs === undefined
        ? backoff * (0.5 + Math.random() / 2) : error.retryAfterMs * (1 + Math.random() / 5);
      if (!error.retryable || performance.now() + wait >= deadline) throw error;
      await pause(wait, undefined, { signal: closed }).catch(() => { throw error; });
      left = deadline - performance.now();
      if (left <= 0) throw error;
    }
  }
}
