// Keys rotate under load where the identity server fetches the JWK Set: no assertion fails, no exchange is refused.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { SignJWT, decodeProtectedHeader, generateKeyPair } from 'jose';
import { AssertionService, Caller, KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';
import { Deadline } from './process.mjs';

// The provider keeps a JWK Set for 60 seconds of its clock at least. With --long it is the real one.
const LONG = process.env.E2E_LONG === '1';
const CLOCK_RATE = LONG ? 1 : 30;
const PUBLISH_LEAD = Math.ceil(60 / CLOCK_RATE) + 8;  // the rest: refresh_interval, and a provider on a busy machine
const ROTATIONS = 3;
const WORKERS = 4;

describe('rotation with the binding jwks', { timeout: LONG ? 600_000 : 120_000 }, () => {
  let provider;
  let deployment;
  let replica;
  const callers = [];

  before(async () => {
    provider = await OpenIdProvider.start({ clockRate: CLOCK_RATE });
    deployment = await Deployment.start([{
      client_id: 'orders',
      audiences: [provider.tokenEndpoint],
      // The provider's clock runs ahead: what it sees of an assertion's life passes as fast.
      default_lifetime: '1h',
      max_lifetime: '1h',
      binding: 'jwks',
      publish_lead: `${PUBLISH_LEAD}s`,
    }], { http_listen: '127.0.0.1:0', refresh_interval: '1s' });
    await deployment.generateKey('orders');
    replica = await deployment.startReplica();
    provider.register([{ client_id: 'orders', jwks_uri: `${deployment.httpOrigin}/clients/orders/jwks.json` }]);
  });

  after(async () => {
    for (const caller of callers) caller.close();
    await replica?.stopDaemon();
    await deployment?.close();
  });

  const connect = (Service, { socket }) => {
    const caller = new Caller(Service, socket);
    callers.push(caller);
    return caller;
  };

  it('three times under load, by two servers: nothing fails', async () => {
    const kids = new Map([[deployment, new Set()], [replica, new Set()]]);  // which keys each server signed with
    let exchanges = 0;
    let over = false;
    const work = async (server) => {
      const caller = connect(AssertionService, server);
      while (!over) {
        const { assertion } = await caller.call('CreateAssertion', { client_id: 'orders' });
        kids.get(server).add(decodeProtectedHeader(assertion).kid);
        const { status, answer } = await provider.requestToken(assertion);
        assert.equal(status, 200, `exchange ${exchanges}: ${JSON.stringify(answer)}`);
        exchanges += 1;
      }
    };
    // The provider fetches the JWK Set anew for a kid that it does not know, once the one that it has is 60 seconds old.
    // Somebody who asks with such a kid all the time keeps it young: when a key takes over, the provider must know it.
    const { privateKey } = await generateKeyPair('RS256');
    const harass = async () => {
      while (!over) {
        const stranger = await new SignJWT({}).setProtectedHeader({ alg: 'RS256', kid: 'nobody' }).setIssuer('orders')
          .setSubject('orders').setAudience(provider.tokenEndpoint).setJti(randomUUID()).setIssuedAt()
          .setExpirationTime('1h').sign(privateKey);
        assert.equal((await provider.requestToken(stranger)).status, 401);
      }
    };
    const servers = [deployment, replica];
    const workers = Array.from({ length: WORKERS }, (unused, at) => work(servers[at % 2]));
    const failed = Promise.all([...workers, harass()]);

    const rotated = [];
    const rotate = async () => {
      for (let rotation = 0; rotation < ROTATIONS; ++rotation) {
        const admin = connect(KeyAdminService, servers[rotation % 2]);
        const deadline = new Deadline(PUBLISH_LEAD + 30, `rotation ${rotation} to be seen by both servers`);
        const change = { expected_version: (await admin.call('GetKey', { client_id: 'orders' })).key.version };
        const { key, predecessor } = await admin.call('RotateKey', { client_id: 'orders', change });
        assert.equal(key.state, 'KEY_STATE_PUBLISHED');
        assert.equal(predecessor.state, 'KEY_STATE_SIGNING');
        rotated.push(key.kid);
        await deadline.until(() => over || servers.every((server) => kids.get(server).has(key.kid)));
        const known = exchanges;
        await deadline.until(() => over || exchanges > known + 2 * WORKERS);
      }
    };
    try {
      await Promise.race([rotate(), failed]);
    } finally {
      over = true;
    }
    await failed;
    assert.equal(rotated.length, ROTATIONS);
    for (const server of servers) assert.equal(kids.get(server).size, ROTATIONS + 1);
    assert.ok(exchanges > ROTATIONS * WORKERS, `${exchanges} exchanges`);
  });
});
