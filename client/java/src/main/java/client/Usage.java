package client;

/** What is wrong with what the client was told, in one line. */
final class Usage extends Exception {
  Usage(String message) {
    super(message.lines().findFirst().orElse(""));
  }
}
