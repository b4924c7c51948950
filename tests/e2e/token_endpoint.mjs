// A token endpoint that answers what the test says, when it says so, and keeps the forms that it got.
import { EventEmitter, once } from 'node:events';
import http from 'node:http';
import https from 'node:https';

export class TokenEndpoint extends EventEmitter {
  forms;   // of the token requests since reset()
  headers; // their headers
  answer;  // [status, body, headers]; a string is sent as it is
  held;    // resolves when it may answer

  // tls: { key, cert } in PEM; without it speaks http.
  static async start(tls) {
    const made = new TokenEndpoint();
    const answer = (request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', async () => {
        made.headers.push(request.headers);
        made.forms.push(new URLSearchParams(Buffer.concat(chunks).toString()));
        made.emit('form');
        await made.held;
        const [status, body, headers] = made.answer;
        response.writeHead(status, headers).end(typeof body === 'string' ? body : JSON.stringify(body));
      });
    };
    made.server = (tls ? https.createServer(tls, answer) : http.createServer(answer)).listen(0, '127.0.0.1');
    await once(made.server, 'listening');
    made.url = `${tls ? 'https' : 'http'}://127.0.0.1:${made.server.address().port}/token`;
    return made;
  }

  reset(token) {
    this.forms = [];
    this.headers = [];
    this.held = undefined;
    this.answer = [200, token];
  }

  close() { this.server.close(); }
}
