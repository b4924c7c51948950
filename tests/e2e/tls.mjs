// A TLS server's own key and certificate, for 127.0.0.1 and this run.
import { execFileSync } from 'node:child_process';

// Returns { key, cert }, both PEM. They come through a pipe, so that the key never is a file.
export function selfSigned() {
  const pem = execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', '-',
    '-subj', '/CN=end-to-end test', '-addext', 'subjectAltName=IP:127.0.0.1'], { encoding: 'utf8', stdio: 'pipe' });
  const certificate = pem.indexOf('-----BEGIN CERTIFICATE-----');
  return { key: pem.slice(0, certificate), cert: pem.slice(certificate) };
}
