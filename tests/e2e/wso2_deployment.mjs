// A deployment of assertiond whose operator has an access token of a WSO2 stand-in.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Deployment } from './deployment.mjs';
import { describeSecrets } from './secrets.mjs';

// A deployment and an access token for the stand-in, in a file of the deployment's folder.
export async function deploymentFor(standIn, clients) {
  const deployment = await Deployment.start(clients);
  for (const { client_id: client } of clients) await deployment.generateKey(client);
  deployment.token = randomBytes(24).toString('base64url');
  deployment.tokenFile = path.join(deployment.folder, 'token');
  writeFileSync(deployment.tokenFile, `${deployment.token}\n`, { mode: 0o600 });
  standIn.tokens.add(deployment.token);
  return deployment;
}

// Ends it: the token is in its own file alone, whatever was asked and answered.
export async function closeDeployment(deployment) {
  if (!deployment) return;
  const leaks = describeSecrets({ folder: deployment.folder, pinFile: deployment.tokenFile });
  await deployment.close();
  assert.deepEqual(leaks, []);
}
