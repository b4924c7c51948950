// Stands in for WSO2 Identity Server's Application Management REST API: applications with a certificate slot and an
// OpenID Connect configuration, behaving as WSO2's sources say. Requests pass through Prism, which knows WSO2's own
// description but neither its base path nor its silences:
//
//   client -> front (base path, record, faults) -> Prism -> the applications
import { X509Certificate, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { calculateJwkThumbprint } from 'jose';
import { startPrism } from './prism.mjs';
import { selfSigned } from './tls.mjs';

const DESCRIPTION = './wso2/applications.yaml';
const BASE_PATH = /^(?:\/t\/[\w.]+)?\/api\/server\/v1(?=\/)/;
const FIRST_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/;

// A refusal as WSO2 words it.
class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
    this.body = { code: `APP-6${status}1`, message, description: `${message} That is all.`, traceId: randomUUID() };
  }
}

export class Wso2StandIn {
  applications = new Map();
  tokens = new Set();
  requests = [];  // { method, url, authorization, body, at } as they came; at: performance.now()
  faults = [];    // what becomes of coming requests: { method, ignore } or { method, status, headers, body };
                  // each once, in order; { method } alone lets one pass
  #provider;

  // provider: an OpenIdProvider that is to verify each client's assertions with what is in its application's slot.
  static async start({ tls, provider } = {}) {
    const standIn = new Wso2StandIn();
    standIn.#provider = provider;
    const inner = await listen(http.createServer((request, response) => standIn.#serve(request, response)));
    const prism = await startPrism(DESCRIPTION, `http://127.0.0.1:${inner}`);
    const front = (request, response) => standIn.#forward(prism, request, response);
    if (tls) standIn.certificate = selfSigned();
    const port = await listen(tls ? https.createServer(standIn.certificate, front) : http.createServer(front));
    standIn.origin = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
    return standIn;
  }

  // An application as the console would have made it. Returns its id.
  async add(clientId) {
    const id = randomUUID();
    this.applications.set(id, {
      application: { id, name: `application of ${clientId}`, clientId, description: 'kept',
        advancedConfigurations: { skipLoginConsent: true } },
      oidc: {
        clientId, clientSecret: `secret of ${clientId}`, state: 'ACTIVE',
        grantTypes: ['client_credentials', 'authorization_code'], callbackURLs: ['https://client.example/callback'],
        publicClient: false, pkce: { mandatory: true, supportPlainTransformAlgorithm: false },
        accessToken: { type: 'JWT', userAccessTokenExpiryInSeconds: 3600, applicationAccessTokenExpiryInSeconds: 3601 },
        clientAuthentication: { tokenEndpointAuthMethod: 'client_secret_basic' },
      },
    });
    await this.#tellProvider();
    return id;
  }

  slot(id) {
    return this.applications.get(id).application.advancedConfigurations.certificate;
  }

  // As somebody at the console would.
  async setSlot(id, certificate) {
    this.applications.get(id).application.advancedConfigurations.certificate = certificate;
    await this.#tellProvider();
  }

  async #forward(prism, request, response) {
    const body = await bodyOf(request);
    const { method, url, headers } = request;
    this.requests.push({ method, url, authorization: headers.authorization, body, at: performance.now() });
    const at = this.faults.findIndex((fault) => fault.method === method);
    const fault = at === -1 ? undefined : this.faults.splice(at, 1)[0];
    if (fault?.status) {
      response.writeHead(fault.status, fault.headers).end(fault.body);
    } else if (fault?.ignore) {
      response.writeHead(200).end();
    } else if (!BASE_PATH.test(url)) {
      response.writeHead(404).end();
    } else {
      const answer = await fetch(prism + url.replace(BASE_PATH, ''), {
        method, body: body || undefined,
        headers: Object.fromEntries(['accept', 'authorization', 'content-type'].filter((name) => headers[name])
          .map((name) => [name, headers[name]])),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' });
      response.end(await answer.text());
    }
  }

  async #serve(request, response) {
    try {
      send(response, 200, await this.#answer(request, await bodyOf(request)));
    } catch (error) {
      const refusal = error instanceof Refusal ? error : new Refusal(500, error.message);
      send(response, refusal.status, refusal.body);
    }
  }

  async #answer({ method, url, headers }, body) {
    if (!this.tokens.has(headers.authorization?.replace(/^Bearer /, ''))) throw new Refusal(401, 'Unauthorized.');
    const [, id, rest] = /^\/applications\/([\w-]+)(.*)$/.exec(url);
    const found = this.applications.get(id);
    if (!found) throw new Refusal(404, 'Application not found.');
    switch (`${method} ${rest}`) {
      case 'GET ': return found.application;
      case 'PATCH ': return this.#patch(found.application, JSON.parse(body));
      case 'GET /inbound-protocols/oidc': return found.oidc;
      case 'PUT /inbound-protocols/oidc': return this.#put(found, JSON.parse(body));
      default: throw new Refusal(404, 'No such resource.');
    }
  }

  async #patch(application, { advancedConfigurations: { certificate, ...more } = {}, ...changes }) {
    Object.assign(application, changes);
    Object.assign(application.advancedConfigurations, more);
    if (certificate?.type === 'PEM') {
      if (!certificate.value.startsWith('-') || !FIRST_CERTIFICATE.test(certificate.value)) {
        throw new Refusal(400, 'Invalid certificate.');
      }
      await this.setSlot(application.id, certificate);
    } else if (certificate?.type === 'JWKS') {
      await this.setSlot(application.id, certificate);
    }
    // any other type is ignored in silence
  }

  // Replaces the whole: what is not sent is gone.
  async #put(found, oidc) {
    const authentication = oidc.clientAuthentication ?? {};
    const { tokenEndpointAuthMethod: method, tokenEndpointAllowReusePvtKeyJwt: reuse } = authentication;
    if (!oidc.grantTypes?.length) throw new Refusal(400, 'Grant types are required.');
    if (oidc.clientId !== found.oidc.clientId || oidc.clientSecret !== found.oidc.clientSecret) {
      throw new Refusal(400, 'Client id or secret cannot be changed.');
    }
    if ((method === 'private_key_jwt') !== (typeof reuse === 'boolean')) {
      throw new Refusal(400, 'tokenEndpointAllowReusePvtKeyJwt goes with private_key_jwt alone.');
    }
    found.oidc = oidc;
    await this.#tellProvider();
  }

  // The token endpoint verifies with the slot's first certificate, for clients that authenticate by private_key_jwt.
  async #tellProvider() {
    if (!this.#provider) return;
    const clients = [];
    for (const { application, oidc } of this.applications.values()) {
      if (oidc.clientAuthentication.tokenEndpointAuthMethod !== 'private_key_jwt') continue;
      const { certificate } = application.advancedConfigurations;
      const keys = [];
      if (certificate?.type === 'PEM') {
        const [first] = FIRST_CERTIFICATE.exec(certificate.value);
        const jwk = new X509Certificate(first).publicKey.export({ format: 'jwk' });
        keys.push({ ...jwk, kid: await calculateJwkThumbprint(jwk) });
      }
      clients.push({ client_id: application.clientId, jwks: { keys } });
    }
    this.#provider.register(clients);
  }
}

// With its length: Prism's client takes the end of a chunked answer for a broken connection in Debian 13's Node.js.
function send(response, status, content) {
  const body = content ? JSON.stringify(content) : '';
  response.setHeader('content-length', Buffer.byteLength(body));
  if (content) response.setHeader('content-type', 'application/json');
  response.writeHead(status).end(body);
}

async function listen(server) {
  server.listen(0, '127.0.0.1').unref();
  await once(server, 'listening');
  return server.address().port;
}

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
