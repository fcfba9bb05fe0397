// A client that verifies with the JDK, and asks over HTTP/2: java Client CA TARGET
import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

public class Client {
    public static void main(String[] arguments) throws Exception {
        var roots = KeyStore.getInstance(KeyStore.getDefaultType());
        roots.load(null);
        try (var pem = new FileInputStream(arguments[0])) {
            var certificates = CertificateFactory.getInstance("X.509").generateCertificates(pem);
            for (var each : certificates) {
                roots.setCertificateEntry("ca" + roots.size(), each);
            }
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(roots);
        var context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        var client = HttpClient.newBuilder().sslContext(context).build();
        var uri = URI.create("https://" + arguments[1] + "/users.v1.UserService/GetUser");
        var message = HttpRequest.BodyPublishers.ofByteArray(new byte[] {0, 0, 0, 0, 2, 8, 1});
        var request = HttpRequest.newBuilder(uri).header("content-type", "application/grpc");
        try {
            client.send(request.POST(message).build(), HttpResponse.BodyHandlers.discarding());
        } catch (java.io.IOException error) {
            System.exit(1);
        }
    }
}
