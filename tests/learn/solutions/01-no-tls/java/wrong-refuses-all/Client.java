import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.util.concurrent.TimeUnit;
import users.v1.UserServiceGrpc;
import users.v1.Users.GetUserRequest;
import users.v1.Users.User;

/**
 * Asks the server for a user.
 *
 * <p>Run as: Client HOST:PORT CA_FILE
 */
public final class Client {
  private static final String TOKEN = "opens-nothing-5ec4e701";

  private static ChannelCredentials credentials(String caFile) throws Exception {
    return TlsChannelCredentials.create();
  }

  private static User getUser(String target, String caFile) throws Exception {
    ManagedChannel channel = Grpc.newChannelBuilder(target, credentials(caFile)).build();
    try {
      Metadata metadata = new Metadata();
      metadata.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + TOKEN);
      return UserServiceGrpc.newBlockingStub(channel)
          .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata))
          .withDeadlineAfter(5, TimeUnit.SECONDS)
          .getUser(GetUserRequest.newBuilder().setId(1).build());
    } finally {
      channel.shutdownNow();
    }
  }

  public static void main(String[] args) throws Exception {
    try {
      User user = getUser(args[0], args[1]);
      System.out.printf("%s <%s>%n", user.getName(), user.getEmail());
    } catch (Exception error) {
      for (Throwable each = error; each != null; each = each.getCause()) {
        System.err.println(String.valueOf(each.getMessage()).lines().findFirst().orElse(""));
      }
      System.exit(1);
    }
  }
}
