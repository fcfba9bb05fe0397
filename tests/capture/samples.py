"""One event of each kind, with everything in it that it may hold."""

from mitm import events
from mitm.events import Event

AT = 1_700_000_000.25

SAMPLES: list[Event] = [
    events.ScenarioStarted(
        time=AT,
        scenario="skip-verify",
        title="Encryption without verification",
        client="python",
        client_title="Python, grpcio",
        cast=(
            events.Member("client", "client", "Python, grpcio, policy skip-verify"),
            events.Member("attacker", "interceptor", "presents the certificate 'attacker-ca'"),
            events.Member("server", "server", "users.v1.UserService"),
        ),
        legs=(
            events.ScriptedLeg(("client", "server"), "genuine", "skip-verify", "connected"),
            events.ScriptedLeg(
                ("client", "attacker", "server"), "intercepted", "skip-verify", "compromised"
            ),
        ),
        point="Encryption without verification protects nothing.",
        fix="Verify.",
    ),
    events.Issued(
        time=AT,
        authority="public CA",
        member="server",
        name="localhost",
        address="127.0.0.1",
        sha256="ab" * 32,
    ),
    events.Renewed(time=AT, server="server", sha256="ab" * 32, calls_kept=1, calls_lost=1),
    events.LegStarted(
        time=AT,
        scenario="skip-verify",
        number=0,
        leg="genuine",
        path=("client", "server"),
        target="localhost:50051",
    ),
    events.LegLeftOut(time=AT, scenario="skip-verify", number=1, reason="unknown policy"),
    events.LegEnded(
        time=AT,
        scenario="skip-verify",
        number=1,
        leg="intercepted",
        verdict="compromised",
        reason="because",
        client={"exit_code": 0, "answer": {"user": {"name": "Nicolas"}}, "problem": ""},
        server_calls=({"method": "/a.B/C", "peer": "127.0.0.1:40001", "status": "OK"},),
    ),
    events.Connected(time=AT, connection=1, client="127.0.0.1:40000"),
    events.Destination(time=AT, connection=1, address="users.example:443"),
    events.Tunnelled(time=AT, connection=2, address="192.0.2.7:443", name="elsewhere.example"),
    events.ClientHello(
        time=AT,
        connection=1,
        server_name="jörg.example",
        alpn=("h2",),
        versions=("TLSv1.3", "TLSv1.2"),
        cipher_suites=("TLS_AES_128_GCM_SHA256", "0x00ff"),
    ),
    events.ClientHello(
        time=AT, connection=2, server_name=None, alpn=(), versions=(), cipher_suites=()
    ),
    events.Plaintext(time=AT, connection=1),
    events.UpstreamConnected(
        time=AT,
        connection=1,
        address="127.0.0.1:50051",
        local="127.0.0.1:40001",
        version="TLSv1.3",
        alpn="h2",
    ),
    events.UpstreamFailed(
        time=AT, connection=1, address="127.0.0.1:50051", reason="Connection refused"
    ),
    events.ClientCertificateRefused(
        time=AT,
        connection=1,
        address="127.0.0.1:50051",
        how="alert",
        presented=False,
        alert="certificate_required",
        number=116,
    ),
    events.ClientCertificate(time=AT, connection=1),
    events.ClientCertificate(
        time=AT,
        connection=2,
        subject="CN=Jörg",
        issuer="CN=Lab CA",
        names=("client.example", "spiffe://example/client"),
        sha256="0" * 64,
        proved=True,
    ),
    events.CertificatePresented(
        time=AT,
        connection=1,
        certificate="attacker-ca",
        subjects=("CN=localhost", "CN=Attacker CA"),
        issuer="CN=Attacker CA",
        sha256="00" * 32,
    ),
    events.HandshakeCompleted(
        time=AT, connection=1, version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256", alpn=None
    ),
    events.Interrupted(time=AT, connection=1, how="goaway"),
    events.Alert(time=AT, connection=1, by="client", name="unknown_ca", number=48),
    events.ApplicationData(
        time=AT, connection=1, direction="client", encrypted=True, sample=b"PRI * HTTP/2.0\r\n\xff"
    ),
    events.Frame(
        time=AT,
        connection=1,
        direction="server",
        stream=0,
        type="SETTINGS",
        flags=("ACK",),
        length=0,
        detail="MAX_FRAME_SIZE=16384",
    ),
    events.Headers(
        time=AT,
        connection=1,
        direction="client",
        stream=1,
        kind="request",
        method="/users.v1.UserService/GetUser",
        headers=((":path", "/users.v1.UserService/GetUser"), ("x-a", "\x1b[2J"), ("x-a", "twice")),
        end_stream=True,
    ),
    events.Message(
        time=AT,
        connection=1,
        direction="server",
        stream=1,
        method="/users.v1.UserService/GetUser",
        type="users.v1.User",
        size=5,
        compressed=True,
        value={"id": "1", "tags": ["a", {"b": None}], "ratio": 0.5, "ok": True},
        raw=b"\x00\xffraw",
        truncated=True,
    ),
    events.Rewritten(
        time=AT,
        connection=1,
        direction="server",
        stream=1,
        method="/users.v1.UserService/GetUser",
        part="message",
        type="users.v1.User",
        before={"id": "1", "name": "Nicolas"},
        after={"id": "1", "name": "Mallory"},
    ),
    events.NotRewritten(time=AT, connection=1, direction="server", stream=1, reason="too long"),
    events.PartialFrame(time=AT, connection=1, type="HEADERS", received=20),
    events.ParseFailed(time=AT, connection=1, direction="client", reason="not HTTP/2"),
    events.ParseFailed(time=AT, connection=1, direction="client", reason="flags", stream=1),
    events.Closed(
        time=AT,
        connection=1,
        by="client",
        how="close-notify",
        phase="established",
        client_bytes=10,
        server_bytes=20,
        reason="because",
    ),
]
