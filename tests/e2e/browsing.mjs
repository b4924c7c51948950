// What a browser does: by a plain HTTP client, and Debian's Chromium itself.
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { Deadline, temporaryFolder } from './process.mjs';

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

// A desktop whose xdg-open keeps its argument.
export function desktop(environment) {
  const folder = mkdtempSync(path.join(temporaryFolder(), 'desktop-'));
  const opened = path.join(folder, 'opened');
  writeFileSync(path.join(folder, 'xdg-open'), `#!/bin/sh\nprintf %s "$1" >${opened}.new && mv ${opened}.new ${opened}\n`,
    { mode: 0o755 });
  const env = { ...environment, DISPLAY: ':9', XDG_RUNTIME_DIR: folder, PATH: `${folder}:${process.env.PATH}` };
  return { env, opened: async () => {
    await new Deadline(30, 'xdg-open').until(() => existsSync(opened));
    return readFileSync(opened, 'utf8');
  } };
}

export const launchChromium = () => chromium.launch({ executablePath: '/usr/bin/chromium',
  args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
