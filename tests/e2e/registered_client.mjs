// A deployment whose client "orders" is registered at a real OpenID provider. Its client "shop" makes DPoP proofs and request
// objects; its client "foreign" has other callers.
import { Deployment } from './deployment.mjs';
import { OpenIdProvider } from './openid_provider.mjs';

// callers: of orders, besides the user of this process. configuration, prepare: as of Deployment.start.
export async function startRegistered({ callers = [], configuration, prepare } = {}) {
  const provider = await OpenIdProvider.start();
  const deployment = await Deployment.start([
    { client_id: 'orders', audiences: [provider.tokenEndpoint], callers: [`uid:${process.getuid()}`, ...callers],
      extra_claims: ['acr', 'amr', 'level', 'nothing'], tokens: { token_endpoint: provider.tokenEndpoint } },
    { client_id: 'shop', audiences: [provider.tokenEndpoint], purposes: ['dpop', 'request_object'] },
    { client_id: 'foreign', audiences: [provider.tokenEndpoint], callers: ['uid:4294967294'] },
  ], configuration, prepare);
  await deployment.generateKey('orders');
  await deployment.generateKey('shop');
  provider.register([{ client_id: 'orders', jwks: await deployment.jwks('orders') }]);
  return { provider, deployment };
}
