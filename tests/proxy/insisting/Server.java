// TLS of the JDK that insists on a client certificate: java Server.java FOLDER TLSv1.2|TLSv1.3
import java.io.ByteArrayInputStream;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLServerSocket;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Server {
  public static void main(String[] arguments) throws Exception {
    Path folder = Path.of(arguments[0]);
    CertificateFactory factory = CertificateFactory.getInstance("X.509");
    byte[] pem = Files.readAllBytes(folder.resolve("server.pem"));
    Certificate[] chain =
        factory.generateCertificates(new ByteArrayInputStream(pem)).toArray(new Certificate[0]);
    String key = Files.readString(folder.resolve("server.key")).replaceAll("-----.*?-----|\\s", "");
    char[] password = "none".toCharArray();
    KeyStore own = KeyStore.getInstance("PKCS12");
    own.load(null, null);
    PKCS8EncodedKeySpec spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(key));
    own.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(spec), password, chain);
    KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
    keys.init(own, password);
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    byte[] ca = Files.readAllBytes(folder.resolve("ca.pem"));
    trusted.setCertificateEntry("ca", factory.generateCertificate(new ByteArrayInputStream(ca)));
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(keys.getKeyManagers(), trust.getTrustManagers(), null);
    SSLServerSocket listening =
        (SSLServerSocket)
            context
                .getServerSocketFactory()
                .createServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
    System.out.println(listening.getLocalPort());
    while (true) {
      SSLSocket client = (SSLSocket) listening.accept();
      var parameters = client.getSSLParameters();
      parameters.setApplicationProtocols(new String[] {"h2"});
      parameters.setProtocols(new String[] {arguments[1]});
      parameters.setNeedClientAuth(true);
      client.setSSLParameters(parameters);
      new Thread(() -> serve(client)).start();
    }
  }

  /** HTTP/2's first word, and nothing more, until the client leaves. */
  static void serve(SSLSocket client) {
    try (client) {
      client.startHandshake();
      client.getOutputStream().write(new byte[] {0, 0, 0, 4, 0, 0, 0, 0, 0});
      client.getInputStream().readAllBytes();
    } catch (Exception refused) {
      // The client has been told.
      System.err.println(refused);
    }
  }
}
