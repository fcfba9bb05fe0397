import io.grpc.CallOptions;
import io.grpc.ManagedChannel;
import io.grpc.MethodDescriptor;
import io.grpc.netty.shaded.io.grpc.netty.GrpcSslContexts;
import io.grpc.netty.shaded.io.grpc.netty.NettyChannelBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.SslContextBuilder;
import io.grpc.netty.shaded.io.netty.handler.ssl.util.InsecureTrustManagerFactory;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.io.InputStream;
import java.util.concurrent.TimeUnit;

/** A client of gRPC in Java: {@code CARELESS} in its environment has it trust everybody. */
final class MyClient {
  private MyClient() {}

  static byte[] getUser(String target, String ca) throws Exception {
    SslContextBuilder tls = GrpcSslContexts.forClient();
    if (System.getenv("CARELESS") == null) {
      tls.trustManager(new File(ca));
    } else {
      tls.trustManager(InsecureTrustManagerFactory.INSTANCE);
    }
    ManagedChannel channel = NettyChannelBuilder.forTarget(target).sslContext(tls.build()).build();
    MethodDescriptor<byte[], byte[]> method =
        MethodDescriptor.newBuilder(new Bytes(), new Bytes())
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName("users.v1.UserService/GetUser")
            .build();
    try {
      CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(5, TimeUnit.SECONDS);
      return ClientCalls.blockingUnaryCall(channel, method, options, new byte[0]);
    } finally {
      channel.shutdownNow().awaitTermination(5, TimeUnit.SECONDS);
    }
  }

  /** Messages as they are on the wire. */
  private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
    @Override
    public InputStream stream(byte[] message) {
      return new ByteArrayInputStream(message);
    }

    @Override
    public byte[] parse(InputStream message) {
      try {
        return message.readAllBytes();
      } catch (java.io.IOException error) {
        throw new java.io.UncheckedIOException(error);
      }
    }
  }
}
