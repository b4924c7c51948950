import assertiond.client.AssertiondException;
import assertiond.client.Client;
import assertiond.client.PrivateKeyJwtSigner;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.stream.Collectors;

/**
 * Gets an access token with a client assertion, and prints the identity server's answer. AUDIENCE: one of the client's;
 * default: its first.
 */
public final class BuyToken {
  private BuyToken() {}

  static String buyToken(Client assertiond, String clientId, String tokenEndpoint, String audience)
      throws IOException, InterruptedException {
    var form = new HashMap<>(new PrivateKeyJwtSigner(assertiond).parameters(clientId, audience));
    form.put("grant_type", "client_credentials");
    String body = form.entrySet().stream()
        .map(field -> field.getKey() + "=" + URLEncoder.encode(field.getValue(), StandardCharsets.UTF_8))
        .collect(Collectors.joining("&"));
    var request = HttpRequest.newBuilder(URI.create(tokenEndpoint)).timeout(Duration.ofSeconds(10))
        .header("content-type", "application/x-www-form-urlencoded")
        .POST(HttpRequest.BodyPublishers.ofString(body)).build();
    var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    if (answer.statusCode() != 200) {
      throw new IOException("identity server: " + answer.statusCode() + " " + answer.body());
    }
    return answer.body();
  }

  public static void main(String[] arguments) {
    try {
      if (arguments.length != 2 && arguments.length != 3) {
        throw new IllegalArgumentException("usage: BuyToken CLIENT_ID TOKEN_ENDPOINT [AUDIENCE]");
      }
      String server = System.getenv("ASSERTIOND_SERVER");
      if (server == null) {
        throw new IllegalArgumentException("BuyToken: set ASSERTIOND_SERVER to unix:/path of assertiond's socket");
      }
      try (var assertiond = Client.connect(server)) {
        System.out.println(buyToken(assertiond, arguments[0], arguments[1], arguments.length == 3 ? arguments[2] : ""));
      }
    } catch (AssertiondException | IllegalArgumentException | IOException | InterruptedException e) {
      System.err.println(e.getMessage());
      System.exit(1);
    }
  }
}
