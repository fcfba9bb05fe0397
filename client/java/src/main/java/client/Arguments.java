package client;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonPrimitive;
import com.google.gson.Strictness;
import java.io.File;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** What the client is told: options on the command line, or the same as JSON. */
@Command(
    name = "client",
    description = "A gRPC client for users.v1.UserService.",
    footer = "Or --batch: the same options as a JSON object a line on stdin. Or --version.",
    sortOptions = false)
final class Arguments {
  private static final Gson JSON = new GsonBuilder().setStrictness(Strictness.STRICT).create();

  @Option(
      names = "--target",
      required = true,
      paramLabel = "HOST:PORT",
      description = "what to dial, and the name that the server must prove")
  String target;

  @Option(
      names = "--policy",
      required = true,
      paramLabel = "POLICY",
      description =
          "whom to trust: insecure, skip-verify, no-ca, ca-file, system-roots, pinned,"
              + " skip-hostname, pinned-key, mutual-tls")
  String policy;

  @Option(
      names = "--ca",
      paramLabel = "FILE",
      description = "for ca-file, skip-hostname and mutual-tls: the CA, PEM")
  File ca;

  @Option(
      names = "--pin",
      paramLabel = "FILE",
      description = "for pinned and pinned-key: certificates, PEM")
  File pin;

  @Option(
      names = "--cert",
      paramLabel = "FILE",
      description = "what to present to a server that asks, PEM, leaf first")
  File cert;

  @Option(names = "--key", paramLabel = "FILE", description = "the key of its leaf, PEM")
  File key;

  @Option(
      names = "--server-name",
      paramLabel = "NAME",
      description = "name to check, if not the target's")
  String serverName;

  @Option(names = "--id", paramLabel = "N", defaultValue = "1", description = "user to ask for")
  long id;

  @Option(names = "--token", paramLabel = "T", description = "sent as `authorization: Bearer T`")
  String token;

  @Option(
      names = "--timeout",
      paramLabel = "S",
      defaultValue = "5",
      description = "seconds, in all")
  double timeout;

  @Option(
      names = {"-h", "--help"},
      usageHelp = true,
      description = "show this and exit")
  boolean help;

  /** The options of a command line. */
  static Arguments ofWords(String... words) throws Usage {
    Arguments arguments = new Arguments();
    try {
      new CommandLine(arguments).setExpandAtFiles(false).parseArgs(words);
    } catch (CommandLine.ParameterException error) {
      throw new Usage(error.getMessage());
    }
    if (!arguments.help) {
      arguments.check();
    }
    return arguments;
  }

  /** The same as a JSON object: each key is an option without its dashes. */
  static Arguments ofJson(String line) throws Usage {
    JsonObject options;
    try {
      options = JSON.fromJson(line, JsonObject.class);
    } catch (JsonParseException error) {
      throw new Usage("not a JSON object");
    }
    if (options == null) {
      throw new Usage("not a JSON object");
    }
    List<String> words = new ArrayList<>();
    for (Map.Entry<String, JsonElement> option : options.entrySet()) {
      if (!(option.getValue() instanceof JsonPrimitive value) || value.isBoolean()) {
        throw new Usage(option.getKey() + ": a string or a number is needed");
      }
      words.add("--" + option.getKey() + "=" + value.getAsString());
    }
    Arguments arguments = ofWords(words.toArray(String[]::new));
    if (arguments.help) {
      throw new Usage("help is for the command line");
    }
    return arguments;
  }

  private void check() throws Usage {
    int colon = target.lastIndexOf(':');
    // Whatever ends a host in a URI would dial something else.
    if (!target.matches("[^/?#@\\s]+:[0-9]{1,5}")
        || Integer.parseInt(target.substring(colon + 1)) > 65_535) {
      throw new Usage("--target: '" + target + "' is not HOST:PORT");
    }
    if (!Policies.ALL.containsKey(policy)) {
      throw new Usage(
          "--policy: '" + policy + "' is none of " + new TreeSet<>(Policies.ALL.keySet()));
    }
    if ((cert == null) != (key == null)) {
      throw new Usage("--cert and --key are given together, or neither");
    }
    if (!(timeout > 0 && timeout <= 86_400)) {
      throw new Usage("--timeout: " + timeout + " is no number of seconds");
    }
  }
}
