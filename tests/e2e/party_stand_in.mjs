// A local stand-in for the parties whose SDKs sdk_acceptors.test.mjs drives. It takes an assertion out of the request where
// the party expects it, verifies the signature with the registered keys, and applies the party's published rules, which are
// `accepts` in tests/vectors/profiles.json. It answers as the party does, so that the SDK accepts or throws.
import { X509Certificate, createHash, createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import { compactVerify, decodeJwt, decodeProtectedHeader } from 'jose';

export const VECTORS = Object.fromEntries(JSON.parse(readFileSync(new URL('./profiles.json', import.meta.url), 'utf8'))
  .map((vector) => [vector.profile, vector]));
// One deployment signs for all parties, and each of its client ids is there once.
VECTORS.docusign = JSON.parse(JSON.stringify(VECTORS.docusign).replaceAll('6731de76', '6731de77'));
VECTORS['entra-id, PS256'] = bySha256(JSON.parse(JSON.stringify(VECTORS['entra-id']).replaceAll('6731de76', '6731de78')));

// Entra ID's other form: PS256 with x5t#S256.
function bySha256(vector) {
  const { x5t, x5c, ...header } = vector.header;
  return { ...vector,
    client: { ...vector.client, algorithm: 'PS256', header: ['x5t#S256'] },
    header: { ...header, 'alg': 'PS256', 'x5t#S256': 'n5EWH0NDPkmm3m22gNefYBWfLkrJFyYhoShGQoFYRAs' },
    accepts: { ...vector.accepts, header: { 'alg': ['PS256'], 'typ': ['JWT'], 'x5t': 'absent', 'x5t#S256': [] } },
    near_misses: [...vector.near_misses.filter(({ header: changed }) => !changed?.x5t && changed?.x5t !== null),
      { header: { 'x5t#S256': null } }, { header: { 'x5t#S256': x5t } }, { header: { x5t } }] };
}

export const VECTORS_NOW = 1_700_000_000;
const JWT_BEARER_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const JWT_BEARER_CLIENT = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
export const ACCESS_TOKEN = 'an-access-token';
const TOKEN_ANSWER = { access_token: ACCESS_TOKEN, token_type: 'Bearer', expires_in: 3600 };

// How each party is asked. `assertion` returns undefined when the request is not the documented one.
const oauthErrors = (status, error) => (why) => [status, { error, error_description: why }];
const grant = { assertion: ({ form }) => (form.get('grant_type') === JWT_BEARER_GRANT ? form.get('assertion') : undefined),
  accepted: TOKEN_ANSWER, refused: oauthErrors(400, 'invalid_grant') };
const entra = (party) => ({
  path: new URL(VECTORS[party].client.audiences[0]).pathname,
  assertion: ({ form }) => (form.get('client_assertion_type') === JWT_BEARER_CLIENT &&
    form.get('client_id') === VECTORS[party].client.client_id ? form.get('client_assertion') : undefined),
  accepted: TOKEN_ANSWER, refused: oauthErrors(401, 'invalid_client'),
});
const PARTIES = {
  'google': { ...grant, path: '/token' },
  'docusign': { ...grant, path: '/oauth/token' },
  'salesforce': { ...grant, path: '/services/oauth2/token',
    accepted: { ...TOKEN_ANSWER, instance_url: 'https://shop.my.salesforce.com', id: 'https://login.salesforce.com/id/1/2' } },
  'entra-id': entra('entra-id'),
  'entra-id, PS256': entra('entra-id, PS256'),
  'apple': { path: '/auth/token', assertion: ({ form }) => form.get('client_secret'),
    accepted: TOKEN_ANSWER, refused: oauthErrors(400, 'invalid_client') },
  'github-app': { path: '/app/installations/7/access_tokens',
    assertion: ({ authorization }) => /^bearer (\S+)$/i.exec(authorization)?.[1],
    accepted: { token: ACCESS_TOKEN, expires_at: '2100-01-01T00:00:00Z', permissions: {}, repository_selection: 'all' },
    refused: (why) => [401, { message: why }] },
};

export const thumbprint = (pem, algorithm, form = 'base64url') =>
  createHash(algorithm).update(new X509Certificate(pem).raw).digest(form);

// `wanted` is a list of values, in which null stands for the absent member; "absent"; or { matches: a regular expression }.
function takes(wanted, value) {
  if (wanted === 'absent') return value === undefined;
  if (wanted.matches) return typeof value === 'string' && new RegExp(wanted.matches).test(value);
  return wanted.some((one) => JSON.stringify(one) === JSON.stringify(value ?? null));
}

export class PartyStandIn {
  #server;
  #keys = new Map();
  #now;
  // The rule that refused the last assertion; '' when it was accepted.
  refusedBy;

  static async start() {
    const standIn = new PartyStandIn();
    standIn.#server = http.createServer((request, reply) => standIn.#serve(request, reply));
    await new Promise((resolve) => { standIn.#server.listen(0, '127.0.0.1', resolve); });
    standIn.#server.unref();
    standIn.origin = `http://127.0.0.1:${standIn.#server.address().port}`;
    return standIn;
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  // Runs `action` with the stand-in's clock stopped at `now`, for assertions that are wrong by one second.
  async stopClock(now, action) {
    this.#now = now;
    try {
      return await action(now);
    } finally {
      this.#now = undefined;
    }
  }

  // Registers a public key or certificate (PEM) with a party, as its console does. A party may have several.
  register(party, pem) {
    this.#keys.set(party, [...this.#keys.get(party) ?? [], pem]);
  }

  // Where a request of an SDK for `url` of the real party goes.
  locate(party, url) {
    return `${this.origin}/${encodeURI(party)}${new URL(url).pathname}`;
  }

  // What the party's rules say of the header, with the thumbprints of the certificates that are registered here.
  #headerRules(party) {
    const rules = { ...VECTORS[party].accepts.header };
    const certificates = this.#keys.get(party).filter((pem) => pem.includes('CERTIFICATE'));
    for (const [name, algorithm] of [['x5t', 'sha1'], ['x5t#S256', 'sha256']]) {
      if (Array.isArray(rules[name])) rules[name] = certificates.map((pem) => thumbprint(pem, algorithm));
    }
    return rules;
  }

  async #refusedBy(party, assertion) {
    if (!assertion) return 'request';
    const header = decodeProtectedHeader(assertion);
    const claims = decodeJwt(assertion);
    const rules = VECTORS[party].accepts;
    for (const [name, wanted] of Object.entries(this.#headerRules(party))) {
      if (!takes(wanted, header[name])) return `header.${name}`;
    }
    for (const [name, wanted] of Object.entries(rules.claims)) {
      if (name === 'nbf' ? claims.nbf === undefined : !takes(wanted, claims[name])) return `claims.${name}`;
    }
    const now = this.#now ?? Math.floor(Date.now() / 1000);
    for (const name of ['iat', 'exp']) if (!Number.isInteger(claims[name])) return `claims.${name}`;
    if (claims.iat > now || claims.nbf > now) return 'not yet valid';
    if (claims.exp <= now) return 'expired';
    if (claims.exp - (claims.nbf ?? claims.iat) > (rules.lifetime ?? Infinity)) return 'lifetime';
    if (claims.exp - now > (rules.ahead ?? Infinity)) return 'ahead';
    for (const pem of this.#keys.get(party)) {
      const key = createPublicKey(pem);
      if ((key.asymmetricKeyType === 'ec') !== header.alg.startsWith('ES')) continue;
      if (await compactVerify(assertion, key).then(() => true, () => false)) return '';
    }
    return 'signature';
  }

  async #serve(request, reply) {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const [, name, path] = /^\/([^/]+)(\/.*)$/.exec(decodeURI(request.url));
    const party = PARTIES[name];
    let [status, answer] = [404, { error: `${request.method} ${request.url} is not an endpoint of ${name}` }];
    if (request.method === 'POST' && path === party?.path) {
      const form = new URLSearchParams(Buffer.concat(chunks).toString());
      this.refusedBy = await this.#refusedBy(name, party.assertion({ form, authorization: request.headers.authorization }));
      [status, answer] = this.refusedBy ? party.refused(`refused by ${this.refusedBy}`)
        : [name === 'github-app' ? 201 : 200, party.accepted];
    }
    reply.writeHead(status, { 'content-type': 'application/json' });
    reply.end(JSON.stringify(answer));
  }
}
