// Joins a TCP port to a Unix socket: node hsm_listener.mjs SOCKET PORT
// A line on its standard input is for how many milliseconds it holds back what comes from now on, each way.
import net from 'node:net';
import { createInterface } from 'node:readline';

const [socket, port] = process.argv.slice(2);
let delay = 0;
createInterface({ input: process.stdin }).on('line', (line) => { delay = Number(line); }).on('close', () => process.exit());

// In order: what comes later is never sent earlier.
function pass(from, to) {
  const held = [];   // of { due, act }
  const release = () => {
    while (held.length > 0 && held[0].due <= performance.now()) held.shift().act();
    if (held.length > 0) setTimeout(release, Math.max(1, held[0].due - performance.now()));
  };
  const later = (act) => {
    held.push({ due: performance.now() + delay, act });
    if (held.length === 1) release();
  };
  from.on('data', (octets) => later(() => { if (!to.destroyed) to.write(octets); }));
  from.on('error', () => {});
  from.on('close', () => later(() => to.destroy()));
}

net.createServer({ noDelay: true }, (near) => {
  const far = net.connect(socket);
  pass(near, far);
  pass(far, near);
}).listen(Number(port), () => process.stdout.write('listening\n'));
