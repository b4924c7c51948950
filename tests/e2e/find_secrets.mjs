// Prints where a PIN or a private key can be found, a line for each finding. Needs no package beyond Node.js.
//
//   node find_secrets.mjs FOLDER PIN_FILE [JWKS_FILE|PID]...
//
// Searches every file under FOLDER and what /proc shows of the processes; of the RSA keys in a JWK Set it looks for the
// prime factors too. Exit status: 0 nothing found; 1 something found, or the search failed; 2 wrong usage.
import { readFileSync } from 'node:fs';
import { describeSecrets } from './secrets.mjs';

const [folder, pinFile, ...rest] = process.argv.slice(2);
if (!pinFile) {
  process.stderr.write('usage: node find_secrets.mjs FOLDER PIN_FILE [JWKS_FILE|PID]...\n');
  process.exit(2);
}
const isPid = (word) => /^\d+$/.test(word);
const moduli = rest.filter((word) => !isPid(word))
  .flatMap((file) => JSON.parse(readFileSync(file, 'utf8')).keys)
  .map((jwk) => Buffer.from(jwk.n, 'base64url'));
const found = describeSecrets({ folder, pinFile, processes: rest.filter(isPid), moduli });
for (const line of found) process.stdout.write(`${line}\n`);
process.exitCode = found.length > 0 ? 1 : 0;
