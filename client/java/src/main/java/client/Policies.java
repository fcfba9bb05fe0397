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
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
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
          "pinned-key", Policies::pinnedKey,
          "mutual-tls", Policies::mutualTls);

  /** No encryption: everybody on the way reads along. */
  static ChannelCredentials insecure(Arguments arguments) {
    return InsecureChannelCredentials.create();
  }

  /** Encryption with anybody: no certificate is refused. */
  static ChannelCredentials skipVerify(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    return presenting(arguments)
        .trustManager(InsecureTrustManagerFactory.INSTANCE.getTrustManagers())
        .build();
  }

  /** Verification, but no CA given: the roots that the JDK has, its cacerts. */
  static ChannelCredentials noCa(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    return presenting(arguments).build();
  }

  /** Verification with a CA file: trust what this CA has signed, and nothing else. */
  static ChannelCredentials caFile(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    return presenting(arguments).trustManager(pem(arguments.ca, "--ca")).build();
  }

  /** Verification with the machine's own roots: the JDK knows no SSL_CERT_FILE, so it is opened. */
  static ChannelCredentials systemRoots(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    String store =
        System.getenv().getOrDefault("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    return presenting(arguments).trustManager(pem(new File(store), "SSL_CERT_FILE")).build();
  }

  /** Verification with the server's own certificates: trust this server, and nobody else. */
  static ChannelCredentials pinned(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    // Of a file, gRPC keeps one certificate a subject: not the present one and the next.
    return presenting(arguments)
        .trustManager(trusting(certificates(arguments.pin, "--pin")))
        .build();
  }

  /** Half right: the chain is verified, the name is not. Any certificate of this CA will do. */
  static ChannelCredentials skipHostname(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    X509TrustManager pkix = trusting(certificates(arguments.ca, "--ca"));
    return verifiedBy(arguments, (chain, keyType) -> pkix.checkServerTrusted(chain, keyType));
  }

  /** The server's key, by the SHA-256 of its SubjectPublicKeyInfo: outlives the certificate. */
  static ChannelCredentials pinnedKey(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    List<ByteBuffer> pins = new ArrayList<>();
    for (X509Certificate certificate : certificates(arguments.pin, "--pin")) {
      pins.add(keyHash(certificate));
    }
    return verifiedBy(
        arguments,
        (chain, keyType) -> {
          if (!pins.contains(keyHash(chain[0]))) {
            throw new CertificateException("the server's key is not a pinned one");
          }
        });
  }

  /** Verification both ways: the server must be the CA's, and sees who this client is. */
  static ChannelCredentials mutualTls(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    if (arguments.cert == null) {
      throw new Usage("this policy needs --cert FILE and --key FILE");
    }
    return caFile(arguments);
  }

  private static ByteBuffer keyHash(X509Certificate certificate) throws CertificateException {
    try {
      byte[] key = certificate.getPublicKey().getEncoded();
      return ByteBuffer.wrap(MessageDigest.getInstance("SHA-256").digest(key));
    } catch (GeneralSecurityException error) {
      throw new CertificateException(error);
    }
  }

  /** What is shown to a server that asks, whomever the client trusts. */
  private static TlsChannelCredentials.Builder presenting(Arguments arguments)
      throws Usage, IOException, GeneralSecurityException {
    TlsChannelCredentials.Builder builder = TlsChannelCredentials.newBuilder();
    if (arguments.cert != null) {
      File cert = pem(arguments.cert, "--cert");
      File key = pem(arguments.key, "--key", "PRIVATE KEY");
      builder.keyManager(cert, key);
    }
    return builder;
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
  private static ChannelCredentials verifiedBy(Arguments arguments, Verifier verifier)
      throws Usage, IOException, GeneralSecurityException {
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
    return presenting(arguments).trustManager(manager).build();
  }

  /** The trust manager that the JDK makes of certificates. */
  private static X509TrustManager trusting(List<X509Certificate> roots)
      throws IOException, GeneralSecurityException {
    KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
    store.load(null, null);
    for (X509Certificate root : roots) {
      store.setCertificateEntry(String.valueOf(store.size()), root);
    }
    TrustManagerFactory factory =
        TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
    factory.init(store);
    return (X509TrustManager) factory.getTrustManagers()[0];
  }

  // --- files --------------------------------------------------------------------------------

  private static List<X509Certificate> certificates(File file, String option)
      throws Usage, IOException {
    try (InputStream stream = Files.newInputStream(pem(file, option).toPath())) {
      List<X509Certificate> found = new ArrayList<>();
      for (Certificate each :
          CertificateFactory.getInstance("X.509").generateCertificates(stream)) {
        found.add((X509Certificate) each);
      }
      return found;
    } catch (CertificateException error) {
      throw new Usage(option + ": " + file + ": " + error.getMessage());
    }
  }

  /** A PEM file that holds a certificate. */
  private static File pem(File file, String option) throws Usage {
    return pem(file, option, "CERTIFICATE");
  }

  /** A PEM file that holds a certificate, or a key. */
  private static File pem(File file, String option, String what) throws Usage {
    if (file == null) {
      throw new Usage("this policy needs " + option + " FILE");
    }
    try {
      if (new String(Files.readAllBytes(file.toPath()), US_ASCII).contains(what + "-----")) {
        return file;
      }
    } catch (IOException error) {
      throw new Usage(option + ": cannot read " + file + ": " + error.getMessage());
    }
    throw new Usage(option + ": " + file + " holds no PEM " + what.toLowerCase(Locale.ROOT));
  }

  private Policies() {}
}
