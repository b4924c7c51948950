// The error of a call that assertiond refused, and which errors are worth another attempt.
import grpc from '@grpc/grpc-js';
import { RetryInfo, Status } from './wire.js';

const RETRYABLE = new Set(['RESOURCE_EXHAUSTED', 'UNAVAILABLE']);
const EMPTY_NOTE = /\. Resolution note: $/;  // how grpc-js ends a message when it has no note

// assertiond refused the request or could not be reached.
// code: the name of a gRPC status code. retryAfterMs: how long the server asks to wait, or undefined.
export class AssertiondError extends Error {
  constructor(code, message, retryAfterMs) {
    super(message);
    this.name = 'AssertiondError';
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  get retryable() {
    return RETRYABLE.has(this.code);
  }
}

const named = (number) => grpc.status[number] ?? 'UNKNOWN';

// The error of a call's status: { code, details, metadata }.
export function fromCall({ code, details, metadata }) {
  const [octets] = metadata?.get('grpc-status-details-bin') ?? [];
  let delay;
  try {
    delay = octets && retryAfterMs(Status.deserialize(octets));
  } catch {
    // Details that are no google.rpc.Status say nothing; the code and the message still do.
  }
  return new AssertiondError(named(code), details?.replace(EMPTY_NOTE, ''), delay);
}

// The error of a google.rpc.Status on the stream.
export function fromStatus(status) {
  return new AssertiondError(named(status.code), status.message, retryAfterMs(status));
}

function retryAfterMs({ details }) {
  const any = details?.find((detail) => detail.type_url.endsWith('/google.rpc.RetryInfo'));
  const { retryDelay } = any ? RetryInfo.deserialize(any.value) : {};
  return retryDelay ? retryDelay.seconds * 1000 + retryDelay.nanos / 1e6 : undefined;
}
