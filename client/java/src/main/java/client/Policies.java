package client;

import static java.nio.charset.StandardCharsets.US_ASCII;

import io.grpc.ChannelCredentials;
import io.grpc.InsecureChannelCredentials;
import io.grpc.TlsChannelCredentials;
import io.grpc.netty.shaded.io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Map;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;

/** Whom to trust: each policy is one short method. Compare them side by side. */
final class Policies {
  interface Policy {
    ChannelCredentials credentials(Arguments arguments)
        throws Usage, IOException, GeneralSecurityException;
  }

  static final Map<String, Policy> ALL =
      Map.of(
          "insecure", Policies::insecure,
          "skip-verify", Policies::skipVerify,
          "no-ca", Policies::noCa,
          "ca-file", Policies::caFile,
          "system-roots", Policies::systemRoots,
          "pinned", Policies::pinned,
          "skip-hostname", Policies::skipHostname,
          "pinned-key", Policies::pinnedKey);

  /** No encryption: everybody on the way reads along. */
  static ChannelCredentials insecure(Arguments arguments) {
    return InsecureChannelCredentials.create();
  }

  /** Encryption with anybody: no certificate is refused. */
  static ChannelCredentials skipVerify(Arguments arguments) {
    return TlsChannelCredentials.newBuilder()
        .trustManager(InsecureTrustManagerFactory.INSTANCE.getTrustManagers())
        .build();
  }

  /** Verification, but no CA given: the roots that the JDK has, its cacerts. */
  static ChannelCredentials noCa(Arguments arguments) {
    return TlsChannelCredentials.create();
  }

  /** Verification with a CA file: trust what this CA has signed, and nothing else. */
  static ChannelCredentials caFile(Arguments arguments) throws Usage, IOException {
    return TlsChannelCredentials.newBuilder().trustManager(pem(arguments.ca, "--ca")).build();
  }

  /** Verification with the machine's own roots: the JDK knows no SSL_CERT_FILE, so it is opened. */
  static ChannelCredentials systemRoots(Arguments arguments) throws Usage, IOException {
    String store =
        System.getenv().getOrDefault("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    return TlsChannelCredentials.newBuilder()
        .trustManager(pem(new File(store), "SSL_CERT_FILE"))
        .build();
  }

  /** Verification with the server's own certificate: trust this server, and nobody else. */
  static ChannelCredentials pinned(Arguments arguments) throws Usage, IOException {
    return TlsChannelCredentials.newBuilder().trustManager(pem(arguments.pin, "--pin")).build();
  }

  /** Half right: the chain is verified, the name is not. Any certificate of this CA will do. */
  static ChannelCredentials skipHostname(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    X509TrustManager pkix = trusting(certificate(arguments.ca, "--ca"));
    return verifiedBy((chain, keyType) -> pkix.checkServerTrusted(chain, keyType));
  }

  /** The server's key, by the SHA-256 of its SubjectPublicKeyInfo: outlives the certificate. */
  static ChannelCredentials pinnedKey(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    byte[] pin = keyHash(certificate(arguments.pin, "--pin"));
    return verifiedBy(
        (chain, keyType) -> {
          if (!MessageDigest.isEqual(pin, keyHash(chain[0]))) {
            throw new CertificateException("the server's key is not the pinned one");
          }
        });
  }

  private static byte[] keyHash(X509Certificate certificate) throws CertificateException {
    try {
      return MessageDigest.getInstance("SHA-256").digest(certificate.getPublicKey().getEncoded());
    } catch (GeneralSecurityException error) {
      throw new CertificateException(error);
    }
  }

  // --- trust managers -----------------------------------------------------------------------

  private interface Verifier {
    void check(X509Certificate[] chain, String keyType) throws CertificateException;
  }

  /**
   * Puts a decision of one's own in the place of everything that Java checks.
   *
   * <p>It has to be an extended trust manager: to a plain one, the JDK adds the check of the name.
   */
  private static ChannelCredentials verifiedBy(Verifier verifier) {
    X509ExtendedTrustManager manager =
        new X509ExtendedTrustManager() {
          @Override
          public void checkServerTrusted(X509Certificate[] chain, String keyType, SSLEngine engine)
              throws CertificateException {
            verifier.check(chain, keyType);
          }

          @Override
          public void checkServerTrusted(X509Certificate[] chain, String keyType, Socket socket)
              throws CertificateException {
            verifier.check(chain, keyType);
          }

          @Override
          public void checkServerTrusted(X509Certificate[] chain, String keyType)
              throws CertificateException {
            verifier.check(chain, keyType);
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
        };
    return TlsChannelCredentials.newBuilder().trustManager(manager).build();
  }

  /** The trust manager that the JDK makes of a CA, to put a decision of one's own around it. */
  private static X509TrustManager trusting(Certificate ca)
      throws IOException, GeneralSecurityException {
    KeyStore roots = KeyStore.getInstance(KeyStore.getDefaultType());
    roots.load(null, null);
    roots.setCertificateEntry("ca", ca);
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(roots);
    return (X509TrustManager) factory.getTrustManagers()[0];
  }

  // --- files --------------------------------------------------------------------------------

  private static X509Certificate certificate(File file, String option) throws Usage, IOException {
    try (InputStream stream = Files.newInputStream(pem(file, option).toPath())) {
      return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(stream);
    } catch (CertificateException error) {
      throw new Usage(option + ": " + file + ": " + error.getMessage());
    }
  }

  /** A PEM file that holds a certificate. */
  private static File pem(File file, String option) throws Usage {
    if (file == null) {
      throw new Usage("this policy needs " + option + " FILE");
    }
    try {
      if (new String(Files.readAllBytes(file.toPath()), US_ASCII)
          .contains("-----BEGIN CERTIFICATE-----")) {
        return file;
      }
    } catch (IOException error) {
      throw new Usage(option + ": cannot read " + file + ": " + error.getMessage());
    }
    throw new Usage(option + ": " + file + " holds no PEM certificate");
  }

  private Policies() {}
}
