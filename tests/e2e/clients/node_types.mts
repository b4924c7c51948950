// Compiled, never run: what the types of assertiond-client accept, and what they refuse.
import { AssertiondError, Client, type Code, type CreateAssertionResponse } from 'assertiond-client';

const client = new Client('localhost:1', { tls: { ca: '', certificate: '', key: new Uint8Array() }, timeoutMs: 100 });
const made: CreateAssertionResponse = await client.createAssertion({ clientId: 'orders', lifetime: { seconds: 60 } });
export const texts: string[] = [made.assertion, made.clientAssertionType, made.jti];
export const { accessToken } = await client.getAccessToken({ clientId: 'orders' }, { timeoutMs: 1 });
export const { der }: { der: Uint8Array } = await client.getCertificate({ clientId: 'orders' });

const stream = client.stream();
export const { jti } = await stream.submit({ clientId: 'orders', extraClaimsJson: '{}' });
await stream.close();

export function code(error: unknown): Code | undefined {
  return error instanceof AssertiondError && error.retryable && error.retryAfterMs !== undefined ? error.code : undefined;
}

// @ts-expect-error: the field is misspelt
await client.createAssertion({ clientId: 'orders', audiense: 'https://localhost' });
// @ts-expect-error: clientId is required
await client.createAssertion({ audience: 'https://localhost' });
// @ts-expect-error: all of tls is required
export const half = new Client('localhost:1', { tls: { ca: '' } });
// @ts-expect-error: no such code
export const wrong: Code = 'NO_SUCH_CODE';
