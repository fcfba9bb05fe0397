import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.FileInputStream;
import java.io.InputStream;
import java.net.Socket;
import java.security.GeneralSecurityException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.List;
import java.util.concurrent.TimeUnit;
import javax.net.ssl.SSLEngine;
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
  private static final String TOKEN = "opens-nothing-5ec4e706";

  /** Sees that the certificate is from our CA, and for this server. */
  private static final class Verifier extends X509ExtendedTrustManager {
    private final X509Certificate ca;

    Verifier(String caFile) throws Exception {
      try (InputStream file = new FileInputStream(caFile)) {
        ca =
            (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(file);
      }
    }

    private void verify(X509Certificate[] chain, String name) throws CertificateException {
      X509Certificate leaf = chain[0];
      try {
        chain[chain.length - 1].verify(ca.getPublicKey());
        for (int i = 0; i + 1 < chain.length; i++) {
          chain[i].verify(chain[i + 1].getPublicKey());
        }
      } catch (GeneralSecurityException error) {
        throw new CertificateException(error);
      }
      checkName(leaf, name);
    }

    /** Whether a certificate is for a name, by its alternative names (2: a DNS name, RFC 5280). */
    private static void checkName(X509Certificate leaf, String name) throws CertificateException {
      if (leaf.getSubjectAlternativeNames() != null) {
        for (List<?> each : leaf.getSubjectAlternativeNames()) {
          if (each.get(0).equals(2) && name.equalsIgnoreCase((String) each.get(1))) {
            return;
          }
        }
      }
      throw new CertificateException("not for " + name);
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, SSLEngine engine)
        throws CertificateException {
      verify(chain, engine.getPeerHost());
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type, Socket socket)
        throws CertificateException {
      throw new CertificateException("gRPC comes with an engine");
    }

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type)
        throws CertificateException {
      throw new CertificateException("for which name?");
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
    return TlsChannelCredentials.newBuilder().trustManager(new Verifier(caFile)).build();
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
