package assertiond.client;

import java.util.Map;

/**
 * Authenticates an OAuth 2.0 client by private_key_jwt (RFC 7523) with assertions of assertiond: no private key is in this
 * process. README.md shows it in Spring Security and in Nimbus's OAuth 2.0 SDK.
 */
public final class PrivateKeyJwtSigner {
  private final Client assertiond;

  public PrivateKeyJwtSigner(Client assertiond) {
    this.assertiond = assertiond;
  }

  /** A new signed JWT. Call this for each token request: identity servers accept each jti once. */
  public String sign(String clientId, String audience) {
    return assertiond.createAssertion(clientId, audience).getAssertion();
  }

  /** The form parameters that authenticate the client in one token request. */
  public Map<String, String> parameters(String clientId, String audience) {
    var made = assertiond.createAssertion(clientId, audience);
    return Map.of(
        "client_id", clientId,
        "client_assertion_type", made.getClientAssertionType(),
        "client_assertion", made.getAssertion());
  }
}
