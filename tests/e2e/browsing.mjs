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

// What a person does in the provider's forms, without a browser. Returns the last page.
export async function fillForms(url) {
  const cookies = new Map();
  let next = { url };
  for (let hop = 0; hop < 20; ++hop) {
    const reply = await exchange(next.url, { method: next.form ? 'POST' : 'GET', form: next.form,
      headers: cookies.size > 0 ? { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') } : {} });
    for (const cookie of reply.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie);
      if (value) cookies.set(name, value); else cookies.delete(name);
    }
    if (reply.headers.location) {
      next = { url: new URL(reply.headers.location, next.url).href };
    } else if (reply.body.includes('<form')) {
      const [, action] = /<form[^>]* action="([^"]*)"/.exec(reply.body);
      const [, prompt] = /name="prompt" value="([^"]*)"/.exec(reply.body);
      next = { url: new URL(action, next.url).href, form: { prompt, login: 'ann', password: 'secret' } };
    } else {
      return reply;
    }
  }
  throw new Error(`the provider redirects without end, last to ${next.url}`);
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
