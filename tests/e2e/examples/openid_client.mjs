// Plugs assertiond into openid-client (version 6) as the signer of its client authentication: the library does the
// protocol, and no private key is in this process. Prints the identity server's answer to client_credentials.
//
//   node openid_client.mjs PROTO_DIR CLIENT_ID ISSUER      with $ASSERTIOND_SERVER unix:/path
import process from 'node:process';
import * as openid from 'openid-client';
import { connect } from './assertions.mjs';

const [protos, clientId, issuer] = process.argv.slice(2);
const assertions = connect(process.env.ASSERTIOND_SERVER, protos);

// openid-client calls it before each request that the client has to authenticate: to the token endpoint, and to those
// of introspection, revocation and PAR. So each request has an assertion of its own.
async function privateKeyJwt(server, client, body) {
  const { assertion, client_assertion_type: type } =
    await assertions.createAssertion({ client_id: client.client_id, audience: server.token_endpoint });
  body.set('client_id', client.client_id);
  body.set('client_assertion_type', type);
  body.set('client_assertion', assertion);
}

try {
  const options = issuer.startsWith('http:') ? { execute: [openid.allowInsecureRequests] } : {};  // in tests only
  const configuration = await openid.discovery(new URL(issuer), clientId, undefined, privateKeyJwt, options);
  console.log(JSON.stringify(await openid.clientCredentialsGrant(configuration)));
} catch (error) {
  console.error(error.cause ? `${error.message}: ${JSON.stringify(error.cause)}` : error.message);
  process.exitCode = 1;
} finally {
  assertions.close();
}
