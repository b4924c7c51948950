// Gets an access token with a client assertion of assertiond's, and prints the identity server's answer.
//
//   node client.mjs PROTO_DIR CLIENT_ID TOKEN_ENDPOINT      with $ASSERTIOND_SERVER unix:/path
import process from 'node:process';
import { connect } from './assertions.mjs';

const [protos, clientId, tokenEndpoint] = process.argv.slice(2);
const assertions = connect(process.env.ASSERTIOND_SERVER, protos);

// A new assertion for every request, retries included.
async function requestToken() {
  const { assertion, client_assertion_type: type } =
    await assertions.createAssertion({ client_id: clientId, audience: tokenEndpoint });
  const response = await fetch(tokenEndpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'client_credentials', client_assertion_type: type, client_assertion: assertion,
    }),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`identity server: ${response.status} ${answer}`);
  return answer;
}

try {
  console.log(await requestToken());
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  assertions.close();
}
