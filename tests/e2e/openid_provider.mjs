// The tests' side of provider.mjs: starts it, registers clients, plays the browser, and hears what it decided.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const PROGRAM = fileURLToPath(new URL('./provider.mjs', import.meta.url));
export const REDIRECT_URI = 'https://client.example/callback';
const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

export class OpenIdProvider {
  #clientsFile;
  #lines;
  #certificate;

  static async start({ tls = false, clockRate = 1, strict = false, signedRequests = false, logInForm = false,
    pushedRequests = true } = {}) {
    const provider = new OpenIdProvider();
    const folder = mkdtempSync(path.join(temporaryFolder(), 'provider-'));
    provider.#clientsFile = path.join(folder, 'clients.json');
    provider.register([]);
    const options = ['--clients', provider.#clientsFile, '--clock-rate', String(clockRate), ...strict ? ['--strict'] : [],
      ...signedRequests ? ['--signed-requests'] : [], ...logInForm ? ['--log-in-form'] : [],
      ...pushedRequests ? [] : ['--no-pushed-requests']];
    if (tls) {
      provider.caFile = path.join(folder, 'ca.pem');
      options.push('--tls-certificate', provider.caFile);
    }
    const child = startProcess(process.execPath, [PROGRAM, ...options], { log: path.join(folder, 'provider.log') });
    provider.#lines = new Lines(child, 'stdout');
    const ready = JSON.parse(await provider.#lines.next(new Deadline(30, 'the OpenID provider to be ready')));
    provider.issuer = ready.issuer;
    provider.tokenEndpoint = ready.token_endpoint;
    provider.staleNonce = ready.stale_nonce;
    if (tls) provider.#certificate = readFileSync(provider.caFile);
    return provider;
  }

  // Registers clients that authenticate by private_key_jwt, in place of those that were registered before.
  // clients: [{ client_id, jwks }] or [{ client_id, jwks_uri }]
  register(clients) {
    const next = `${this.#clientsFile}.next`;
    writeFileSync(next, JSON.stringify(clients.map((client) => ({
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'RS256',
      grant_types: ['client_credentials', 'authorization_code'],
      response_types: ['code'],
      redirect_uris: [REDIRECT_URI],
      ...client,
    }))));
    renameSync(next, this.#clientsFile);  // the provider never reads half a list
  }

  // What the provider decided on the next token request that no test has asked about yet, as one of its events.
  async decision() {
    return JSON.parse(await this.#lines.next(new Deadline(10, "the provider's event")));
  }

  // Forgets decisions that a failed test did not ask about.
  forgetDecisions() {
    this.#lines.discard();
  }

  // Presents an assertion as a client would (RFC 7523 section 2.2). Returns { status, answer }.
  async requestToken(assertion) {
    const { status, body } = await this.#exchange('POST', this.tokenEndpoint, {
      form: { grant_type: 'client_credentials', client_assertion_type: JWT_BEARER, client_assertion: assertion },
    });
    return { status, answer: JSON.parse(body) };
  }

  // Goes through the authorization code flow with PKCE (RFC 7636) up to the redirect. Returns { code, verifier }.
  async authorize(clientId) {
    const verifier = randomBytes(32).toString('base64url');
    const state = randomBytes(8).toString('hex');
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      redirect_uri: REDIRECT_URI,
      scope: 'openid',
      state,
      code_challenge: createHash('sha256').update(verifier).digest('base64url'),
      code_challenge_method: 'S256',
    });
    return { code: await this.authorizeAt(`${this.issuer}/auth?${query}`, state), verifier };
  }

  // Sends the browser to the authorization URL, and follows it to the client's redirect, which must have this state. Returns the code.
  async authorizeAt(url, state) {
    const cookies = new Map();
    let location = url;
    for (let hop = 0; hop < 10; ++hop) {
      const { status, headers, body } = await this.#exchange('GET', location, { cookies });
      assert.ok(headers.location, `a redirect from ${location}, got ${status} ${body}`);
      location = new URL(headers.location, location).href;
      if (location.startsWith(REDIRECT_URI)) {
        const answer = new URL(location).searchParams;
        assert.equal(answer.get('state'), state, location);
        assert.ok(answer.get('code'), location);
        return answer.get('code');
      }
    }
    throw new Error(`the provider redirects without end, last to ${location}`);
  }

  #exchange(method, url, { form, cookies = new Map() }) {
    const body = form && new URLSearchParams(form).toString();
    const headers = { accept: 'application/json' };
    if (body) headers['content-type'] = 'application/x-www-form-urlencoded';
    if (cookies.size > 0) headers.cookie = [...cookies].map((pair) => pair.join('=')).join('; ');
    const { request } = url.startsWith('https:') ? https : http;
    return new Promise((resolve, reject) => {
      const settings = { method, headers, ca: this.#certificate, agent: false, timeout: 10_000 };
      const outgoing = request(url, settings, (reply) => {
        for (const cookie of reply.headers['set-cookie'] ?? []) {
          const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
          if (value) cookies.set(name, value); else cookies.delete(name);
        }
        const chunks = [];
        reply.on('data', (chunk) => chunks.push(chunk));
        reply.on('error', reject);
        reply.on('end', () => resolve({
          status: reply.statusCode, headers: reply.headers, body: Buffer.concat(chunks).toString(),
        }));
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`${url} does not answer`)));
      outgoing.on('error', reject);
      outgoing.end(body);
    });
  }
}
