// What a browser does: by a plain HTTP client, and Debian's Chromium itself.
import http from 'node:http';
import { chromium } from 'playwright-core';

// One request; no redirect is followed. headers may name another Host, which fetch does not allow.
export function exchange(url, { method = 'GET', headers = {}, form } = {}) {
  const body = form && new URLSearchParams(form).toString();
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, agent: false,
      headers: { ...body ? { 'content-type': 'application/x-www-form-urlencoded' } : {}, ...headers } }, (reply) => {
      const chunks = [];
      reply.on('data', (chunk) => chunks.push(chunk));
      reply.on('error', reject).on('end', () => resolve({ status: reply.statusCode, headers: reply.headers,
        body: Buffer.concat(chunks).toString() }));
    });
    request.on('error', reject).end(body);
  });
}

export const launchChromium = () => chromium.launch({ executablePath: '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
