// A certification authority as somebody runs one with `openssl ca`: a folder with a key, a certificate and a database
// of what it issued. The folder is not a deployment's: no private key may lie there.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { output, temporaryFolder } from './process.mjs';

const CONFIGURATION = `[ca]
default_ca = ca
[ca]
dir = .
database = index.txt
rand_serial = yes
unique_subject = no
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
policy = anything
preserve = yes
copy_extensions = copy
default_md = sha256
default_days = 90
default_crl_days = 30
[anything]
commonName = optional
organizationName = optional
countryName = optional
[req]
distinguished_name = none
[none]
[issuer]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
`;

export class CertificateAuthority {
  // One that signed itself, or one whose certificate `issuer` signed.
  static async found(name, issuer) {
    const authority = new CertificateAuthority();
    authority.folder = mkdtempSync(path.join(temporaryFolder(), 'ca-'));
    writeFileSync(path.join(authority.folder, 'openssl.cnf'), CONFIGURATION);
    writeFileSync(path.join(authority.folder, 'index.txt'), '');
    const request = await authority.#request('ca', name);
    authority.certificate = issuer ? await issuer.issue(request, { extensions: 'issuer' })
      : await authority.issue(request, { extensions: 'issuer' }, '-selfsign', '-keyfile', 'ca.key');
    writeFileSync(path.join(authority.folder, 'ca.pem'), authority.certificate);
    return authority;
  }

  // Signs a request. validity: two times as `openssl ca` takes them. Returns the certificate in PEM.
  async issue(csr, { extensions = 'leaf', validity } = {}, ...more) {
    writeFileSync(path.join(this.folder, 'request.csr'), csr);
    const [from, until] = validity ?? [];
    await this.#openssl('ca', '-config', 'openssl.cnf', '-batch', '-notext', '-in', 'request.csr', '-out', 'issued.pem',
      '-extensions', extensions, ...(validity ? ['-startdate', from, '-enddate', until] : []), ...more);
    return readFileSync(path.join(this.folder, 'issued.pem'), 'utf8');
  }

  // A request for a key that lives outside any token.
  requestOfAnother(name) {
    return this.#request('other', name);
  }

  // A key that lives outside any token, and its certificate. name: a subject alternative name, for example DNS:a.example.
  // Returns both in PEM.
  async identity(name, validity) {
    const csr = await this.#request('identity', 'somebody', '-addext', `subjectAltName=${name}`);
    const cert = await this.issue(csr, { validity });
    return { cert, key: readFileSync(path.join(this.folder, 'identity.key'), 'utf8') };
  }

  async revoke(certificate) {
    writeFileSync(path.join(this.folder, 'revoked.pem'), certificate);
    await this.#openssl('ca', '-config', 'openssl.cnf', '-revoke', 'revoked.pem');
  }

  // What was revoked up to now, PEM.
  async crl() {
    await this.#openssl('ca', '-config', 'openssl.cnf', '-gencrl', '-out', 'crl.pem');
    return readFileSync(path.join(this.folder, 'crl.pem'), 'utf8');
  }

  async #request(file, name, ...more) {
    await this.#openssl('req', '-new', '-config', 'openssl.cnf', '-newkey', 'rsa:2048', '-nodes', '-keyout',
      `${file}.key`, '-out', `${file}.csr`, '-subj', `/O=Test/CN=${name}`, ...more);
    return readFileSync(path.join(this.folder, `${file}.csr`), 'utf8');
  }

  #openssl(...options) {
    return output('openssl', options, { cwd: this.folder });
  }
}
