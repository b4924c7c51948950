// assertionctl wso2 publish against WSO2's own API description and a stand-in that behaves as WSO2 does.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { OpenIdProvider } from './openid_provider.mjs';
import { describeSecrets } from './secrets.mjs';
import { closeDeployment, deploymentFor } from './wso2_deployment.mjs';
import { Wso2StandIn } from './wso2_stand_in.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const JWKS_URL = 'https://keys.example.com/orders.json';

describe('wso2 publish', () => {
  let standIn;
  let deployment;
  let application;

  before(async () => {
    standIn = await Wso2StandIn.start();
    deployment = await deploymentFor(standIn, ['orders', 'other'].map((client) =>
      ({ client_id: client, audiences: [AUDIENCE] })));
  });

  after(() => closeDeployment(deployment));

  beforeEach(async () => {
    application = await standIn.add('orders');
    standIn.requests.length = 0;
    standIn.faults.length = 0;
  });

  // Later options win: a test changes one.
  function options(changes = {}) {
    const all = { '--client-id': 'orders', '--application': application, '--base-url': standIn.origin,
      '--token-file': deployment.tokenFile, ...changes };
    return ['wso2', 'publish', ...Object.entries(all).flat()];
  }

  const publish = (...more) => deployment.ctl(...options(), ...more);
  const methods = () => standIn.requests.map(({ method }) => method);

  async function refusal(expected, pattern, changes, ...more) {
    const { status, stdout, stderr } = await deployment.tryCtl(...options(changes), ...more);
    assert.equal(status, expected, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, pattern);
    assert.match(stderr, /^ {2}next: ./m);
    return stderr;
  }

  const der = (pem) => new X509Certificate(pem).raw.toString('hex');

  it('Prism is in force: a request against the description never gets through', async () => {
    const refused = async (method, rest, body, headers) => {
      const answer = await fetch(`${standIn.origin}/api/server/v1/applications/${application}${rest}`,
        { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } });
      assert.equal(answer.headers.get('content-type'), 'application/problem+json', 'Prism’s own');
      return answer.status;
    };
    const authorization = `Bearer ${deployment.token}`;
    const certificate = { type: 'PEM', value: 7 };
    assert.equal(await refused('PATCH', '', { advancedConfigurations: { certificate } }, { authorization }), 422);
    assert.equal(await refused('PUT', '/inbound-protocols/oidc', { clientId: 'orders' }, { authorization }), 422);
    assert.equal(await refused('PATCH', '', {}), 401);
  });

  it('sends the certificate in the form that WSO2 takes, and reads it back', async () => {
    const pem = await deployment.ctl('certificate', 'get', '--client-id', 'orders');
    const { kid, 'x5t#S256': thumbprint } = await deployment.key('orders');
    const printed = JSON.parse(await publish('--json'));
    assert.deepEqual(printed, { client_id: 'orders', kid, 'x5t#S256': thumbprint, not_after: printed.not_after,
      application, type: 'PEM' });
    assert.deepEqual(methods(), ['GET', 'PATCH', 'GET']);
    const [, { url, authorization, body }] = standIn.requests;
    assert.equal(url, `/api/server/v1/applications/${application}`);
    assert.equal(authorization, `Bearer ${deployment.token}`);
    const certificate = { type: 'PEM', value: pem.trimEnd() };
    assert.deepEqual(JSON.parse(body), { advancedConfigurations: { certificate } });
    assert.deepEqual(standIn.slot(application), certificate);
    assert.equal(standIn.applications.get(application).application.description, 'kept');
  });

  it('says it to a person, too', async () => {
    assert.match(await publish(),
      /^certificate of key [\w-]{43}, valid until .*Z \(in 36\d days\), is what application .* has now/);
  });

  for (const suffix of ['/', '/api/server/v1', '/api/server/v1/', '/t/carbon.super', '/t/acme/api/server/v1']) {
    it(`takes a base URL that ends with ${suffix}`, async () => {
      await deployment.ctl(...options({ '--base-url': standIn.origin + suffix }));
      assert.match(standIn.requests[0].url, /^(\/t\/[\w.]+)?\/api\/server\/v1\/applications\/[\w-]+$/);
      assert.ok(standIn.slot(application));
    });
  }

  it('sends the certificate of the key that --kid names, before it signs', async () => {
    const signing = await deployment.key('orders');
    const staged = await deployment.generateKey('orders');
    const printed = JSON.parse(await publish(`--kid=${staged.kid}`, '--json'));
    assert.deepEqual([printed.kid, printed['x5t#S256']], [staged.kid, staged['x5t#S256']]);
    assert.equal(der(standIn.slot(application).value), der(await deployment.ctl('certificate', 'get', '--client-id',
      'orders', `--kid=${staged.kid}`)));
    await publish();
    assert.equal(der(standIn.slot(application).value), der(await deployment.ctl('certificate', 'get', '--client-id',
      'orders', `--kid=${signing.kid}`)));
    await refusal(1, /no such key/, { '--kid': 'nothing-like-it' });
    await deployment.ctl('key', 'destroy', '--client-id', 'orders', `--kid=${staged.kid}`, '--force', 'orders');
  });

  it('compares certificates, not texts: one stored with CRLF is the same', async () => {
    const pem = (await deployment.ctl('certificate', 'get', '--client-id', 'orders')).replaceAll('\n', '\r\n');
    await standIn.setSlot(application, { type: 'PEM', value: pem });
    standIn.faults.push({ method: 'PATCH', ignore: true });
    await publish();
  });

  it('a JWKS URL', async () => {
    await publish();
    const printed = JSON.parse(await publish('--jwks-url', JWKS_URL, '--json'));
    assert.deepEqual(printed, { client_id: 'orders', jwks_url: JWKS_URL, application, type: 'JWKS' });
    assert.deepEqual(standIn.slot(application), { type: 'JWKS', value: JWKS_URL });
  });

  it('--configure changes the authentication and nothing else', async () => {
    const before = structuredClone(standIn.applications.get(application).oidc);
    await publish('--configure');
    assert.deepEqual(methods(), ['GET', 'PATCH', 'GET', 'GET', 'PUT', 'GET']);
    const clientAuthentication =
      { tokenEndpointAuthMethod: 'private_key_jwt', tokenEndpointAllowReusePvtKeyJwt: false };
    assert.deepEqual(JSON.parse(standIn.requests[4].body), { ...before, clientAuthentication });
    assert.deepEqual(standIn.applications.get(application).oidc, { ...before, clientAuthentication });
    standIn.requests.length = 0;
    await publish('--configure');
    assert.deepEqual(methods(), ['GET', 'PATCH', 'GET', 'GET'], 'what is right already is left alone');
  });

  describe('what the server does wrong', () => {
    it('it ignores the certificate', async () => {
      standIn.faults.push({ method: 'PATCH', ignore: true });
      await refusal(5, /read back application .* has none/);
    });

    it('it keeps the certificate of another key', async () => {
      await standIn.setSlot(application, { type: 'PEM',
        value: await deployment.ctl('certificate', 'get', '--client-id', 'other') });
      standIn.faults.push({ method: 'PATCH', ignore: true });
      await refusal(5, /read back application .* has another, of type PEM/);
    });

    it('it has text before the certificate, which its own validator refuses', async () => {
      const pem = await deployment.ctl('certificate', 'get', '--client-id', 'orders');
      await standIn.setSlot(application, { type: 'PEM', value: `subject: CN=orders\n${pem}` });
      standIn.faults.push({ method: 'PATCH', ignore: true });
      await refusal(5, /read back application .* has another/);
    });

    it('it has the certificate under another type', async () => {
      const pem = await deployment.ctl('certificate', 'get', '--client-id', 'orders');
      await standIn.setSlot(application, { type: 'JWKS', value: pem.trimEnd() });
      standIn.faults.push({ method: 'PATCH', ignore: true });
      await refusal(5, /read back application .* has another, of type JWKS/);
    });

    it('it ignores the JWKS URL', async () => {
      standIn.faults.push({ method: 'PATCH', ignore: true });
      await refusal(5, /read back/, { '--jwks-url': JWKS_URL });
    });

    it('it ignores the authentication method', async () => {
      standIn.faults.push({ method: 'PUT', ignore: true });
      await refusal(5, /published, but .*read back application .* authenticates otherwise/, {}, '--configure');
      assert.ok(standIn.slot(application));
    });

    it('it redirects: the token does not go along', async () => {
      const elsewhere = await Wso2StandIn.start();
      const location = `${elsewhere.origin}/api/server/v1/x`;
      standIn.faults.push({ method: 'PATCH', status: 307, headers: { location } });
      await refusal(5, /HTTP 307/);
      assert.deepEqual(elsewhere.requests, []);
    });

    it('its answer is too large', async () => {
      standIn.faults.push({ method: 'GET', status: 200, body: ' '.repeat(2 << 20) });
      await refusal(4, /larger than 1 MiB/);
    });

    it('it does not let the certificate be read back', async () => {
      standIn.faults.push({ method: 'GET' }, { method: 'GET', status: 500 });
      await refusal(5, /sent, but not read back: .*HTTP 500/);
    });

    it('its answer is not JSON', async () => {
      standIn.faults.push({ method: 'GET', status: 200, body: '<html>' });
      await refusal(5, /not a JSON object/);
    });

    it('its answer is nested 200,000 deep', async () => {
      const body = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`;
      standIn.faults.push({ method: 'GET' }, { method: 'GET' }, { method: 'GET', status: 200, body });
      await refusal(5, /not a JSON object/, {}, '--configure');
      standIn.faults.push({ method: 'PATCH', status: 400, body });
      await refusal(5, /HTTP 400$/m);
    });

    for (const [status, remedy] of [[403, /scopes/], [409, /run it again/], [500, /traceId/]]) {
      it(`it answers ${status}, and its reason is told without its control characters`, async () => {
        const body = JSON.stringify({ code: 'APP-1', message: 'no\x1b[2J', description: 'why', traceId: 't-1' });
        standIn.faults.push({ method: 'PATCH', status, body });
        const stderr = await refusal(5, /HTTP \d+, code APP-1, message no\?\[2J, description why, traceId t-1/);
        assert.match(stderr, new RegExp(`HTTP ${status},`));
        assert.match(stderr, remedy);
      });
    }
  });

  describe('what is refused', () => {
    it('an access token that the server does not know', async () => {
      const file = path.join(deployment.folder, 'stale-token');
      writeFileSync(file, 'stale', { mode: 0o600 });
      assert.match(await refusal(5, /HTTP 401, code APP-64011/, { '--token-file': file }),
        /internal_application_mgt_update/);
      assert.equal(standIn.slot(application), undefined);
    });

    it('an application that is not there', async () => {
      await refusal(5, /HTTP 404/, { '--application': '394b8adcce24c64a8a09a0d80abf8c337bd253de' });
    });

    it('an application of another client', async () => {
      await refusal(5, /belongs to client orders, not to other/, { '--client-id': 'other' });
      assert.equal(standIn.slot(application), undefined, 'nothing was changed');
    });

    for (const mode of [0o640, 0o604, 0o622]) {
      it(`a token file of mode ${mode.toString(8)}`, async () => {
        const file = path.join(deployment.folder, 'open-token');
        writeFileSync(file, 'open');
        chmodSync(file, mode);
        assert.match(await refusal(3, /open to others/, { '--token-file': file }), /chmod 600/);
        assert.deepEqual(standIn.requests, []);
      });
    }

    for (const [what, content] of Object.entries({ 'two lines': 'a\nb\n', 'a header': 'a\r\nX-Evil: 1', nothing: '',
      'a control character': 'a\x01b', 'a scheme': 'Bearer a' })) {
      it(`a token file that holds ${what}`, async () => {
        const file = path.join(deployment.folder, 'odd-token');
        writeFileSync(file, content, { mode: 0o600 });
        await refusal(3, /must hold one access token/, { '--token-file': file });
        assert.deepEqual(standIn.requests, []);
      });
    }

    for (const [what, changes] of Object.entries({
      'http:// to a foreign host': { '--base-url': 'http://is.example.com' },
      'a base URL with a user': { '--base-url': 'https://somebody@is.example.com' },
      'a base URL with a query': { '--base-url': 'https://is.example.com/?x' },
      'an id that leads elsewhere': { '--application': '../users' },
      'an id in percent encoding': { '--application': 'a%2fb' },
      'a JWKS URL over http': { '--jwks-url': 'http://keys.example.com/orders.json' },
      'a JWKS URL with a key id': { '--jwks-url': JWKS_URL, '--kid': 'x' },
    })) {
      it(what, async () => {
        const { status, stderr } = await deployment.tryCtl(...options(changes));
        assert.equal(status, 2, stderr);
        assert.deepEqual(standIn.requests, []);
      });
    }
  });

  it('over TLS, and only to a server whose certificate is vouched for', async () => {
    const secure = await Wso2StandIn.start({ tls: true });
    secure.tokens.add(deployment.token);
    const id = await secure.add('orders');
    const to = { '--base-url': secure.origin, '--application': id };
    await refusal(4, /TLS with .*self-signed/, to);
    assert.deepEqual(secure.requests, []);
    const caFile = path.join(deployment.folder, 'ca.pem');
    writeFileSync(caFile, secure.certificate.cert);
    await deployment.ctl(...options({ ...to, '--ca-file': caFile }));
    assert.ok(secure.slot(id));
  });

  it('the search for leaks finds a token', () => {
    const file = path.join(deployment.folder, 'planted');
    writeFileSync(file, `authorization: Bearer ${deployment.token}`);
    const leaks = describeSecrets({ folder: deployment.folder, pinFile: deployment.tokenFile });
    writeFileSync(file, '');
    assert.equal(leaks.length, 1);
  });

  it('the certificate that was sent is the one on the token', async () => {
    await publish();
    const { cka_id: id } = await deployment.key('orders');
    const onToken = await deployment.askToken(['--read-object', '--type', 'cert', '--id', id], 'buffer');
    assert.equal(der(standIn.slot(application).value), onToken.toString('hex'));
  });
});

describe('what is published decides which assertions are accepted', () => {
  let provider;
  let standIn;
  let deployment;
  let application;

  before(async () => {
    provider = await OpenIdProvider.start();
    standIn = await Wso2StandIn.start({ provider });
    deployment = await deploymentFor(standIn, ['orders', 'other'].map((client) =>
      ({ client_id: client, audiences: [provider.tokenEndpoint] })));
    application = await standIn.add('orders');
  });

  after(() => closeDeployment(deployment));

  beforeEach(() => provider.forgetDecisions());

  const publish = (...more) => deployment.ctl('wso2', 'publish', '--client-id', 'orders', '--application', application,
    '--base-url', standIn.origin, '--token-file', deployment.tokenFile, ...more);
  const request = async () => (await deployment.tryCtl('token', 'request', '--client-id', 'orders',
    '--token-endpoint', provider.tokenEndpoint)).status;

  it('none before private_key_jwt is configured, the published key’s afterwards', async () => {
    await publish();
    assert.equal(await request(), 5);
    await publish('--configure');
    assert.equal(await request(), 0);
  });

  it('a key whose certificate is not in the slot is refused', async () => {
    await publish('--configure');
    provider.forgetDecisions();
    await standIn.setSlot(application,
      { type: 'PEM', value: await deployment.ctl('certificate', 'get', '--client-id', 'other') });
    assert.equal(await request(), 5);
    assert.equal((await provider.decision()).error_detail, 'no applicable key found in the JSON Web Key Set');
    await publish();
    assert.equal(await request(), 0);
  });
});
