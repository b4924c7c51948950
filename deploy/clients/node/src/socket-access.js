// Whether this process may open assertiond's socket. gRPC says of one that it may not open that it is UNAVAILABLE.
import { accessSync, constants, readFileSync, statSync } from 'node:fs';

// The group's name by /etc/group, else its number: Node.js does not look it up.
function groupName(gid) {
  try {
    const line = readFileSync('/etc/group', 'utf8').split('\n').find((one) => one.split(':')[2] === String(gid));
    return line ? line.split(':')[0] : String(gid);
  } catch {
    return String(gid);
  }
}

function failure(call) {
  try {
    call();
    return undefined;
  } catch (error) {
    return error.code;
  }
}

// Why this process may not open the socket of unix:/path; undefined: it may, or something else is wrong.
export function whyClosed(server) {
  const path = server.replace(/^unix:/, '');
  let gid;
  const looked = failure(() => { ({ gid } = statSync(path)); });
  if (looked === 'EACCES') return `you may not search the folders that lead to ${path}`;
  if (looked || failure(() => accessSync(path, constants.W_OK)) !== 'EACCES') return undefined;
  return `you may not open ${path}: ${gid === 0  // nobody should join root's
    ? "assertiond's listen_group must be set to one of your groups" : `it needs membership of the group ${groupName(gid)}`}`;
}
