package client;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.internal.GrpcUtil;
import io.grpc.stub.MetadataUtils;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.security.GeneralSecurityException;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;
import picocli.CommandLine;
import users.v1.UserServiceGrpc;
import users.v1.Users.GetUserRequest;
import users.v1.Users.User;

/**
 * A gRPC client in Java. How it decides whom to trust is one short method a policy: Policies.java.
 *
 * <p>Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong
 * usage.
 */
public final class Client {
  private static final Gson JSON = new GsonBuilder().disableHtmlEscaping().create();

  // In UTF-8 whatever the locale, and at once.
  private static final PrintStream OUT =
      new PrintStream(new FileOutputStream(FileDescriptor.out), true, UTF_8);

  // Its own log lines are not meant for the person at the terminal.
  private static final Logger GRPC = Logger.getLogger("io.grpc");

  public static void main(String... words) throws Exception {
    GRPC.setLevel(Level.OFF);
    // Netty's threads are left behind: the program ends nevertheless.
    System.exit(run(List.of(words)));
  }

  private static int run(List<String> words) throws Exception {
    if (words.equals(List.of("--version"))) {
      OUT.println(
          "grpc-java "
              + GrpcUtil.getGrpcBuildVersion().getImplementationVersion()
              + ", java "
              + System.getProperty("java.version"));
      return 0;
    }
    if (words.equals(List.of("--batch"))) {
      batch();
      return 0;
    }
    try {
      Arguments arguments = Arguments.ofWords(words.toArray(String[]::new));
      if (arguments.help) {
        CommandLine.usage(arguments, OUT);
        return 0;
      }
      JsonObject answer = answer(arguments);
      OUT.println(JSON.toJson(answer));
      return answer.has("user") ? 0 : 1;
    } catch (Usage usage) {
      System.err.println("client: " + usage.getMessage());
      return 2;
    }
  }

  /** One call a line of stdin, one after the other, each over a channel of its own. */
  private static void batch() throws Exception {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      try {
        OUT.println(JSON.toJson(answer(Arguments.ofJson(line))));
      } catch (Usage usage) {
        JsonObject fields = new JsonObject();
        fields.addProperty("message", usage.getMessage());
        OUT.println(JSON.toJson(object("usage", fields)));
      }
    }
  }

  /** Makes the call, within the time that it is given. */
  private static JsonObject answer(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException, InterruptedException {
    long milliseconds = Math.max(1, (long) (arguments.timeout * 1000));
    ManagedChannelBuilder<?> builder;
    try {
      builder =
          Grpc.newChannelBuilder(
              arguments.target, Policies.ALL.get(arguments.policy).credentials(arguments));
    } catch (IllegalArgumentException error) {
      // It is here that Netty reads the files that the credentials are made of.
      throw new Usage(error.getMessage());
    }
    if (arguments.serverName != null) {
      builder.overrideAuthority(arguments.serverName);
    }
    ManagedChannel channel = builder.build();
    try {
      User user =
          UserServiceGrpc.newBlockingStub(channel)
              .withDeadlineAfter(milliseconds, MILLISECONDS)
              .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers(arguments)))
              .getUser(GetUserRequest.newBuilder().setId(arguments.id).build());
      JsonObject fields = new JsonObject();
      fields.addProperty("id", user.getId());
      fields.addProperty("name", user.getName());
      fields.addProperty("email", user.getEmail());
      return object("user", fields);
    } catch (StatusRuntimeException error) {
      JsonObject fields = new JsonObject();
      fields.addProperty("code", error.getStatus().getCode().name());
      fields.addProperty("message", withCauses(error.getStatus()));
      return object("error", fields);
    } finally {
      channel.shutdownNow().awaitTermination(1, SECONDS);
    }
  }

  /** The token that identifies this client. */
  private static Metadata headers(Arguments arguments) {
    Metadata headers = new Metadata();
    if (arguments.token != null) {
      headers.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
          "Bearer " + arguments.token);
    }
    return headers;
  }

  /** What a status says, and what lies behind it says besides. */
  private static String withCauses(Status status) {
    StringBuilder said = new StringBuilder();
    if (status.getDescription() != null) {
      // Netty's list of handlers, in a line of its own, tells nothing of the cause.
      said.append(status.getDescription().lines().findFirst().orElse(""));
    }
    for (Throwable cause = status.getCause(); cause != null; cause = cause.getCause()) {
      String words = String.valueOf(cause.getMessage());
      if (said.indexOf(words) < 0) {
        said.append(said.isEmpty() ? "" : ": ").append(words);
      }
    }
    return said.toString();
  }

  private static JsonObject object(String name, JsonObject fields) {
    JsonObject object = new JsonObject();
    object.add(name, fields);
    return object;
  }
}
