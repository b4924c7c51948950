// A real OpenID provider (oidc-provider) on a port of 127.0.0.1 that the system chooses.
//
//   node provider.mjs --clients FILE [--tls-certificate FILE] [--clock-rate N] [--strict] [--signed-requests] [--log-in-form] [--no-pushed-requests]
//
// FILE of --clients is a JSON list of client metadata (OpenID Connect Dynamic Client Registration 1.0, section 2),
// read anew at each look-up: clients can be registered once the provider's own URL is known.
// With --clock-rate its clock runs N times as fast from its start on, so that the 60 seconds for which it keeps a JWK Set
// at least take a test 60/N. With --tls-certificate it speaks https with a key made for this run, and writes the certificate there.
//
// With --strict it has its FAPI 2.0 profile on, and takes client assertions as the successor of RFC 7523 and FAPI 2.0 ask: typ
// client-authentication+jwt, and its issuer as the only audience, as a string.
//
// With --signed-requests authorization requests are signed request objects that are pushed (RFC 9101, RFC 9126), and DPoP proofs
// have a nonce (RFC 9449 section 8); stale_nonce in the first line is one that it gave three minutes ago.
//
// With --log-in-form a person logs in and consents in oidc-provider's own forms; without it everybody is let in.
//
// With --no-pushed-requests it takes authorization requests from the browser alone.
//
// Standard output, one JSON value a line: first {"issuer", "token_endpoint"}, then what the token endpoint decided:
// {"event": "grant.success", "client_id"} or {"event": "grant.error", "client_id", "error", "error_detail"}.
// It ends when its standard input ends.
import { createHmac, createPrivateKey, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { parseArgs } from 'node:util';
import Provider, { errors } from 'oidc-provider';
import { selfSigned } from './tls.mjs';

const { values: options } = parseArgs({
  options: {
    clients: { type: 'string' }, 'tls-certificate': { type: 'string' }, 'clock-rate': { type: 'string', default: '1' },
    strict: { type: 'boolean', default: false }, 'signed-requests': { type: 'boolean', default: false },
    'log-in-form': { type: 'boolean', default: false },
    'no-pushed-requests': { type: 'boolean', default: false },
  },
});

const RealDate = Date;
const beginning = RealDate.now();
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length > 0 ? given : [Date.now()]));
  }

  static now() {
    return Math.floor(beginning + (RealDate.now() - beginning) * Number(options['clock-rate']));
  }
};

// Standard output is for the events alone; oidc-provider writes notices there.
console.info = console.error;
const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// Keeps everything for the life of the process. oidc-provider's own store forgets after about 1,000 entries, and a
// provider that has forgotten a jti accepts the assertion again.
class EverlastingStore {
  static #entries = new Map();
  static #idByUid = new Map();
  #model;

  constructor(model) {
    this.#model = model;
  }

  #key(id) {
    return `${this.#model}:${id}`;
  }

  async find(id) {
    if (this.#model === 'Client') {
      return JSON.parse(readFileSync(options.clients, 'utf8')).find((client) => client.client_id === id);
    }
    return EverlastingStore.#entries.get(this.#key(id));
  }

  async findByUid(uid) {
    return this.find(EverlastingStore.#idByUid.get(uid));
  }

  async upsert(id, payload) {
    EverlastingStore.#entries.set(this.#key(id), payload);
    if (this.#model === 'Session') EverlastingStore.#idByUid.set(payload.uid, id);
  }

  async consume(id) {
    EverlastingStore.#entries.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    EverlastingStore.#entries.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const [key, payload] of EverlastingStore.#entries) {
      if (payload.grantId === grantId) EverlastingStore.#entries.delete(key);
    }
  }
}

function listener() {
  if (!options['tls-certificate']) return http.createServer();
  const credentials = selfSigned();
  writeFileSync(options['tls-certificate'], credentials.cert);
  return https.createServer(credentials);
}

const server = listener();
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const scheme = options['tls-certificate'] ? 'https' : 'http';
const issuer = `${scheme}://127.0.0.1:${server.address().port}`;

// The key goes by way of PEM: Node.js 20 can deadlock when it exports a key object that it generated itself.
const { privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { format: 'pem', type: 'spki' },
  privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
});
// oidc-provider's nonces: of each minute, from the secret. It takes those of two minutes before and after.
const nonceSecret = randomBytes(32);
function staleNonce() {
  const minute = Buffer.alloc(8);
  minute.writeUInt32BE(Math.floor(Date.now() / 60_000) - 3, 4);
  return createHmac('sha256', nonceSecret).update(minute).digest('base64url');
}

const signedRequests = {
  dPoP: { enabled: true, nonceSecret, requireNonce: () => true },
  pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
  requestObjects: { request: true, requireSignedRequestObject: true },
};

const provider = new Provider(issuer, {
  adapter: EverlastingStore,
  jwks: { keys: [{ ...createPrivateKey(privateKey).export({ format: 'jwk' }), alg: 'RS256', use: 'sig' }] },
  cookies: { keys: [randomBytes(32).toString('base64url')] },
  clientAuthMethods: ['private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
  },
  // Its own default lets an assertion live 15 seconds longer than it says.
  clockTolerance: 0,
  pkce: { required: () => true },
  scopes: ['openid', 'reports'],
  features: {
    devInteractions: { enabled: options['log-in-form'] }, clientCredentials: { enabled: true },
    resourceIndicators: { getResourceServerInfo: (context, resource) => ({ scope: 'reports', audience: resource,
      accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } }) },
    ...options.strict ? { fapi: { enabled: true, profile: '2.0' } } : {},
    ...options['signed-requests'] ? signedRequests : {},
    ...options['no-pushed-requests'] ? { pushedAuthorizationRequests: { enabled: false } } : {},
  },
  async assertJwtClientAuthClaimsAndHeader(context, claims, header) {
    if (!options.strict) return;
    if (header.typ !== 'client-authentication+jwt') throw new errors.InvalidClientAuth(`typ ${header.typ} is refused`);
    if (claims.aud !== issuer) throw new errors.InvalidClientAuth(`aud ${JSON.stringify(claims.aud)} is refused`);
  },
  ...options['log-in-form'] ? {} : { interactions: { url: (context, { uid }) => `/interaction/${uid}` } },
  findAccount: (context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

// Stands in for the person at the browser: signs in and consents to everything.
async function completeInteraction(request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'somebody' } });
    return;
  }
  const grant = new provider.Grant({ accountId: 'somebody', clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

provider.on('grant.success', (context) => report({ event: 'grant.success', client_id: context.oidc.client.clientId }));
provider.on('grant.error', (context, error) => report({
  event: 'grant.error',
  client_id: context.oidc.client?.clientId,
  error: error.error,
  error_detail: error.error_detail ?? error.error_description,
}));
provider.on('server_error', (context, error) => {
  process.stderr.write(`provider: ${error.stack}\n`);
});

const answer = provider.callback();
server.on('request', (request, response) => {
  if (options['log-in-form'] || !request.url.startsWith('/interaction/')) {
    answer(request, response);
    return;
  }
  completeInteraction(request, response).catch((error) => {
    process.stderr.write(`provider: ${error.stack}\n`);
    response.writeHead(500).end();
  });
});

process.stdin.on('end', () => process.exit(0)).resume();
report({ issuer, token_endpoint: `${issuer}/token`, stale_nonce: staleNonce() });
