// TLS of the JDK, as a client: java Client.java PORT CA [CERT KEY]. It says on stderr why it failed.
import java.io.ByteArrayInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManagerFactory;

public class Client {
  public static void main(String[] arguments) throws Exception {
    KeyStore trusted = KeyStore.getInstance("PKCS12");
    trusted.load(null, null);
    trusted.setCertificateEntry("ca", read(arguments[1])[0]);
    TrustManagerFactory trust = TrustManagerFactory.getInstance("PKIX");
    trust.init(trusted);
    KeyManager[] own = null;
    if (arguments.length > 2) {
      String key = Files.readString(Path.of(arguments[3])).replaceAll("-----.*?-----|\\s", "");
      PKCS8EncodedKeySpec spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(key));
      char[] password = "none".toCharArray();
      KeyStore store = KeyStore.getInstance("PKCS12");
      store.load(null, null);
      Certificate[] chain = read(arguments[2]);
      store.setKeyEntry("own", KeyFactory.getInstance("EC").generatePrivate(spec), password, chain);
      KeyManagerFactory keys = KeyManagerFactory.getInstance("SunX509");
      keys.init(store, password);
      own = keys.getKeyManagers();
    }
    SSLContext context = SSLContext.getInstance("TLS");
    context.init(own, trust.getTrustManagers(), null);
    int port = Integer.parseInt(arguments[0]);
    try (SSLSocket socket = (SSLSocket) context.getSocketFactory().createSocket("localhost", port)) {
      socket.setSoTimeout(5000);
      socket.startHandshake();
      socket.getInputStream().read();
      socket.getInputStream().read();
    } catch (Exception error) {
      System.err.println(error);
    }
  }

  private static Certificate[] read(String path) throws Exception {
    byte[] pem = Files.readAllBytes(Path.of(path));
    return CertificateFactory.getInstance("X.509")
        .generateCertificates(new ByteArrayInputStream(pem))
        .toArray(new Certificate[0]);
  }
}
