import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.Socket;
import java.security.KeyStore;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import users.v1.UserServiceGrpc;
import users.v1.Users.GetUserRequest;
import users.v1.Users.User;

/**
 * Asks the server for a user.
 *
 * <p>Run as: Client HOST:PORT CA_FILE
 */
public final class Client {
  private static final String TOKEN = "opens-nothing-5ec4e704";

  /** What Java itself makes of a CA. */
  private static X509ExtendedTrustManager pkix(String caFile) throws Exception {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    try (InputStream file = new FileInputStream(caFile)) {
      store.setCertificateEntry(
          "ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
    }
    TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
    factory.init(store);
    return (X509ExtendedTrustManager) factory.getTrustManagers()[0];
  }

  /**
   * Verifies the chain by Java's own means. The certificate is for the public name of the service,
   * not for what is dialled here.
   */
  private static final class Chain extends X509ExtendedTrustManager {
    private final X509ExtendedTrustManager pkix;

    Chain(X509ExtendedTrustManager pkix) {
      this.pkix = pkix;
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine)
        throws CertificateException {
      pkix.checkServerTrusted(chain, type);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket)
        throws CertificateException {
      pkix.checkServerTrusted(chain, type);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type)
        throws CertificateException {
      pkix.checkServerTrusted(chain, type);
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, SSLEngine engine) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type, Socket socket) {
      throw new UnsupportedOperationException();
    }

    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {
      throw new UnsupportedOperationException();
    }

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  private static ChannelCredentials credentials(String caFile) throws Exception {
    return TlsChannelCredentials.newBuilder().trustManager(new Chain(pkix(caFile))).build();
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
