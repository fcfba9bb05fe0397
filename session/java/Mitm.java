package mitm;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.function.ThrowingConsumer;

/**
 * Tries forged certificates on the client of your own tests, one dynamic test of JUnit 5 for each.
 *
 * <p>Copy this file into src/test/java/mitm (Java 17 or newer), and let mitm-demo run the tests;
 * without it they are skipped: {@code mitm-demo audit --session -- mvn test}
 */
public final class Mitm {
  private static final String COMMAND = "mitm-demo audit --session -- mvn test";
  private static final String SESSION = System.getenv("MITM_SESSION");

  // No proxy of the JVM's settings: the session is on this machine.
  private static final HttpClient HTTP =
      HttpClient.newBuilder().proxy(HttpClient.Builder.NO_PROXY).build();

  private Mitm() {}

  /**
   * A certificate, or an attack, that is presented on a port of its own: what to dial (host:port),
   * the file of the CA to trust, what a correct client does (accept, reject), the weight of that
   * (must, should, info), the file of the genuine certificate, and the name to expect in it.
   */
  public record Case(
      String name,
      String target,
      String ca,
      String expect,
      String severity,
      String title,
      String pin,
      String serverName) {
    private static Case of(String line) {
      String[] told = line.split("\t", -1);
      return new Case(told[0], told[1], told[2], told[3], told[4], told[5], told[6], told[7]);
    }

    /** Goes by what the client sent: what it threw, "" if its call succeeded, is only quoted. */
    private void judge(ThrowingConsumer<Case> client) throws Throwable {
      String error = "";
      try {
        client.accept(this);
      } catch (Exception thrown) {
        error = thrown + (thrown.getCause() == null ? "" : ", by " + thrown.getCause());
      }
      String path = "/cases/" + URLEncoder.encode(name, UTF_8).replace("+", "%20") + "/judge";
      String[] answer = ask(path, error).split("\n", 2);
      assumeTrue(!answer[0].equals("skip"), answer[1]);
      if (!answer[0].equals("ok")) {
        fail("\n" + answer[1]);
      }
    }
  }

  /** Returns from a method with {@code @TestFactory} a test for each certificate. */
  public static Stream<DynamicTest> cases(ThrowingConsumer<Case> client) throws Exception {
    if (SESSION == null) {
      String how = "skipped, no certificates are presented: run this by " + COMMAND;
      System.err.println(how); // Surefire does not tell why a test was skipped.
      return Stream.of(DynamicTest.dynamicTest("no session", () -> assumeTrue(false, how)));
    }
    Stream<Case> cases = ask("/cases.tsv", null).lines().map(Case::of);
    return DynamicTest.stream(cases, Case::name, each -> each.judge(client));
  }

  /** Makes a request of the session: GET, or POST if there is a body. */
  private static String ask(String path, String body) throws InterruptedException {
    try {
      HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(SESSION + path));
      request.timeout(Duration.ofMinutes(1)).header("Accept", "text/plain");
      if (body != null) {
        request.header("Content-Type", "text/plain; charset=utf-8");
        request.POST(HttpRequest.BodyPublishers.ofString(body));
      }
      HttpResponse<String> answer =
          HTTP.send(request.build(), HttpResponse.BodyHandlers.ofString());
      if (answer.statusCode() != 200) {
        fail("mitm-demo answers " + answer.statusCode() + ": " + answer.body());
      }
      return answer.body();
    } catch (IOException | IllegalArgumentException error) {
      return fail("mitm-demo does not answer (" + error + "): run this by " + COMMAND);
    }
  }
}
