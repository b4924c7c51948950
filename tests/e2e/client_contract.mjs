// What every package of deploy/clients promises, tried against a live assertiond and a real OpenID provider.
//
// The package's test file installs it, with a program that uses it as a team would: PROGRAM VERB [ARGUMENT...], with
// $ASSERTIOND_SERVER. Each verb prints one JSON value. A call that fails ends the program with status 1 and
// "CODE, retry after SECONDS" on standard error.
//   stream COUNT   COUNT requests on one stream with 60 s each, every tenth for the client foreign:
//                  { jtis, refused: [[index, code]] }
//   rate CALLS S   CALLS calls, the first with 20 s, the others with S seconds: { seconds }
//   patience CALLS S   CALLS requests at once on a stream, each with S seconds: { seconds }
//   restart        a call and a request on a stream; prints "called"; reads a line; both again: { jtis }
//   down S         one call with S seconds, which fails: { code, retryable, seconds }
//   token          GetAccessToken twice: { type, same, validFor }, validFor in seconds
//   others         the other methods for the client shop: { proof, object, certificate, keys }; the proof is for
//                  POST https://as.example.org/
//   misuse         what is refused before anything is sent: { plaintext, timeout }, each a message
//   tls ADDRESS S CA CERTIFICATE KEY   one call with S seconds over mutual TLS, with files of PEM: { jti }
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import tls from 'node:tls';
import { BoundResource } from './bound_resource.mjs';
import { CertificateAuthority } from './certificate_authority.mjs';
import { Deployment, mutualTls } from './deployment.mjs';
import { Deadline, Lines, run, startProcess, temporaryFolder } from './process.mjs';
import { startRegistered } from './registered_client.mjs';
import { TokenEndpoint } from './token_endpoint.mjs';

const BACKEND = 'backend.example.org';

// install(folder): returns { program, examples: { NAME: COMMAND }, boundExample, variables, streamRepeats, tellsClosed }. A command
// is a list.
// examples buy a token: they take CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]. boundExample uses one that DPoP binds, where a package has
// it: it takes CLIENT_ID DPOP_CLIENT_ID URL. streamRepeats is false where a stream's requests are not
// repeated. tellsClosed: the package says of a socket that it may not open why.
// more(context): further tests of this package alone.
export function describeClient(name, install, more = () => {}) {
  describe(`the ${name} package`, () => {
    let provider;
    let deployment;
    let authority;
    const installed = {};

    before(async () => {
      authority = await CertificateAuthority.found('callers');
      ({ provider, deployment } = await startRegistered({
        callers: [`dns:${BACKEND}`],
        configuration: (folder) => ({ tls: mutualTls(folder, authority.certificate) }),
        prepare: (made) => made.makeTlsKey(authority),
      }));
      Object.assign(installed, await install(temporaryFolder()));
    });

    after(() => deployment?.close());

    beforeEach(() => provider.forgetDecisions());

    const environment = (changed) => ({ ...deployment.environment, ...installed.variables, ...changed });

    function runIn(env, [command, ...first], ...options) {
      return run(command, [...first, ...options], { env: environment(env) });
    }

    async function program(env, ...options) {
      const { status, stdout, stderr } = await runIn(env, installed.program, ...options);
      assert.equal(status, 0, stderr);
      return JSON.parse(stdout);
    }

    it('the examples buy an access token', async () => {
      for (const [example, command] of Object.entries(installed.examples)) {
        for (const audience of [[], [provider.tokenEndpoint]]) {
          const { status, stdout, stderr } = await runIn({}, command, 'orders', provider.tokenEndpoint, ...audience);
          assert.equal(status, 0, `${example}: ${stderr}`);
          assert.ok(JSON.parse(stdout).access_token, `${example}: ${stdout}`);
          assert.deepEqual(await provider.decision(), { event: 'grant.success', client_id: 'orders' });
          provider.forgetDecisions();
        }
      }
    });

    // Optional by RFC 7521 section 4.2; Entra ID and Auth0 ask for it.
    it('the examples name the client in the form as well', async () => {
      const endpoint = await TokenEndpoint.start();
      endpoint.reset({ access_token: 't', token_type: 'Bearer', expires_in: 300 });
      try {
        for (const [example, command] of Object.entries(installed.examples)) {
          const { status, stderr } = await runIn({}, command, 'orders', endpoint.url);
          assert.equal(status, 0, `${example}: ${stderr}`);
          assert.deepEqual(endpoint.forms.pop().getAll('client_id'), ['orders'], example);
        }
      } finally {
        endpoint.close();
      }
    });

    it('the examples say in a line what was wrong', async () => {
      for (const [example, command] of Object.entries(installed.examples)) {
        for (const [env, options, expected] of [
          [{}, ['foreign', provider.tokenEndpoint], /^assertiond: PERMISSION_DENIED: .*may not ask for assertions.*\n$/],
          [{}, ['orders', provider.tokenEndpoint, `${provider.tokenEndpoint}/other`], /^assertiond: (INVALID_ARGUMENT|PERMISSION_DENIED): .*\n$/],
          [{}, ['orders'], /^usage: \S+ CLIENT_ID TOKEN_ENDPOINT \[AUDIENCE\]\n/],
          [{ ASSERTIOND_SERVER: undefined }, ['orders', provider.tokenEndpoint], /^.*set ASSERTIOND_SERVER.*\n$/],
        ]) {
          const { status, stderr } = await runIn(env, command, ...options);
          assert.match(stderr, expected, `${example} ${options}`);
          assert.equal(status, 1, `${example} ${options}`);
        }
      }
    });

    it('says what an identity server refused', async () => {
      const registered = [{ client_id: 'orders', jwks: await deployment.jwks('orders') }];
      provider.register([]);
      try {
        for (const [example, command] of Object.entries(installed.examples)) {
          const { status, stderr } = await runIn({}, command, 'orders', provider.tokenEndpoint);
          assert.match(stderr, /^identity server: .*invalid_client.*\n$/, example);
          assert.equal(status, 1, example);
        }
      } finally {
        provider.register(registered);
      }
    });

    it('the example uses a token that DPoP binds, at a resource that wants a nonce of its own', async (test) => {
      if (!installed.boundExample) return test.skip('the package has no such example');
      const endpoint = await TokenEndpoint.start();
      endpoint.reset({ access_token: 'bound-token', token_type: 'DPoP', expires_in: 300 });
      const dpop = { purposes: ['dpop'], algorithm: 'ES256' };
      const bound = await Deployment.start([
        { client_id: 'shop', audiences: [endpoint.url], tokens: { token_endpoint: endpoint.url, dpop_client: 'shop-dpop' } },
        { client_id: 'shop-dpop', ...dpop }, { client_id: 'other-dpop', ...dpop },
      ]);
      let resource;
      try {
        for (const client of ['shop', 'shop-dpop', 'other-dpop']) await bound.generateKey(client);
        resource = await BoundResource.start('bound-token', (await bound.key('shop-dpop')).kid);
        const use = (...options) => runIn(bound.environment, installed.boundExample, ...options);
        const { status, stdout, stderr } = await use('shop', 'shop-dpop', `${resource.url}?page=2`);
        assert.deepEqual([status, stdout], [0, 'the resource\n'], stderr);
        assert.deepEqual(resource.answers, ['use_dpop_nonce', 'ok']);
        for (const [options, expected] of [
          [['shop', 'other-dpop', resource.url], /^.*bound to another key: name tokens\.dpop_client.*\n$/],
          [['nobody', 'shop-dpop', resource.url], /^assertiond: [A-Z_]+: .*\n$/],
          [['shop', 'shop-dpop', new URL('/other', resource.url).href], /^resource: 401 .*invalid_dpop_proof.*\n$/],
          [['shop', 'shop-dpop'], /^usage: \S+ CLIENT_ID DPOP_CLIENT_ID URL\n/],
        ]) {
          const refused = await use(...options);
          assert.match(refused.stderr, expected);
          assert.equal(refused.status, 1, `${options}`);
        }
        resource.answers.length = 0;
        resource.withholdsNonce = true;
        const unable = await use('shop', 'shop-dpop', resource.url);
        assert.match(unable.stderr, /^resource: 401 .*use_dpop_nonce/);
        assert.equal(resource.answers.length, 2, 'it asks once more, not for ever');
      } finally {
        resource?.close();
        endpoint.close();
        await bound.close();
      }
      return undefined;
    });

    it('matches the replies of one stream to their requests', async () => {
      const { jtis, refused } = await program({}, 'stream', '600');
      assert.deepEqual(refused.filter(([i, code]) => i % 10 !== 0 || code !== 'PERMISSION_DENIED'), []);
      assert.deepEqual({ jtis, refused: refused.length }, { jtis: 540, refused: 60 });
    });

    it('gets the access token that assertiond bought', async () => {
      const { type, same, validFor } = await program({}, 'token');
      assert.deepEqual({ type, same }, { type: 'Bearer', same: true });
      assert.ok(validFor > 30 && validFor < 86_400, `${validFor} s`);
    });

    it('calls the other methods', async () => {
      const { proof, object, certificate, keys } = await program({}, 'others');
      const claims = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url'));
      assert.equal(claims(proof).htu, 'https://as.example.org/');
      assert.equal(claims(object).client_id, 'shop');
      assert.match(certificate, /^-----BEGIN CERTIFICATE-----/);
      assert.deepEqual(JSON.parse(keys), await deployment.jwks('shop'));
    });

    it('repeats a refused call when the server says, within its deadline', async () => {
      const limited = await Deployment.start([{ client_id: 'orders', audiences: [provider.tokenEndpoint] }],
        { caller_rate: { per_second: 2, burst: 1 } });
      try {
        await limited.generateKey('orders');
        const { seconds } = await program(limited.environment, 'rate', '4', '20');
        assert.ok(seconds >= 1.4, `4 calls at 2 a second took ${seconds} s`);
        if (installed.streamRepeats !== false) {
          const stream = await program(limited.environment, 'patience', '4', '20');
          assert.ok(stream.seconds >= 1.4, `4 requests on a stream at 2 a second took ${stream.seconds} s`);
        }
        const hasty = await runIn(limited.environment, installed.program, 'rate', '4', '0.2');
        assert.match(hasty.stderr, /^(RESOURCE_EXHAUSTED, retry after 0\.\d+|DEADLINE_EXCEEDED)/);  // the latter on a busy machine
        assert.equal(hasty.status, 1, hasty.stdout);
      } finally {
        await limited.close();
      }
    });

    it('finds a restarted server, with a new socket file', async () => {
      const [command, ...options] = [...installed.program, 'restart'];
      const child = startProcess(command, options,
        { env: environment(), log: path.join(deployment.folder, 'restart.log') });
      const lines = new Lines(child, 'stdout');
      const deadline = new Deadline(60, 'the program that calls across a restart');
      assert.equal(await lines.next(deadline), 'called');
      await deployment.stopDaemon();
      await deployment.startDaemon();
      child.stdin.write('\n');
      assert.deepEqual(JSON.parse(await lines.next(deadline)), { jtis: 4 });
      assert.deepEqual(await deadline.limit(child.ended), { status: 0, signal: null });
    });

    it('gives up on a server that is down at the deadline', async () => {
      const { code, retryable, seconds } = await program(
        { ASSERTIOND_SERVER: `unix:${path.join(deployment.folder, 'nobody.sock')}` }, 'down', '1');
      assert.deepEqual({ code, retryable }, { code: 'UNAVAILABLE', retryable: true });
      assert.ok(seconds > 0.4 && seconds < 5, `${seconds} s`);
    });

    // Of this user alone and without its write permission: root keeps out, too, once it may not override permissions.
    it('says at once that the socket may not be opened, and by what right it may', async (test) => {
      if (!installed.tellsClosed) return test.skip('the language does not tell');
      const closed = path.join(deployment.folder, 'closed.sock');
      const server = net.createServer(() => {}).listen(closed);
      await once(server, 'listening');
      chmodSync(closed, 0);
      try {
        for (const [example, command] of Object.entries(installed.examples)) {
          const began = performance.now();
          const limited = ['setpriv', '--bounding-set=-dac_override,-dac_read_search', ...command];
          const { status, stderr } = await runIn({ ASSERTIOND_SERVER: `unix:${closed}` }, limited, 'orders', provider.tokenEndpoint);
          assert.equal(status, 1, example);
          assert.match(stderr, /^assertiond: PERMISSION_DENIED: you may not open \S+closed\.sock: (it needs|assertiond's) .*group/);
          assert.ok(performance.now() - began < 3000, `${example} asked for ${performance.now() - began} ms`);
        }
      } finally {
        server.close();
      }
      return undefined;
    });

    it('gives up on a server that does not answer at the deadline', async () => {
      const silent = path.join(deployment.folder, 'silent.sock');
      const server = net.createServer(() => {}).listen(silent);
      await once(server, 'listening');
      server.unref();
      const { code, seconds } = await program({ ASSERTIOND_SERVER: `unix:${silent}` }, 'down', '1');
      assert.ok(['DEADLINE_EXCEEDED', 'UNAVAILABLE'].includes(code), code);
      assert.ok(seconds > 0.4 && seconds < 5, `${seconds} s`);
    });

    it('refuses a plaintext address and a timeout that is none', async () => {
      const { plaintext, timeout } = await program({}, 'misuse');
      assert.match(plaintext, /without (it|them) only unix:\/path is allowed/);
      assert.match(timeout, /must be a positive/);
    });

    describe('over mutual TLS', () => {
      let files;
      let imposter;

      before(async () => {
        const file = (kind, text) => {
          const named = path.join(authority.folder, `${kind}.pem`);
          writeFileSync(named, text, { mode: 0o600 });
          return named;
        };
        const other = await authority.identity('DNS:other.example.org');
        const own = await authority.identity(`DNS:${BACKEND}`);
        const stranger = await CertificateAuthority.found('stranger');
        files = { ca: file('trusted', authority.certificate), stranger: file('stranger', stranger.certificate),
          own: [file('certificate', own.cert), file('private', own.key)] };
        imposter = tls.createServer({ ...other, ALPNProtocols: ['h2'] }).listen(0, '127.0.0.1');
        imposter.on('tlsClientError', () => {});
        await once(imposter, 'listening');
      });

      after(() => imposter?.close());

      it('calls a server of its authority', async () => {
        const { jti } = await program({}, 'tls', `localhost:${deployment.tlsPort}`, '20', files.ca, ...files.own);
        assert.match(jti, /^[0-9a-f-]{36}$/);
      });

      it('refuses a server of another authority', async () => {
        const { status, stderr } = await runIn({}, installed.program,
          'tls', `localhost:${deployment.tlsPort}`, '1', files.stranger, ...files.own);
        assert.match(stderr, /^(UNAVAILABLE|DEADLINE_EXCEEDED), /m);
        assert.equal(status, 1);
      });

      it('refuses a server whose certificate has another name', async () => {
        let accepted = 0;
        imposter.on('secureConnection', (socket) => socket.on('data', () => { accepted += 1; }));
        const { status, stderr } = await runIn({}, installed.program,
          'tls', `localhost:${imposter.address().port}`, '1', files.ca, ...files.own);
        assert.match(stderr, /^(UNAVAILABLE|DEADLINE_EXCEEDED), /m);
        assert.equal(status, 1);
        assert.equal(accepted, 0);
      });
    });

    more({ program: (...options) => program({}, ...options), installed, provider: () => provider, runIn });
  });
}
