import assertion.v1.CreateAssertionRequest;
import assertion.v1.CreateAssertionResponse;
import assertion.v1.CreateDpopProofRequest;
import assertion.v1.CreateRequestObjectRequest;
import assertion.v1.GetAccessTokenRequest;
import assertion.v1.GetCertificateRequest;
import assertion.v1.GetJwksRequest;
import assertiond.client.AssertiondException;
import assertiond.client.Client;
import assertiond.client.PrivateKeyJwtSigner;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.stream.Stream;

/** Uses assertiond-client as a program would: client_contract.mjs describes the verbs. */
public final class Contract {
  private static final String SERVER = System.getenv("ASSERTIOND_SERVER");
  private static final CreateAssertionRequest ORDERS = request("orders");

  private Contract() {}

  private static CreateAssertionRequest request(String clientId) {
    return CreateAssertionRequest.newBuilder().setClientId(clientId).build();
  }

  private static Duration seconds(String text) {
    return Duration.ofMillis((long) (Double.parseDouble(text) * 1000));
  }

  private static double since(long nanos) {
    return (System.nanoTime() - nanos) / 1e9;
  }

  private static String codeOf(CompletableFuture<?> failed) {
    try {
      failed.join();
      return "not refused";
    } catch (CompletionException e) {
      return ((AssertiondException) e.getCause()).code().name();
    }
  }

  private static String messageOf(Runnable action) {
    try {
      action.run();
      return "not refused";
    } catch (IllegalArgumentException | IllegalStateException e) {
      return e.getMessage().replace("\"", "'");
    }
  }

  private static String stream(int count) {
    Set<String> jtis = new HashSet<>();
    List<String> refused = new ArrayList<>();
    try (var client = Client.connect(SERVER, Duration.ofSeconds(60)); var stream = client.stream()) {
      List<CompletableFuture<CreateAssertionResponse>> answers = new ArrayList<>();
      for (int i = 0; i < count; i++) {
        answers.add(stream.submit(i % 10 == 0 ? request("foreign") : ORDERS));
      }
      for (int i = 0; i < count; i++) {
        var answer = answers.get(i);
        if (answer.handle((reply, failure) -> failure == null && jtis.add(reply.getJti())).join()) {
          continue;
        }
        refused.add("[" + i + ",\"" + codeOf(answer) + "\"]");
      }
    }
    return "{\"jtis\":" + jtis.size() + ",\"refused\":" + refused + "}";
  }

  private static String rate(int calls, Duration timeout) {
    long started = System.nanoTime();
    try (var client = Client.connect(SERVER, Duration.ofSeconds(20))) {
      client.createAssertion(ORDERS);
      for (int i = 1; i < calls; i++) {
        client.createAssertion(ORDERS, timeout);
      }
    }
    return "{\"seconds\":" + since(started) + "}";
  }

  private static String patience(int calls, Duration timeout) {
    long started = System.nanoTime();
    try (var client = Client.connect(SERVER, timeout); var stream = client.stream()) {
      var answers = Stream.generate(() -> stream.submit(ORDERS)).limit(calls).toList();
      answers.forEach(CompletableFuture::join);
    }
    return "{\"seconds\":" + since(started) + "}";
  }

  private static String restart() throws IOException {
    Set<String> jtis = new HashSet<>();
    try (var client = Client.connect(SERVER, Duration.ofSeconds(20)); var stream = client.stream()) {
      jtis.add(client.createAssertion(ORDERS).getJti());
      jtis.add(stream.submit(ORDERS).join().getJti());
      System.out.println("called");
      new BufferedReader(new InputStreamReader(System.in)).readLine();
      jtis.add(client.createAssertion(ORDERS).getJti());
      jtis.add(stream.submit(ORDERS).join().getJti());
    }
    return "{\"jtis\":" + jtis.size() + "}";
  }

  private static String down(Duration timeout) {
    long started = System.nanoTime();
    try (var client = Client.connect(SERVER, timeout)) {
      client.createAssertion(ORDERS);
      return "\"not refused\"";
    } catch (AssertiondException e) {
      return "{\"code\":\"" + e.code() + "\",\"retryable\":" + e.retryable() + ",\"seconds\":" + since(started) + "}";
    }
  }

  private static String token() {
    try (var client = Client.connect(SERVER)) {
      var request = GetAccessTokenRequest.newBuilder().setClientId("orders").build();
      var first = client.getAccessToken(request);
      var second = client.getAccessToken(request);
      return "{\"type\":\"" + first.getTokenType() + "\",\"same\":" + first.getAccessToken().equals(second.getAccessToken())
          + ",\"validFor\":" + (first.getExpiresAt().getSeconds() - System.currentTimeMillis() / 1e3) + "}";
    }
  }

  private static String quoted(String text) {
    return "\"" + text.replace("\"", "\\\"").replace("\n", "\\n") + "\"";
  }

  private static String others() {
    try (var client = Client.connect(SERVER)) {
      var proof = CreateDpopProofRequest.newBuilder().setClientId("shop").setHtm("POST").setHtu("https://as.example.org/");
      var object = CreateRequestObjectRequest.newBuilder().setClientId("shop");
      return "{\"proof\":" + quoted(client.createDpopProof(proof.build()).getProof())
          + ",\"object\":" + quoted(client.createRequestObject(object.build()).getRequestObject())
          + ",\"certificate\":" + quoted(client.getCertificate(
              GetCertificateRequest.newBuilder().setClientId("shop").build()).getPem())
          + ",\"keys\":" + quoted(client.getJwks(GetJwksRequest.newBuilder().setClientId("shop").build()).getJwks()) + "}";
    }
  }

  private static String misuse() {
    return "{\"plaintext\":\"" + messageOf(() -> Client.connect("localhost:1")) + "\",\"timeout\":\""
        + messageOf(() -> Client.connect(SERVER, Duration.ZERO)) + "\"}";
  }

  private static String tls(String address, Duration timeout, String authorities, String certificate, String key) throws IOException {
    var identity = new Client.Tls(Path.of(authorities), Path.of(certificate), Path.of(key));
    try (var client = Client.connect(address, identity, timeout)) {
      return "{\"jti\":\"" + client.createAssertion(ORDERS).getJti() + "\"}";
    }
  }

  // ---- for clients_java.test.mjs ----

  /** close() ends a stream's request; afterwards nothing is taken. The server accepts and does not answer. */
  private static String close() throws IOException {
    var address = UnixDomainSocketAddress.of(SERVER.substring("unix:".length()) + ".silent");
    try (var server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
      server.bind(address);
      var client = Client.connect("unix:" + address);
      var stream = client.stream();
      var answer = stream.submit(ORDERS);
      server.accept();
      client.close();
      return "{\"stream\":\"" + codeOf(answer) + "\",\"next\":\"" + messageOf(() -> client.createAssertion(ORDERS))
          + "\",\"submit\":\"" + messageOf(() -> stream.submit(ORDERS)) + "\"}";
    }
  }

  private static String missing() {
    try (var client = Client.connect(SERVER, Duration.ofSeconds(5)); var stream = client.stream()) {
      return "{\"call\":" + quoted(messageOf(() -> client.createAssertion(null))) + ",\"stream\":"
          + quoted(messageOf(() -> stream.submit(null))) + ",\"parts\":"
          + stream.submit(ORDERS).join().getAssertion().split("\\.").length + "}";
    }
  }

  private static String signer() {
    try (var client = Client.connect(SERVER)) {
      var signer = new PrivateKeyJwtSigner(client);
      var parameters = signer.parameters("orders", "");
      return "{\"names\":\"" + new java.util.TreeSet<>(parameters.keySet()) + "\",\"type\":\""
          + parameters.get("client_assertion_type") + "\",\"parts\":" + signer.sign("orders", "").split("\\.").length + "}";
    }
  }

  private static String run(String[] arguments) throws IOException {
    return switch (arguments[0]) {
      case "stream" -> stream(Integer.parseInt(arguments[1]));
      case "rate" -> rate(Integer.parseInt(arguments[1]), seconds(arguments[2]));
      case "patience" -> patience(Integer.parseInt(arguments[1]), seconds(arguments[2]));
      case "restart" -> restart();
      case "down" -> down(seconds(arguments[1]));
      case "token" -> token();
      case "others" -> others();
      case "misuse" -> misuse();
      case "tls" -> tls(arguments[1], seconds(arguments[2]), arguments[3], arguments[4], arguments[5]);
      case "close" -> close();
      case "missing" -> missing();
      case "signer" -> signer();
      default -> throw new IllegalArgumentException(arguments[0]);
    };
  }

  public static void main(String[] arguments) throws IOException {
    try {
      System.out.println(run(arguments));
    } catch (AssertiondException e) {
      System.err.println(e.code() + ", retry after " + e.retryAfter().map(delay -> delay.toNanos() / 1e9).orElse(null));
      System.exit(1);
    }
  }
}
