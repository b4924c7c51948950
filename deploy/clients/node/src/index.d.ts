// Requests and replies are generated from the protos: types/ describes each field.
import type { CreateAssertionRequest, CreateDpopProofRequest, CreateRequestObjectRequest, GetAccessTokenRequest,
  GetCertificateRequest, GetJwksRequest } from '../types/requests.js';
import type { CreateAssertionResponse, CreateDpopProofResponse, CreateRequestObjectResponse, GetAccessTokenResponse,
  GetCertificateResponse, GetJwksResponse } from '../types/replies.js';

export type * from '../types/requests.js';
export type * from '../types/replies.js';

type Pem = string | Uint8Array;
type For<Request> = Request & { clientId: string };

export interface ClientOptions {
  /** Mutual TLS: the authorities of the server's certificate, and this caller's certificate and key. */
  tls?: { ca: Pem; certificate: Pem; key: Pem };
  /** Milliseconds for a whole call, retries included. Default: 5000. */
  timeoutMs?: number;
}

export interface CallOptions {
  /** Milliseconds for this call, retries included. */
  timeoutMs?: number;
}

/** One connection to assertiond. Keep one for the life of the process. Every method rejects with AssertiondError. */
export class Client {
  /** server: unix:/path, or HOST:PORT together with tls. */
  constructor(server: string, options?: ClientOptions);
  createAssertion(request: For<CreateAssertionRequest>, options?: CallOptions): Promise<CreateAssertionResponse>;
  createDpopProof(request: For<CreateDpopProofRequest>, options?: CallOptions): Promise<CreateDpopProofResponse>;
  createRequestObject(request: For<CreateRequestObjectRequest>, options?: CallOptions): Promise<CreateRequestObjectResponse>;
  getAccessToken(request: For<GetAccessTokenRequest>, options?: CallOptions): Promise<GetAccessTokenResponse>;
  getCertificate(request: For<GetCertificateRequest>, options?: CallOptions): Promise<GetCertificateResponse>;
  getJwks(request: For<GetJwksRequest>, options?: CallOptions): Promise<GetJwksResponse>;
  /** Many assertions in flight at once. */
  stream(): AssertionStream;
  close(): void;
}

/** Sends requests without waiting for the answers; at most 256 are in flight. Opens the stream anew after it broke. */
export interface AssertionStream {
  submit(request: For<CreateAssertionRequest>, options?: CallOptions): Promise<CreateAssertionResponse>;
  /** Takes no more requests and waits for the answers that are owed. */
  close(): Promise<void>;
}

export type Code = 'CANCELLED' | 'UNKNOWN' | 'INVALID_ARGUMENT' | 'DEADLINE_EXCEEDED' | 'NOT_FOUND' | 'ALREADY_EXISTS' |
  'PERMISSION_DENIED' | 'RESOURCE_EXHAUSTED' | 'FAILED_PRECONDITION' | 'ABORTED' | 'OUT_OF_RANGE' | 'UNIMPLEMENTED' |
  'INTERNAL' | 'UNAVAILABLE' | 'DATA_LOSS' | 'UNAUTHENTICATED';

/** assertiond refused the request or could not be reached. */
export class AssertiondError extends Error {
  private constructor();
  readonly code: Code;
  /** Milliseconds that the server asks to wait. */
  readonly retryAfterMs: number | undefined;
  readonly retryable: boolean;
}
