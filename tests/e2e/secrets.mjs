// Looks for a PIN and for private keys where none may be: in every file under a folder and in what /proc shows of a
// process.
import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

// moduli: of the RSA keys whose factors to look for, as big-endian octets. Returns a line for each finding.
export function describeSecrets({ folder, pinFile, processes = [], moduli = [] }) {
  const pin = readFileSync(pinFile, 'utf8').trimEnd();
  const found = [];
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.path ?? entry.parentPath, entry.name));
  for (const pid of processes) files.push(`/proc/${pid}/environ`, `/proc/${pid}/cmdline`);
  for (const file of files) {
    let content;
    try {
      content = readFileSync(file);
    } catch (error) {
      // Of a process that shields itself even its own user sees no environment.
      if (error.code === 'EACCES' && file.endsWith('/environ')) continue;
      if (error.code === 'ENOENT' && file.startsWith(folder)) continue;  // the daemon, which still runs, has removed it
      throw error;
    }
    if (file !== pinFile && showsPin(content, pin)) found.push(`${file}: the PIN`);
    for (const kind of privateKeys(content, moduli)) found.push(`${file}: ${kind}`);
  }
  return found;
}

// The PIN as it is, and in the encodings in which it would slip into a log or an address.
function showsPin(content, pin) {
  const octets = Buffer.from(pin);
  const hex = octets.toString('hex');
  const forms = [octets, Buffer.from(pin, 'utf16le'), Buffer.from(hex), Buffer.from(hex.toUpperCase())];
  // In base64 the same octets look different at each of three offsets; the outer digits depend on the neighbours.
  for (const offset of [0, 1, 2]) {
    const base64 = Buffer.concat([Buffer.alloc(offset), octets]).toString('base64').replace(/=+$/, '');
    forms.push(Buffer.from(base64.slice(offset === 0 ? 0 : offset + 1, -1)));
  }
  return forms.some((form) => content.includes(form));
}

function privateKeys(content, moduli) {
  const kinds = new Set();
  const text = content.toString('latin1');
  const marker = /-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY/.exec(text);
  if (marker) kinds.add(`the PEM marker ${marker[0]}`);
  if (/"(d|p|q|dp|dq|qi)"\s*:\s*"[\w-]{16,}/.test(text)) kinds.add('a private member of a JWK');
  for (const octets of [content, ...decodedRuns(text)]) {
    for (const type of derKeys(octets)) kinds.add(`a private key in DER (${type})`);
    if (moduli.some((modulus) => holdsFactor(octets, modulus))) kinds.add('a prime factor of an RSA key');
  }
  return kinds;
}

// The octets behind every longer run of hexadecimal or base64 digits.
function* decodedRuns(text) {
  for (const [run] of text.matchAll(/[0-9a-fA-F]{128,}/g)) yield Buffer.from(run, 'hex');
  for (const [run] of text.matchAll(/[A-Za-z0-9+/_-]{40,}(\s+[A-Za-z0-9+/_-]+)*/g)) yield Buffer.from(run, 'base64');
}

// RFC 5958, RFC 8017 appendix A.1.2, RFC 5915: each is a SEQUENCE that begins with the INTEGER 0 or 1.
function* derKeys(octets) {
  for (let at = octets.indexOf(0x30); at !== -1; at = octets.indexOf(0x30, at + 1)) {
    const long = octets[at + 1] & 0x80 ? octets[at + 1] & 0x7f : 0;
    if (long > 3 || at + 2 + long > octets.length) continue;
    const body = at + 2 + long;
    if (octets[body] !== 0x02 || octets[body + 1] !== 0x01 || octets[body + 2] > 1) continue;
    const length = long ? octets.readUIntBE(at + 2, long) : octets[at + 1];
    for (const type of ['pkcs8', 'pkcs1', 'sec1']) {
      try {
        createPrivateKey({ key: octets.subarray(at, body + length), format: 'der', type });
        yield type;
      } catch {
        // not of this type
      }
    }
  }
  // PBES2 (RFC 8018 appendix A.4), which marks a private key under a password.
  if (octets.includes(Buffer.from('06092a864886f70d01050d', 'hex'))) yield 'encrypted';
}

// Whether a window of half the modulus' length divides the modulus: that is a prime of it, in whatever format.
function holdsFactor(octets, modulus) {
  const number = BigInt(`0x${modulus.toString('hex')}`);
  const size = modulus.length / 2;
  for (const order of [octets, Buffer.from(octets).reverse()]) {
    const hex = order.toString('hex');
    for (let at = 0; at + size <= order.length; ++at) {
      // A prime of an RSA key has its highest and its lowest bit set.
      if (order[at] < 0x80 || order[at + size - 1] % 2 === 0) continue;
      if (number % BigInt(`0x${hex.slice(2 * at, 2 * (at + size))}`) === 0n) return true;
    }
  }
  return false;
}
