// Prism between a client and a server: it holds every request and every answer against an OpenAPI description.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { mkdtempSync } from 'node:fs';
import path from 'node:path';
import { Deadline, Lines, startProcess, temporaryFolder } from './process.mjs';

const PACKAGE = createRequire(import.meta.url).resolve('@stoplight/prism-cli/package.json');
const PROGRAM = path.join(path.dirname(PACKAGE), 'dist/index.js');

// Starts it in front of upstream, on a port of 127.0.0.1 that the system chooses. Returns its origin.
export async function startPrism(description, upstream) {
  const file = fileURLToPath(new URL(description, import.meta.url));
  const log = path.join(mkdtempSync(path.join(temporaryFolder(), 'prism-')), 'prism.log');
  const child = startProcess(process.execPath,
    [PROGRAM, 'proxy', file, upstream, '--errors', '--host', '127.0.0.1', '--port', '0'], { log });
  const lines = new Lines(child, 'stdout');
  const deadline = new Deadline(60, 'Prism to listen');
  for (;;) {
    const [, origin] = /Prism is listening on (http:\S+)/.exec(await lines.next(deadline)) ?? [];
    if (origin) return origin;
  }
}
