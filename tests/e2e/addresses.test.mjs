// An identity server of two addresses, the first of which never answers, as IPv6 does on a network that does not carry it:
// access tokens come from the second.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { AccessTokenService, Caller } from './caller.mjs';
import { Deployment } from './deployment.mjs';
import { describeInNamespaces } from './hsm_network.mjs';
import { Deadline, Lines, startProcess } from './process.mjs';

// In a network of its own. A full backlog drops what more wants to connect.
const SERVER = `
import http.server, json, socket
full = socket.socket()
full.bind(("127.0.0.1", 0))
port = full.getsockname()[1]
full.listen(0)
assert socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)[0][4][0] == "127.0.0.1"
held = []
for _ in range(4):
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex(("127.0.0.1", port))
    held.append(one)
class Tokens(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps({"access_token": "from-the-second", "token_type": "Bearer", "expires_in": 300}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
server = http.server.HTTPServer(("127.0.0.2", port), Tokens)
print(port, flush=True)
server.serve_forever()
`;

describeInNamespaces('an identity server of two addresses', () => {
  it('is asked at the second when the first does not answer', async (context) => {
    let network;
    const url = 'http://localhost:1/token';
    const deployment = await Deployment.start([{ client_id: 'orders', audiences: [url], tokens: { token_endpoint: url } }], {},
      async (prepared) => {
        const hosts = path.join(prepared.folder, 'hosts');
        writeFileSync(hosts, '127.0.0.1 localhost\n127.0.0.2 localhost\n');
        network = startProcess('unshare', ['--net', '--mount', 'sh', '-c',
          `ip link set lo up && mount --bind ${hosts} /etc/hosts && exec /usr/bin/python3 -c "$1"`, 'sh', SERVER],
        { log: path.join(prepared.folder, 'server.log') });
        const port = await new Lines(network, 'stdout').next(new Deadline(30, 'the identity server'));
        writeFileSync(prepared.configuration, readFileSync(prepared.configuration, 'utf8').replaceAll(url, `http://localhost:${port}/token`));
        prepared.launcher = ['nsenter', `--net=/proc/${network.pid}/ns/net`, `--mount=/proc/${network.pid}/ns/mnt`];
      });
    const caller = new Caller(AccessTokenService, deployment.socket);
    context.after(() => {
      caller.close();
      network.kill('SIGKILL');
      deployment.daemon.kill('SIGKILL');
    });
    await deployment.generateKey('orders');
    const token = await caller.call('GetAccessToken', { client_id: 'orders' }, 30);
    assert.equal(token.access_token, 'from-the-second');
  });
});
