// The parties' SDKs, each made to send an assertion that assertiond signed, by the way that the SDK has for it.
import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { ConfidentialClientApplication } from '@azure/msal-node';
import { Connection } from '@jsforce/jsforce-node';
import { createAppAuth } from '@octokit/auth-app';
import { request as githubRequest } from '@octokit/request';
import apple from 'apple-signin-auth';
import docusign from 'docusign-esign';
import { JWT } from 'google-auth-library';
import { VECTORS, thumbprint } from './party_stand_in.mjs';
import { selfSigned } from './tls.mjs';

// Keys in memory, for the assertions that SDKs sign themselves.
const { key, cert } = selfSigned();
export const rsa = { privateKey: createPrivateKey(key).export({ type: 'pkcs8', format: 'pem' }), certificate: cert };
export const ec = generateKeyPairSync('ec', { namedCurve: 'P-256', publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' } });

// onRequest sees the form that the library is about to send, and may change it.
function googleClient(standIn, onRequest) {
  const { client_id: email, scopes } = VECTORS.google.client;
  const client = new JWT({ email, scopes, subject: VECTORS.google.request.subject, key: rsa.privateKey });
  client.transporter.interceptors.request.add({
    async resolved(config) {
      await onRequest(config.data);
      return { ...config, url: new URL(standIn.locate('google', config.url)) };
    },
  });
  return client;
}

function docusignClient(standIn) {
  const { interceptors } = createRequire(createRequire(import.meta.url).resolve('docusign-esign'))('axios');
  interceptors.request.clear();
  interceptors.request.use((config) => ({ ...config, baseURL: standIn.locate('docusign', config.baseURL) }));
  return new docusign.ApiClient({ basePath: 'https://demo.docusign.net/restapi' });
}

async function entraToken(party, standIn, credential, onRequest = () => {}) {
  const { client_id: clientId, audiences: [endpoint] } = VECTORS[party].client;
  const authority = endpoint.replace('/oauth2/v2.0/token', '');
  const application = new ConfidentialClientApplication({
    auth: { clientId, authority, knownAuthorities: [new URL(authority).host], ...credential,
      authorityMetadata: JSON.stringify({ issuer: `${authority}/v2.0`, token_endpoint: endpoint,
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`, jwks_uri: `${authority}/discovery/v2.0/keys` }) },
    system: { networkClient: {
      sendGetRequestAsync: assert.fail,
      async sendPostRequestAsync(url, { headers, body }) {
        onRequest(new URLSearchParams(body));
        const answer = await fetch(standIn.locate(party, url), { method: 'POST', headers, body });
        return { headers: {}, status: answer.status, body: await answer.json() };
      },
    } },
  });
  return (await application.acquireTokenByClientCredential({ scopes: ['https://graph.microsoft.com/.default'] })).accessToken;
}

const entra = (party, thumbprints) => ({
  sdk: '@azure/msal-node, clientAssertion',
  send: (standIn, sign) => entraToken(party, standIn, { clientAssertion: sign }),
  async own(standIn) {
    let own;
    await entraToken(party, standIn, { clientCertificate: { ...thumbprints, privateKey: rsa.privateKey } },
      (form) => { own = form.get('client_assertion'); });
    return own;
  },
});

// `send` has the SDK ask for a token with the assertion that `sign` returns, and returns the token or throws. `own` returns
// the assertion that the SDK signs with a key in memory; jsforce signs none.
export const SDKS = {
  'github-app': {
    sdk: '@octokit/auth-app, createJwt',
    async send(standIn, sign) {
      const auth = createAppAuth({ appId: VECTORS['github-app'].client.client_id, installationId: 7,
        request: githubRequest.defaults({ baseUrl: `${standIn.origin}/github-app` }),
        createJwt: async () => ({ jwt: await sign(), expiresAt: new Date(Date.now() + 600_000).toISOString() }) });
      return (await auth({ type: 'installation' })).token;
    },
    async own() {
      const auth = createAppAuth({ appId: VECTORS['github-app'].client.client_id, privateKey: rsa.privateKey });
      return (await auth({ type: 'app' })).token;
    },
  },

  'entra-id': entra('entra-id', { thumbprint: thumbprint(cert, 'sha1', 'hex') }),
  'entra-id, PS256': entra('entra-id, PS256', { thumbprintSha256: thumbprint(cert, 'sha256', 'hex') }),

  'google': {
    sdk: 'google-auth-library, an interceptor of the transporter',
    async send(standIn, sign) {
      return (await googleClient(standIn, async (form) => form.set('assertion', await sign())).getAccessToken()).token;
    },
    async own(standIn) {
      let own;
      await googleClient(standIn, async (form) => { own = form.get('assertion'); }).getAccessToken();
      return own;
    },
  },

  'salesforce': {
    sdk: '@jsforce/jsforce-node, authorize',
    async send(standIn, sign) {
      const connection = new Connection({ loginUrl: `${standIn.origin}/salesforce` });
      await connection.authorize({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: await sign() });
      return connection.accessToken;
    },
  },

  'docusign': {
    sdk: 'docusign-esign, sendJWTTokenRequest',
    async send(standIn, sign) {
      return (await docusignClient(standIn).sendJWTTokenRequest(await sign())).body.access_token;
    },
    async own(standIn) {
      const { client_id: id, subject } = VECTORS.docusign.client;
      const { config } = await docusignClient(standIn)
        .requestJWTUserToken(id, subject, ['signature', 'impersonation'], rsa.privateKey, 600);
      return new URLSearchParams(config.data).get('assertion');
    },
  },

  'apple': {
    sdk: 'apple-signin-auth, clientSecret',
    async send(standIn, sign) {
      apple._setFetch((url, options) => fetch(standIn.locate('apple', url), options));
      const answer = await apple.getAuthorizationToken('a-code', { clientID: VECTORS.apple.client.client_id,
        redirectUri: 'https://shop.example/callback', clientSecret: await sign() });
      if (answer.error) throw new Error(answer.error_description);
      return answer.access_token;
    },
    async own() {
      const { client_id: clientID, issuer: teamID } = VECTORS.apple.client;
      return apple.getClientSecret({ clientID, teamID, keyIdentifier: VECTORS.apple.header.kid, privateKey: ec.privateKey });
    },
  },
};
