// The audit log: what was signed and done stands there before anybody learns of it, whatever happens.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, statSync, unlinkSync, writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import grpc from '@grpc/grpc-js';
import { AssertionService, Caller, Health, KeyAdminService } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { asRoot, Deadline, Lines, output, run, startProcess, temporaryFolder, wholeLines } from './process.mjs';

const AUDIENCE = 'https://localhost:9443/oauth2/token';
const ME = `uid:${process.getuid()}`;
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const OTHER_TRACE = '0af7651916cd43dd8448eb211c80319c';

const parse = (text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
const jtiOf = (assertion) => JSON.parse(Buffer.from(assertion.split('.')[1], 'base64url')).jti;

describe('audit log', () => {
  let deployment;
  let log;
  let key;

  before(async () => {
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], {
      audit: { rotate_octets: 4096, checkpoint_lines: 5, checkpoint_interval: '1s' },
      http_listen: '127.0.0.1:0',
    });
    log = path.join(deployment.folder, 'audit.log');
    key = path.join(deployment.folder, 'audit.jwk');
    await deployment.generateKey('orders');
    await deployment.ctl('audit', 'key', '--out', key);
  });

  after(() => deployment?.close());

  const files = () => readdirSync(deployment.folder).filter((name) => /^audit\.log(\.\d+)?$/.test(name)).sort()
    .map((name) => path.join(deployment.folder, name));
  const identities = () => files().map((file) => `${file} ${statSync(file, { throwIfNoEntry: false })?.ino}`).join();
  // What `read` makes of all files. A checkpoint each second may rotate them meanwhile: then they are read again.
  async function settled(read) {
    for (;;) {
      const before = identities();
      const [result] = await Promise.allSettled([(async () => read(files()))()]);
      if (identities() !== before) continue;
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    }
  }
  const lines = () => settled((all) => all.flatMap((file) => parse(readFileSync(file, 'utf8')))
    .sort((a, b) => a.seq - b.seq));
  const verify = (...options) => settled((all) => deployment.tryCtl('audit', 'verify', ...all, '--key', key,
    ...options));
  const create = (...options) => deployment.tryCtl('assertion', 'create', '--client-id', 'orders', ...options);

  it('has who asked for which assertion, for whom, with which key', async () => {
    const jti = jtiOf(await deployment.createAssertion('orders', '--lifetime', '60s'));
    const line = (await lines()).find((entry) => entry.jti === jti);
    assert.equal(line.event, 'CreateAssertion');
    assert.equal(line.outcome, 'OK');
    assert.equal(line.caller, ME);
    assert.equal(line.client_id, 'orders');
    assert.equal(line.audience, AUDIENCE);
    assert.equal(line.lifetime_s, 60);
    assert.equal(line.kid, (await deployment.key('orders')).kid);
    assert.ok(Number.isInteger(line.latency_us));
    assert.match(line.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  });

  it('has what was refused and why, and the trace that it belongs to', async () => {
    assert.equal((await create('--audience', 'https://elsewhere.example')).status, 1);
    const line = (await lines()).find((entry) => entry.audience === 'https://elsewhere.example');
    assert.equal(line.event, 'CreateAssertion');
    assert.equal(line.outcome, 'INVALID_ARGUMENT');
    assert.match(line.reason, /audience/);

    const client = new AssertionService(`unix:${deployment.socket}`, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set('traceparent', `00-${TRACE}-00f067aa0ba902b7-01`);
    const answer = await new Promise((resolve, reject) => {
      client.CreateAssertion({ client_id: 'orders' }, metadata, (error, value) => (error ? reject(error) : resolve(value)));
    });
    client.close();
    assert.equal((await lines()).find((entry) => entry.jti === answer.jti).trace_id, TRACE);
  });

  it('shares the trace of a call with the log', async () => {
    const client = new KeyAdminService(`unix:${deployment.socket}`, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set('traceparent', `00-${OTHER_TRACE}-00f067aa0ba902b7-01`);
    const { kid } = await deployment.key('orders');
    await new Promise((resolve, reject) => {
      client.CreateCsr({ client_id: 'orders', kid }, metadata, (error, value) => (error ? reject(error) : resolve(value)));
    });
    client.close();
    // The line is written before the answer leaves, but comes to this process by a pipe of its own.
    const logged = () => wholeLines(deployment.log).map((line) => JSON.parse(line)).filter((line) => line.trace_id === OTHER_TRACE);
    await new Deadline(30, `a line of the trace in ${deployment.log}`).until(() => logged().length > 0);
    assert.deepEqual(logged().map(({ message }) => message.split(':')[0]), ['CreateCsr by uid']);
    assert.equal((await lines()).find((line) => line.trace_id === OTHER_TRACE).event, 'CreateCsr');
  });

  it('has every act of an operator', async () => {
    await deployment.ctl('key', 'csr', '--client-id', 'orders');
    await deployment.tryCtl('key', 'revoke', '--client-id', 'orders', '--kid', 'none');
    const acts = (await lines()).filter((entry) => entry.caller === ME);
    const generated = acts.find((entry) => entry.event === 'GenerateKey');
    assert.equal(generated.kid, (await deployment.key('orders')).kid);
    assert.equal(generated.alg, 'RS256');
    assert.match(generated.summary, /^algorithm as the client's configuration says.*, decided on version 0$/);
    assert.ok(!('forced' in generated));
    assert.equal(acts.find((entry) => entry.event === 'CreateCsr').outcome, 'OK');
    assert.equal(acts.find((entry) => entry.event === 'RevokeKey').outcome, 'NOT_FOUND');
  });

  it('is proven to its end, over several files; what is missing at the end is missed', async () => {
    for (let i = 0; i < 30; ++i) await create();
    assert.ok(files().length > 1, 'no rotation');
    const head = JSON.parse(await deployment.ctl('audit', 'head', '--json'));
    const { status, stdout } = await verify('--json', '--last-sequence', String(head.sequence));
    assert.equal(status, 0, stdout);
    assert.ok(JSON.parse(stdout).proven_sequence > 30);
    const more = await verify('--last-sequence', String(head.sequence + 1000));
    assert.equal(more.status, 1);
    assert.match(more.stdout, /wrong +removed: /);
    const noted = path.join(deployment.folder, 'head.json');
    writeFileSync(noted, JSON.stringify(head));
    assert.equal((await verify('--head', noted)).status, 0);
    writeFileSync(noted, JSON.stringify({ ...head, hash: head.hash.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')) }));
    const other = await verify('--head', noted);
    assert.equal(other.status, 1);
    assert.match(other.stdout, /wrong +replaced: .*is another line than the one that was noted/);
    writeFileSync(noted, 'sequence 3');
    assert.equal((await verify('--head', noted)).status, 3);
  });

  it('a script can ask for a log that is proven to its last line', async () => {
    while (files().length < 2) await create();  // a file ends with a checkpoint before the log goes on in another
    const proven = readFileSync(files().find((name) => name !== log), 'utf8').trimEnd().split('\n');
    const copy = path.join(deployment.folder, 'tail.log');
    const strict = () => deployment.tryCtl('audit', 'verify', copy, '--key', key, '--first-sequence', '0', '--require-proven');
    writeFileSync(copy, `${proven.join('\n')}\n`);
    assert.equal((await strict()).status, 0);
    const invented = { seq: JSON.parse(proven.at(-1)).seq + 1, prev: createHash('sha256').update(proven.at(-1)).digest('base64url'), event: 'LogOpened', version: 2, unproven: 2 };
    writeFileSync(copy, `${[...proven, JSON.stringify(invented)].join('\n')}\n`);
    const lax = await deployment.tryCtl('audit', 'verify', copy, '--key', key, '--first-sequence', '0');
    assert.equal(lax.status, 0, lax.stdout);
    assert.match(lax.stdout, /^warn +not yet proven: .*can cut off, change or invent lines there$/m);
    assert.doesNotMatch(lax.stdout, /doubtful/);
    const { status, stdout } = await strict();
    assert.equal(status, 1, stdout);
    assert.match(stdout, /^wrong +not yet proven: /m);
  });

  it('a key or a head that is a FIFO is refused, not waited for', async () => {
    const fifo = path.join(deployment.folder, 'fifo');
    await run('mkfifo', [fifo]);
    for (const options of [['--key', fifo], ['--key', key, '--head', fifo]]) {
      const { status, stderr } = await deployment.tryCtl('audit', 'verify', log, ...options);
      assert.equal(status, 3, stderr);
      assert.match(stderr, /fifo cannot be read: it is a FIFO, not a regular file/);
    }
  });

  it('show says where a line is none, or follows no line', async () => {
    // A file that was just begun has two lines.
    const whole = readFileSync(files().find((name) => name !== log), 'utf8').trimEnd().split('\n').slice(0, 3);
    const copy = path.join(deployment.folder, 'shown.log');
    const shown = async (lines) => {
      writeFileSync(copy, `${lines.join('\n')}\n`);
      const { status, stdout, stderr } = await deployment.tryCtl('audit', 'show', copy);
      assert.equal(status, 0, stderr);
      return { seqs: stdout.trimEnd().split('\n').map((line) => JSON.parse(line).seq - JSON.parse(whole[0]).seq), stderr };
    };
    const [first, second, third] = whole;
    const fault = (line, text) => new RegExp(`shown\\.log:${line} ${text}.*\\n  next: assertionctl audit verify`);
    assert.equal((await shown(whole)).stderr, '');
    assert.match((await shown([first, third])).stderr, fault(2, 'does not follow the line before it'));
    assert.match((await shown([first, second.replace(/"time":"./, '"time":"3'), third])).stderr, fault(3, 'does not follow the line before it'));
    const twice = await shown([first, second.replace(/}$/, ',"caller":"uid:1","caller":"uid:2"}'), third]);
    assert.match(twice.stderr, fault(2, 'is no line of an audit log'));
    assert.deepEqual(twice.seqs, [0, 2]);
    const long = await shown([first, second.replace(/}$/, `,"x":"${'x'.repeat(20_000)}"}`), third]);
    assert.match(long.stderr, fault(2, 'is no line of an audit log: it has more than 16384 octets'));
    assert.deepEqual(long.seqs, [0, 2]);
  });

  it('names the first line that was changed', async () => {
    const file = files().find((name) => name !== log);
    const kept = readFileSync(file, 'utf8');
    const text = kept.split('\n');
    text[3] = text[3].replace('time', 'tide');
    const copy = path.join(deployment.folder, 'copy');
    writeFileSync(copy, text.join('\n'));
    const result = await deployment.tryCtl('audit', 'verify', copy, '--key', key);
    assert.equal(result.status, 1);
    assert.match(result.stdout, /wrong +changed: \S+copy:4: /);
    unlinkSync(copy);
  });

  it('is shown by the beginning of a kid, by a day and by a user; a word that no line can have is refused', async () => {
    const tried = (...options) => settled((all) => deployment.tryCtl('audit', 'show', ...all, ...options));
    const { kid } = await deployment.key('orders');
    const jti = jtiOf(await deployment.createAssertion('orders'));
    const shown = async (...options) => parse((await tried(...options)).stdout).some((line) => line.jti === jti);
    assert.ok(await shown(`--kid=${kid}`) && await shown(`--kid=${kid.slice(0, 8)}`));
    const short = await tried(`--kid=${kid.slice(0, 5)}`);
    assert.deepEqual([short.status, short.stdout], [2, '']);
    assert.match(short.stderr, /--kid: "\S{5}" is too short: type at least the first 6 characters of the kid/);
    const day = (await lines()).find((line) => line.jti === jti).time.slice(0, 10);
    assert.ok(await shown('--since', day, '--until', day), day);
    assert.ok(!await shown('--until', '2026-11-01'));
    assert.ok(await shown('--caller', `user:${(await output('id', ['--user', '--name'])).trim()}`));
    for (const [options, told] of [
      [['--event', 'CreateAsertion'], '--event: no line can have "CreateAsertion"; did you mean "CreateAssertion"?'],
      [['--outcome', 'ok'], '--outcome: no line can have "ok"; did you mean "OK"?']]) {
      const { status, stderr } = await tried(...options);
      assert.deepEqual([status, stderr.split('\n')[0]], [2, `assertionctl: ${told}`]);
    }
    for (const event of new Set((await lines()).map((line) => line.event))) {
      assert.equal((await tried('--event', event)).status, 0, `the log has the event ${event}`);
    }
  });

  it('is shown by client, caller, jti and time, and followed', async () => {
    const jti = jtiOf(await deployment.createAssertion('orders'));
    const show = async (...options) => parse(await settled((all) => deployment.ctl('audit', 'show', ...all, ...options)));
    assert.deepEqual((await show('--jti', jti)).map((line) => line.jti), [jti]);
    const none = await deployment.tryCtl('audit', 'show', log, '--jti', 'no-such-jti');
    assert.equal(none.status, 1);
    assert.match(none.stderr, /no line with jti "no-such-jti"/);
    assert.ok((await show('--client-id', 'orders', '--caller', ME)).length > 30);
    assert.equal((await show('--client-id', 'nobody')).length, 0);
    assert.equal((await show('--since', '2100-01-01T00:00:00Z')).length, 0);
    const recent = await show('--since', '-1h');
    assert.deepEqual((await show()).slice(0, recent.length), recent);  // a checkpoint may have come since
    assert.equal((await show('--until', '-1h')).length, 0);
    const refused = await deployment.tryCtl('audit', 'show', path.join(deployment.folder, 'audit.log'), '--since', '1h ago');
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /--since: '1h ago' is none of: now, a span before now such as -90s, -15m, -2h or -1d, a day in UTC such as 2026-11-24, or /);
    assert.ok((await show('--until', '2100-01-01T00:00:00Z')).length > 30);
    const follower = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertionctl'),
      ['audit', 'show', log, '--follow', '--caller', ME], { log: path.join(deployment.folder, 'follower.log') });
    const printed = new Lines(follower, 'stdout');
    const deadline = new Deadline(30, 'the follower to show an assertion');
    let reads = false;   // it has opened the file: what was rotated before that is not its
    const any = printed.next(deadline).then(() => { reads = true; });
    while (!reads) await create();
    await any;
    const later = jtiOf(await deployment.createAssertion('orders'));
    while (!(await printed.next(deadline)).includes(later));
    for (let i = 0; i < 20; ++i) await create();   // over a rotation
    const last = jtiOf(await deployment.createAssertion('orders'));
    while (!(await printed.next(deadline)).includes(last));
    follower.kill();
    await deadline.limit(follower.ended);
  });

  it('is not shown, nor followed, into a standard output that cannot be written', async () => {
    const program = path.join(process.env.E2E_BIN_DIR, 'assertionctl');
    for (const options of [[], ['--follow']]) {
      const { status, stderr } = await run('sh', ['-c', 'exec "$@" >/dev/full', 'sh', program, 'audit', 'show', log, ...options]);
      assert.deepEqual([status, stderr.split('\n')[0]],
        [3, 'assertionctl: cannot write standard output: No space left on device'], options.join());
    }
  });

  it('is followed over files that came and went between two looks', async () => {
    const folder = mkdtempSync(path.join(deployment.folder, 'followed-'));
    const at = path.join(folder, 'audit.log');
    const lines = (first, last) => Array.from({ length: last - first + 1 }, (_, i) =>
      `${JSON.stringify({ seq: first + i, prev: '', time: '2026-11-30T00:00:00.000000Z', event: 'Start' })}\n`).join('');
    const rotated = (first) => `${at}.${`${first}`.padStart(20, '0')}`;
    writeFileSync(at, lines(1, 2));
    const follower = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ['audit', 'show', at, '--follow'],
      { log: path.join(folder, 'follower.log') });
    const printed = new Lines(follower, 'stdout');
    const deadline = new Deadline(30, 'the follower to show a line');
    const next = async () => JSON.parse(await printed.next(deadline)).seq;
    assert.deepEqual([await next(), await next()], [1, 2]);
    renameSync(at, rotated(1));
    writeFileSync(rotated(3), lines(3, 4));
    writeFileSync(rotated(5), lines(5, 5));
    writeFileSync(at, lines(6, 6));
    assert.deepEqual([await next(), await next(), await next(), await next()], [3, 4, 5, 6]);
    follower.kill();
    await deadline.limit(follower.ended);
  });

  it('is shown in its order and followed in its newest file, in whatever order the files are named', async () => {
    const folder = mkdtempSync(path.join(deployment.folder, 'ordered-'));
    const at = path.join(folder, 'audit.log');
    const line = (seq) => `${JSON.stringify({ seq, prev: '', time: '2026-11-30T00:00:00.000000Z', event: 'Start' })}\n`;
    const rotated = (first) => `${at}.${`${first}`.padStart(20, '0')}`;
    writeFileSync(rotated(1), line(1));
    writeFileSync(rotated(2), line(2));
    writeFileSync(at, line(3));
    writeFileSync(`${at}.lock`, '');
    const named = [at, rotated(1), rotated(2), `${at}.lock`];   // as the shell orders audit.log*
    const shown = async (files) => parse(await deployment.ctl('audit', 'show', ...files)).map(({ seq }) => seq);
    assert.deepEqual(await shown(named), [1, 2, 3]);
    writeFileSync(at, '');
    assert.deepEqual(await shown(named), [1, 2]);
    writeFileSync(at, line(3));
    const follower = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertionctl'), ['audit', 'show', ...named, '--follow'],
      { log: path.join(folder, 'follower.log') });
    const printed = new Lines(follower, 'stdout');
    const deadline = new Deadline(30, 'the follower to show a line');
    const next = async () => JSON.parse(await printed.next(deadline)).seq;
    assert.deepEqual([await next(), await next(), await next()], [1, 2, 3]);
    appendFileSync(at, line(4));
    assert.equal(await next(), 4);
    follower.kill();
    await deadline.limit(follower.ended);
  });

  // A log of one line a file: `firsts` of the rotated ones, then `last` in the current one. The lines are chained.
  const logOf = (name, firsts, last) => {
    const folder = mkdtempSync(path.join(deployment.folder, name));
    const at = path.join(folder, 'audit.log');
    const chained = [''];
    for (let prev = Buffer.alloc(32).toString('base64url'); chained.length < last + 10;) {
      const text = JSON.stringify({ seq: chained.length, prev, time: '2026-11-30T00:00:00.000000Z', event: 'Start' });
      prev = createHash('sha256').update(text).digest('base64url');
      chained.push(`${text}\n`);
    }
    const line = (seq) => chained[seq];
    const rotated = (first) => `${at}.${`${first}`.padStart(20, '0')}`;
    for (const first of firsts) writeFileSync(rotated(first), line(first));
    writeFileSync(at, line(last));
    return { folder, at, line, rotated };
  };

  it('is shown and verified by its folder, and a pattern that matched nothing is told as such', async () => {
    const { folder, at } = logOf('folder-', [2, 10], 11);
    for (const other of ['audit.log.lock', 'audit.log.torn', 'audit.log.gz', 'other.log']) {
      writeFileSync(path.join(folder, other), readFileSync(at));
    }
    assert.deepEqual(parse(await deployment.ctl('audit', 'show', folder)).map(({ seq }) => seq), [2, 10, 11]);
    const { status, stdout } = await settled(() => deployment.tryCtl('audit', 'verify', deployment.folder, '--key', key));
    assert.equal(status, 0, stdout);
    const empty = mkdtempSync(path.join(deployment.folder, 'empty-'));
    for (const command of [['show'], ['verify', '--key', key]]) {
      for (const [named, told] of [[path.join(empty, 'audit.log*'), /no file matches \S+audit\.log\*: the shell found none$/m],
        [empty, /empty-\w+: no file audit\.log or audit\.log\.SEQUENCE is in this folder$/m]]) {
        const refused = await deployment.tryCtl('audit', ...command, named);
        assert.equal(refused.status, 3);
        assert.match(refused.stderr, told);
        assert.match(refused.stderr, /^ {2}next: name the folder of the log, .* who may list it$/m);
      }
    }
  });

  it('is shown after a line that its reader has, with what is missing since', async () => {
    const { folder, at, rotated } = logOf('after-', [1, 2, 3], 4);
    const show = async (...options) => {
      const { status, stdout, stderr } = await deployment.tryCtl('audit', 'show', ...options);
      return [status, parse(stdout).map(({ seq }) => seq), stderr.split('\n')[0]];
    };
    assert.deepEqual(await show(folder, '--after-sequence', '0'), [0, [1, 2, 3, 4], '']);
    assert.deepEqual(await show(folder, '--after-sequence', '2'), [0, [3, 4], '']);
    assert.deepEqual(await show(folder, '--after-sequence', '4'), [0, [], '']);
    assert.deepEqual(await show(folder, '--after-sequence', '9'),
      [0, [], 'assertionctl: the log ends at line 4, before line 9: this is another log, or its end was cut off']);
    unlinkSync(rotated(2));
    unlinkSync(rotated(3));
    assert.deepEqual(await show(folder, '--after-sequence', '1'), [0, [4], 'assertionctl: lines 2 to 3 are in none of the files']);
    assert.deepEqual(await show(folder, '--after-sequence', '0'), [0, [1, 4], 'assertionctl: lines 2 to 3 are in none of the files']);
    assert.deepEqual(await show(at, '--after-sequence', '3'), [0, [4], '']);
    assert.deepEqual(await show(at, '--after-sequence', '2'), [0, [4], 'assertionctl: line 3 is in none of the files']);
    assert.deepEqual(await show(folder), [0, [1, 4], '']);
    assert.equal((await show(folder, '--after-sequence', '-1'))[0], 2);
  });

  it('is followed after a line that its reader has, over a rotation', async () => {
    const { folder, at, line, rotated } = logOf('resumed-', [1, 2], 3);
    const follower = startProcess(path.join(process.env.E2E_BIN_DIR, 'assertionctl'),
      ['audit', 'show', folder, '--after-sequence', '1', '--follow'], { log: path.join(folder, 'follower.log') });
    const printed = new Lines(follower, 'stdout');
    const deadline = new Deadline(30, 'the follower to show a line');
    const next = async () => JSON.parse(await printed.next(deadline)).seq;
    assert.deepEqual([await next(), await next()], [2, 3]);
    renameSync(at, rotated(3));
    writeFileSync(at, line(4));
    assert.equal(await next(), 4);
    appendFileSync(at, line(7));
    assert.equal(await next(), 7);
    follower.kill();
    await deadline.limit(follower.ended);
    assert.match(readFileSync(path.join(folder, 'follower.log'), 'utf8'), /^assertionctl: lines 5 to 6 are in none of the files$/m);
  });

  // Each at once: a test that hangs here has failed.
  it('is not looked for in a FIFO among the files', async () => {
    const fifo = path.join(deployment.folder, 'audit.log.fifo');
    await run('mkfifo', [fifo]);
    for (const command of [['verify', '--key', key], ['show']]) {
      const { status, stderr } = await deployment.tryCtl('audit', ...command, ...files(), fifo);
      assert.equal(status, 3, stderr);
      assert.ok(stderr.includes(`${fifo} cannot be read: it is a FIFO, not a regular file`), stderr);
    }
    unlinkSync(fifo);
    const piped = await output('sh', ['-c', 'cat "$1" | "$0" audit show /dev/stdin',
      path.join(process.env.E2E_BIN_DIR, 'assertionctl'), files()[0]]);
    assert.match(piped, /"seq":/);
  });

  it('is left alone by SIGHUP unless somebody moved it', async () => {
    const moved = path.join(deployment.folder, 'audit.log.1');
    renameSync(log, moved);
    deployment.daemon.kill('SIGHUP');
    await new Deadline(30, 'a new audit log').until(() => {
      try { return statSync(log).size > 0; } catch { return false; }
    });
    await create();
    assert.equal((await verify()).status, 0, (await verify()).stdout);
  });

  it('only who has a role learns where it stands', async () => {
    const caller = new Caller(KeyAdminService, deployment.socket);
    const head = await caller.call('GetAuditHead', {});
    caller.close();
    assert.ok(head.sequence > 0);
    assert.equal(JSON.parse(head.jwk).kty, 'RSA');
    assert.equal(JSON.parse(head.jwk).d, undefined);
  });

  it('loses no assertion that a client received when the process is killed', async () => {
    const received = [];
    for (let death = 0; death < 20; ++death) {
      const callers = [1, 2, 3, 4].map(() => new Caller(AssertionService, deployment.socket));
      let living = true;
      let answered = 0;
      const work = callers.map(async (caller) => {
        while (living) {
          const answer = await caller.call('CreateAssertion', { client_id: 'orders' }).catch(() => null);
          if (answer) received.push(jtiOf(answer.assertion));
          answered += answer ? 1 : 0;
        }
      });
      await new Deadline(60, 'assertions').until(() => answered > 5 + death);
      await deployment.stopDaemon('SIGKILL');
      living = false;
      await Promise.all(work);
      for (const caller of callers) caller.close();
      await deployment.startDaemon();
    }
    assert.ok(received.length > 200, `${received.length} assertions`);
    const logged = new Set((await lines()).map((line) => line.jti));
    assert.deepEqual(received.filter((jti) => !logged.has(jti)), []);
    const { status, stdout } = await verify();
    assert.equal(status, 0, stdout);
  });
});

describe('a full disk', () => {
  let deployment;
  let disk;

  before(async () => {
    disk = path.join(temporaryFolder(), 'disk');
    mkdirSync(disk);
    await asRoot('mount', ['-t', 'tmpfs', '-o', `size=256k,mode=700,uid=${process.getuid()}`, 'audit', disk]);
    deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }], {
      audit: { path: path.join(disk, 'audit.log'), checkpoint_lines: 1 }, http_listen: '127.0.0.1:0',
    });
    await deployment.generateKey('orders');
  });

  after(async () => {
    try {
      await deployment?.close();
    } finally {
      await asRoot('umount', [disk]);
    }
  });

  it('releases nothing, says why, and goes on by itself when there is room', async () => {
    const create = () => deployment.tryCtl('assertion', 'create', '--client-id', 'orders');
    const jti = jtiOf(await deployment.createAssertion('orders'));
    const filler = path.join(disk, 'filler');
    await run('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1k']);
    // What room the log's last page still has is used up first.
    let refused;
    const deadline = new Deadline(60, 'a refusal');
    while (!refused) {
      const result = await create();
      if (result.status !== 0) refused = result;
      await deadline.until(() => true);
    }
    assert.match(refused.stderr, /audit log cannot be written/);
    assert.equal(refused.stdout, '');
    const health = new Caller(Health, deployment.socket);
    const serving = async () => (await health.call('Check', {})).status;
    // The first lines that are tried again may still fit.
    await new Deadline(30, 'no readiness').until(async () => {
      const ready = await fetch(`${deployment.httpOrigin}/readyz`);
      return /audit/.test(await ready.text()) && ready.status === 503 && await serving() === 'NOT_SERVING';
    });

    unlinkSync(filler);
    const answers = async () => (await fetch(`${deployment.httpOrigin}/readyz`)).status === 200;
    const end = new Deadline(60, 'readiness');
    await end.until(answers);
    await end.until(async () => await serving() === 'SERVING');
    health.close();
    const later = jtiOf(await deployment.createAssertion('orders'));
    const logged = parse(readFileSync(path.join(disk, 'audit.log'), 'utf8'));
    assert.ok(logged.some((line) => line.jti === jti));
    assert.ok(logged.some((line) => line.jti === later));
    assert.ok(logged.find((line) => line.event === 'LogResumed').refused >= 0);
    const key = path.join(deployment.folder, 'audit.jwk');
    await deployment.ctl('audit', 'key', '--out', key);
    await deployment.ctl('audit', 'verify', path.join(disk, 'audit.log'), '--key', key);
  });
});

describe('standard streams that a launcher closed', () => {
  it('are not the audit log', async () => {
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [AUDIENCE] }]);
    await deployment.generateKey('orders');
    for (const closed of ['<&- >&- 2>&-', '2>&-']) {
      await deployment.stopDaemon();
      deployment.launcher = ['sh', '-c', `exec "$@" ${closed}`, 'sh'];
      deployment.daemon = deployment.launchDaemon();
      await new Deadline(30, 'an assertion').until(async () => (await deployment.tryCtl('assertion', 'create', '--client-id', 'orders')).status === 0);
      assert.equal(readlinkSync(`/proc/${deployment.daemon.pid}/fd/2`), '/dev/null');
    }
    await deployment.close();
  });
});
