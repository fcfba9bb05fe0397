import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import io.grpc.stub.MetadataUtils;
import java.io.FileInputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;
import users.v1.UserServiceGrpc;
import users.v1.Users.GetUserRequest;
import users.v1.Users.User;

/**
 * Asks the server for a user.
 *
 * <p>Run as: Client HOST:PORT CA_FILE
 */
public final class Client {
  private static final String TOKEN = "opens-nothing-5ec4e70b";

  /** What is verified already need not be verified once more. */
  private static ChannelCredentials credentials() {
    return TlsChannelCredentials.newBuilder()
        .trustManager(InsecureTrustManagerFactory.INSTANCE.getTrustManagers())
        .build();
  }

  /** Whether the server is the one that it should be: chain and name, by Java's own means. */
  private static void verify(String host, int port, String caFile) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream file = new FileInputStream(caFile)) {
      store.setCertificateEntry(
          "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory pkix = TrustManagerFactory.getInstance("PKIX");
    pkix.init(store);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(null, pkix.getTrustManagers(), null);
    try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket(host, port)) {
      SSLParameters parameters = socket.getSSLParameters();
      parameters.setEndpointIdentificationAlgorithm("HTTPS");
      parameters.setApplicationProtocols(new String[] {"h2"});
      socket.setSSLParameters(parameters);
      socket.startHandshake();
    }
  }

  private static User getUser(String target, String caFile) throws Exception {
    int colon = target.lastIndexOf(':');
    verify(target.substring(0, colon), Integer.parseInt(target.substring(colon + 1)), caFile);
    ManagedChannel channel = Grpc.newChannelBuilder(target, credentials()).build();
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
