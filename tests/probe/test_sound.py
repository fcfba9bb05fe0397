"""Sound servers are clean, whatever they are made of; the project's own among them."""

import asyncio
import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from mitm import content
from mitm.lab.builds import NotBuilt, ToolMissing, ready
from mitm.lab.clients import load_client
from tests.probe.lab import CLIENT, METHOD, Lab, finding, holes, probed
from tests.programs import running

# A server that says who its client is, and asks nobody what that one may.
AUTHENTICATES = {"wrong-identity"}

NODE = """
const grpc = require("@grpc/grpc-js");
const fs = require("fs");
const folder = process.argv[2];
const read = (name) => fs.readFileSync(`${folder}/${name}`);
const server = new grpc.Server();
const plain = { serialize: (value) => value, deserialize: (value) => value };
server.addService(
  {
    GetUser: {
      path: "/users.v1.UserService/GetUser",
      requestStream: false,
      responseStream: false,
      requestSerialize: plain.serialize,
      requestDeserialize: plain.deserialize,
      responseSerialize: plain.serialize,
      responseDeserialize: plain.deserialize,
    },
  },
  { GetUser: (call, done) => done(null, Buffer.alloc(0)) },
);
const pair = [{ private_key: read("server.key"), cert_chain: read("server.pem") }];
const credentials = grpc.ServerCredentials.createSsl(read("clients.pem"), pair, true);
server.bindAsync("127.0.0.1:0", credentials, (error, port) => console.log(port));
"""


JAVA = """
import io.grpc.*;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.ServerCalls;
import java.io.*;
import java.net.InetSocketAddress;

public class Sound {
  static final MethodDescriptor.Marshaller<byte[]> BYTES = new MethodDescriptor.Marshaller<>() {
    public InputStream stream(byte[] value) { return new ByteArrayInputStream(value); }
    public byte[] parse(InputStream stream) {
      try { return stream.readAllBytes(); } catch (IOException e) { throw new RuntimeException(e); }
    }
  };

  public static void main(String[] words) throws Exception {
    File folder = new File(words[0]);
    var method = MethodDescriptor.newBuilder(BYTES, BYTES)
        .setType(MethodDescriptor.MethodType.UNARY)
        .setFullMethodName("users.v1.UserService/GetUser").build();
    var service = ServerServiceDefinition.builder("users.v1.UserService")
        .addMethod(method, ServerCalls.asyncUnaryCall((byte[] request, io.grpc.stub.StreamObserver<byte[]> answer) -> {
          answer.onNext(new byte[0]);
          answer.onCompleted();
        })).build();
    var credentials = TlsServerCredentials.newBuilder()
        .keyManager(new File(folder, "server.pem"), new File(folder, "server.key"))
        .trustManager(new File(folder, "clients.pem"))
        .clientAuth(TlsServerCredentials.ClientAuth.REQUIRE).build();
    var server = NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0), credentials)
        .addService(service).build().start();
    System.out.println(server.getPort());
    server.awaitTermination();
  }
}
"""  # noqa: E501


@contextmanager
def grpcio_serving(lab: Lab, *, required: bool = True) -> Iterator[int]:
    """grpcio, as its documentation has it."""
    server = grpc.server(ThreadPoolExecutor(4))
    service, _, name = METHOD.rpartition("/")
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda request, context: b""
    )
    known = grpc.method_handlers_generic_handler(service[1:], {name: handler})
    server.add_generic_rpc_handlers((known,))
    pair = [(lab.folder / f"server.{end}").read_bytes() for end in ("key", "pem")]
    credentials = grpc.ssl_server_credentials(
        [(pair[0], pair[1])],
        root_certificates=(lab.folder / "clients.pem").read_bytes(),
        require_client_auth=required,
    )
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    yield port
    server.stop(None).wait()


@pytest.mark.parametrize("method", [METHOD, "/grpc.health.v1.Health/Check"])
def test_grpcio_that_requires_certificates(lab: Lab, method: str) -> None:
    with grpcio_serving(lab) as port:
        report = probed(lab, port, method=method)
    assert holes(report) == AUTHENTICATES
    assert not report.failing()


def test_grpcio_that_does_not_require_certificates(lab: Lab) -> None:
    with grpcio_serving(lab, required=False) as port:
        assert "no-certificate" in holes(probed(lab, port))


def test_grpc_js_that_requires_certificates(lab: Lab, tmp_path: Path) -> None:
    folder = built("node", "client.js")
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    (tmp_path / "server.js").write_text(NODE)
    with running("node", tmp_path / "server.js", lab.folder) as process:
        assert process.stdout is not None
        report = probed(lab, int(process.stdout.readline()))
    assert holes(report) == AUTHENTICATES
    assert not report.failing()


def test_grpc_java_that_requires_certificates(lab: Lab, tmp_path: Path) -> None:
    folder = built("java", "client.jar")
    (tmp_path / "Sound.java").write_text(JAVA)
    jars = f"{folder / 'client.jar'}:{folder / 'lib'}/*"
    quick = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    with running("java", *quick, "-cp", jars, tmp_path / "Sound.java", lab.folder) as process:
        assert process.stdout is not None
        report = probed(lab, int(process.stdout.readline()))
    assert holes(report) == AUTHENTICATES
    assert not report.failing()


def built(name: str, file: str) -> Path:
    """Where a client of the lab was built, and with it the libraries that a server is made of."""
    try:
        client = asyncio.run(ready(load_client(name), build=False))
    except (NotBuilt, ToolMissing) as error:
        pytest.skip(str(error))
    (folder,) = {Path(word).parent for word in client.command if word.endswith(file)}
    return folder


@contextmanager
def own_serving(program: Path, *arguments: str | Path) -> Iterator[int]:
    """A server of the project's own."""
    command = (sys.executable, program, "--listen", "127.0.0.1:0", *arguments)
    with running(*command) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield int(told["listening"].rpartition(":")[2])


def tls(lab: Lab) -> tuple[str | Path, ...]:
    return ("--cert", lab.folder / "server.pem", "--key", lab.folder / "server.key")


@pytest.mark.parametrize(("allowed", "expected"), [((), AUTHENTICATES), ((CLIENT,), set())])
def test_the_servers_mutual_tls_is_clean(
    allowed: tuple[str, ...], expected: set[str], lab: Lab
) -> None:
    names = [word for name in allowed for word in ("--allow", name)]
    ca = ("--client-ca", lab.folder / "clients.pem")
    with own_serving(content.SERVER, *tls(lab), *ca, *names) as port:
        report = probed(lab, port)
    assert holes(report) == expected
    assert not report.failing()
    if allowed:
        assert "PERMISSION_DENIED" in finding(report, "wrong-identity").reason


def test_an_ingress_that_takes_any_client_certificate_is_not(lab: Lab) -> None:
    ingress = content.SERVER.parent / "ingress.py"
    with own_serving(content.SERVER) as behind:
        upstream = ("--upstream", f"127.0.0.1:{behind}", "--client-certificates", "any")
        with own_serving(ingress, *tls(lab), *upstream) as port:
            report = probed(lab, port)
    found = holes(report)
    named = {"client-unknown-ca", "client-unknown-ca-named", "client-imitated-ca"}
    assert {"client-self-signed", *named} <= found
    assert "client-other-key" not in found
    assert report.failing()
