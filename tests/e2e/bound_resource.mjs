// A resource that takes its access token with a DPoP proof of the token's key alone (RFC 9449 section 7), and wants a nonce of
// its own in each proof (section 9).
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { EmbeddedJWK, calculateJwkThumbprint, jwtVerify } from 'jose';

export class BoundResource {
  withholdsNonce = false;   // breaks section 8
  answers = [];   // to each request: 'ok', or the error of RFC 6750 section 3.1 and RFC 9449
  #nonce = randomBytes(9).toString('base64url');
  #jtis = new Set();

  // token: what it takes; jkt: the thumbprint of the token's key, as introspection or the token itself would tell.
  static async start(token, jkt) {
    const made = Object.assign(new BoundResource(), { token, jkt });
    made.server = http.createServer(async (request, response) => {
      const error = await made.#decide(request).catch(() => 'invalid_dpop_proof');
      made.answers.push(error ?? 'ok');
      const refusal = { 'WWW-Authenticate': `DPoP error="${error}"`, ...made.withholdsNonce ? {} : { 'DPoP-Nonce': made.#nonce } };
      response.writeHead(error ? 401 : 200, error ? refusal : {}).end(error ?? 'the resource');
    }).listen(0, '127.0.0.1');
    await once(made.server, 'listening');
    made.url = `http://127.0.0.1:${made.server.address().port}/orders`;
    return made;
  }

  // The error, if there is one.
  async #decide({ method, headers: { authorization, dpop } }) {
    if (authorization !== `DPoP ${this.token}`) return 'invalid_token';
    const { payload, protectedHeader } = await jwtVerify(dpop, EmbeddedJWK, { typ: 'dpop+jwt' });
    if (payload.nonce !== this.#nonce) return 'use_dpop_nonce';
    if (await calculateJwkThumbprint(protectedHeader.jwk) !== this.jkt) return 'invalid_token';
    const ath = createHash('sha256').update(this.token).digest('base64url');
    const fits = payload.htm === method && payload.htu === this.url && payload.ath === ath && !this.#jtis.has(payload.jti);
    this.#jtis.add(payload.jti);
    return fits ? undefined : 'invalid_dpop_proof';
  }

  close() { this.server.close(); }
}
