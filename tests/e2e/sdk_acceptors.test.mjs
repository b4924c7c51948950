// SDKs of the parties with assertiond as their signer. Each SDK sends its own request, which party_stand_in.mjs judges by the
// party's published rules. The assertion that the SDK signs itself is judged too, so that the rules ask for no more than the
// party's own software gives.
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { CompactSign, decodeJwt, decodeProtectedHeader } from 'jose';
import { Deployment } from './deployment.mjs';
import { SDKS, ec, rsa } from './party_sdks.mjs';
import { ACCESS_TOKEN, PartyStandIn, VECTORS, VECTORS_NOW, thumbprint } from './party_stand_in.mjs';

const now = () => Math.floor(Date.now() / 1000);
const names = (object) => Object.keys(object).sort();

// The vector's assertion with the times of `now` and one difference, signed by a key in memory that the party knows.
async function signVector(vector, change, now) {
  const merged = (part) => Object.fromEntries(Object.entries({ ...vector[part], ...change[part] })
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [name, ['iat', 'nbf', 'exp'].includes(name) ? value - VECTORS_NOW + now : value]));
  const header = merged('header');
  delete header.x5c;
  for (const [name, algorithm] of [['x5t', 'sha1'], ['x5t#S256', 'sha256']]) {
    if (header[name] && header[name] === vector.header[name]) header[name] = thumbprint(rsa.certificate, algorithm);
  }
  return new CompactSign(Buffer.from(JSON.stringify(merged('claims')))).setProtectedHeader(header)
    .sign(createPrivateKey(header.alg.startsWith('ES') ? ec.privateKey : rsa.privateKey));
}

describe('SDKs with assertiond as their signer', () => {
  const parties = Object.keys(SDKS);
  const clientIdOf = (party) => VECTORS[party].client.client_id;
  let standIn;
  let deployment;

  before(async () => {
    standIn = await PartyStandIn.start();
    deployment = await Deployment.start(parties.map((party) => {
      const { profile, client, header: { alg: algorithm } } = VECTORS[party];
      return { profile, algorithm, ...client, ...client.kids ? { kids: {} } : {} };
    }));
    const kids = {};
    for (const party of parties) {
      const { kid } = await deployment.generateKey(clientIdOf(party));
      kids[clientIdOf(party)] = { [kid]: VECTORS[party].header.kid };
      standIn.register(party, await deployment.ctl('certificate', 'get', '--client-id', clientIdOf(party)));
      standIn.register(party, rsa.certificate);
      standIn.register(party, ec.publicKey);
    }
    await configureClients((client) => (client.kids ? { ...client, kids: kids[client.client_id] } : client));
  });

  async function configureClients(change) {
    await deployment.stopDaemon();
    const configuration = JSON.parse(readFileSync(deployment.configuration, 'utf8'));
    writeFileSync(deployment.configuration, JSON.stringify({ ...configuration, clients: configuration.clients.map(change) }));
    await deployment.startDaemon();
  }

  after(async () => {
    standIn?.close();
    await deployment?.close();
  });

  for (const [party, { sdk, send, own }] of Object.entries(SDKS)) {
    const vector = VECTORS[party];

    it(`${party}: ${sdk}: the profile's assertion is accepted`, async () => {
      const options = vector.request ? ['--subject', vector.request.subject] : [];
      const sign = () => deployment.createAssertion(clientIdOf(party), ...options);
      assert.equal(await send(standIn, sign), ACCESS_TOKEN);
      assert.equal(standIn.refusedBy, '');
    });

    it(`${party}: each near miss is refused`, () => standIn.stopClock(now(), async (time) => {
      await send(standIn, () => signVector(vector, {}, time));
      assert.equal(standIn.refusedBy, '', 'without a difference');
      for (const change of vector.near_misses) {
        standIn.refusedBy = undefined;
        await assert.rejects(send(standIn, () => signVector(vector, change, time)), JSON.stringify(change));
        assert.match(standIn.refusedBy, /^(header\..*|claims\..*|not yet valid|expired|lifetime|ahead)$/);
      }
    }));

    if (!own) continue;
    // A second later, because MSAL rounds the time: its nbf may be half a second ahead.
    it(`${party}: the SDK's own assertion is accepted, and has the profile's claims`, () => standIn.stopClock(now() + 10, async () => {
      const its = await own(standIn);
      await send(standIn, () => its);
      assert.equal(standIn.refusedBy, '');
      assert.deepEqual(names(decodeJwt(its)), names(vector.claims));
      assert.equal(decodeProtectedHeader(its).alg, vector.header.alg);
    }));
  }

  it('no party accepts the assertion of the default profile', async () => {
    await configureClients(({ client_id: id, callers, algorithm, audiences = ['https://api.example'] }) =>
      ({ client_id: id, callers, algorithm, audiences }));
    for (const party of parties) {
      standIn.refusedBy = undefined;
      await assert.rejects(SDKS[party].send(standIn, () => deployment.createAssertion(clientIdOf(party))), party);
      assert.match(standIn.refusedBy, /^(header\.(x5t|x5t#S256|kid)|claims\.(sub|scope|iss))$/);
    }
  });
});
