// A purchased access token is in the memory of the service once, as long as it is cached, and not at all afterwards.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AccessTokenService, Caller } from './caller.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { asRoot, Deadline, output } from './process.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const ME = `uid:${process.getuid()}`;

describe('an access token in the memory of the service', () => {
  let deployment;
  let endpoints;
  let caller;
  let authority;

  before(async () => {
    authority = await CertificateAuthority.found('token memory');
    endpoints = { http: await TokenEndpoint.start(), https: await TokenEndpoint.start(await authority.identity('IP:127.0.0.1')) };
    deployment = await Deployment.start(Object.entries(endpoints).map(([client_id, { url }]) => ({ client_id,
      audiences: [url], callers: [ME, 'dns:backend.example.org', 'uid:4242'], tokens: { token_endpoint: url, scopes: ['read', 'write'],
        ...(client_id === 'https' ? { ca_file: path.join(authority.folder, 'ca.pem') } : {}) } })),
    (folder) => ({ token_listen: `unix:${folder}/tokens.sock`, tls: mutualTls(folder, authority.certificate) }),
    (made) => {
      made.environment.LD_BIND_NOW = '1';  // as in deploy/systemd and deploy/container
      return made.makeTlsKey(authority);
    });
    for (const id of Object.keys(endpoints)) await deployment.generateKey(id);
    caller = new Caller(AccessTokenService, deployment.socket);
  });

  after(async () => {
    caller?.close();
    for (const endpoint of Object.values(endpoints ?? {})) endpoint.close();
    await deployment?.close();
  });

  // A new token of that many octets, its begin, middle and end, and what the endpoint answers with it.
  function newToken(size, expires_in) {
    const token = randomBytes(size).toString('base64url').slice(0, size);
    return { token, pieces: [token.slice(0, 16), token.slice(size / 2 - 8).slice(0, 16), token.slice(-16)],
      answer: { token_type: 'Bearer', expires_in, scope: 'read', access_token: token, refresh_token: 'r'.repeat(40) } };
  }

  // The most copies of any piece.
  async function copies(pieces) {
    const counted = await asRoot('python3', ['memory_holds.py', '--count', String(deployment.daemon.pid)],
      { input: [...pieces, endpoints.http.url].join('\n') });
    const counts = new Map(counted.trim().split('\n').map((line) => line.split(' ')));
    assert.ok(Number(counts.get(endpoints.http.url)) > 0, 'the search does not find what the configuration has');
    return Math.max(...pieces.map((piece) => Number(counts.get(piece) ?? 0)));
  }
  // Replies leave after their answers came: the last ones are wiped a moment later.
  const becomes = (wanted, pieces) => new Deadline(30, `${wanted} copies`).until(async () => await copies(pieces) === wanted);

  async function handOut(client_id, scope, token, validity = 30) {
    const request = { client_id, scope, minimum_validity: { seconds: validity } };
    const all = await Promise.all(Array.from({ length: 20 }, () => caller.call('GetAccessToken', request)));
    assert.deepEqual([...new Set(all.map(({ access_token }) => access_token))], [token]);
    const front = await output('curl', ['-sS', '--fail', '--unix-socket', path.join(deployment.folder, 'tokens.sock'),
      `http://assertiond/clients/${client_id}/token?scope=${scope}&minimum_validity=${validity}`]);
    assert.equal(JSON.parse(front).access_token, token);
  }

  // gRPC keeps what it encrypts in a buffer of the connection, and frees it as it is.
  it('is at most once in what gRPC used for a caller with TLS', async () => {
    const { token, pieces, answer } = newToken(900, 6);
    endpoints.http.reset(answer);
    const { key, cert } = await authority.identity('DNS:backend.example.org');
    const client = new AccessTokenService(`127.0.0.1:${deployment.tlsPort}`, grpc.credentials.createSsl(
      Buffer.from(authority.certificate), Buffer.from(key), Buffer.from(cert)), { 'grpc.use_local_subchannel_pool': 1, 'grpc.ssl_target_name_override': 'localhost' });
    const got = await new Promise((resolve, reject) => {
      client.GetAccessToken({ client_id: 'http', scope: 'read write', minimum_validity: { seconds: 1 } },
        (error, reply) => (error ? reject(error) : resolve(reply)));
    });
    assert.equal(got.access_token, token);
    client.close();
    await new Deadline(30, 'one copy').until(async () => await copies(pieces) <= 1);
  });

  for (const client_id of ['http', 'https']) {
    it(`by ${client_id}: leaves nothing after it expired`, async () => {
      for (const size of [40, 900, 5000]) {
        const { token, pieces, answer } = newToken(size, 6);
        endpoints[client_id].reset(answer);
        await handOut(client_id, 'read', token, 1);
        await becomes(0, pieces);
      }
    });

    it(`by ${client_id}: is there once, and not after a reload that drops it`, async () => {
      const { token, pieces, answer } = newToken(900, 3000);
      endpoints[client_id].reset(answer);
      await handOut(client_id, 'write', token);
      await becomes(1, pieces);
      const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
      configuration.clients.find((client) => client.client_id === client_id).callers.pop();
      writeFileSync(deployment.configuration, JSON.stringify(configuration));
      deployment.daemon.kill('SIGHUP');
      await becomes(0, pieces);
    });
  }
});
