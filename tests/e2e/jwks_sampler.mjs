// Reads a JWK Set ten times a second until it is ended: node jwks_sampler.mjs URL
// A line each: { began, ended, status, maxAge, keys }; began and ended are milliseconds since 1970, status 0 means that
// nobody answered.
import http from 'node:http';

const [url] = process.argv.slice(2);
const PAUSE = 100;   // milliseconds
const LIMIT = 2000;

const read = () => new Promise((resolve) => {
  const began = Date.now();
  const done = (answer) => resolve({ began, ended: Date.now(), ...answer });
  const request = http.get(url, { agent: false, timeout: LIMIT }, (reply) => {
    const parts = [];
    reply.on('data', (part) => parts.push(part));
    reply.on('error', () => done({ status: 0 }));
    reply.on('end', () => {
      const [, maxAge] = /max-age=(\d+)/.exec(reply.headers['cache-control'] ?? '') ?? [];
      done({
        status: reply.statusCode, maxAge: Number(maxAge ?? 0),
        keys: reply.statusCode === 200 ? JSON.parse(Buffer.concat(parts)).keys : [],
      });
    });
  });
  request.on('timeout', () => request.destroy());
  request.on('error', () => done({ status: 0 }));
});

process.stdin.on('end', () => process.exit()).resume();
for (;;) {
  process.stdout.write(`${JSON.stringify(await read())}\n`);
  await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
}
