"""Clients that behave oddly in how they tell: in time, order, protocol, connections and ending.

Each is a function of the endpoint, and says of itself what is odd, and what becomes of it by
construction: `vulnerable` clients tell something over a forged certificate, `clean` ones nothing,
and of those that are `not_proved` nothing can be said. With the genuine certificate all of them
make a proper call, in their odd way where that can be, but for those that are `no_control`.
"""

import asyncio
import contextlib
import shutil
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import grpc.aio

from mitm.audit import Endpoint
from tests.audit.hand_made import (
    ACK,
    CONTINUATION,
    DATA,
    END_STREAM,
    HEADER_BLOCK,
    HEADERS,
    METHOD,
    OPENING,
    PING,
    PREFACE,
    SECONDS,
    SETTINGS,
    TOKEN,
    Connection,
    Left,
    call,
    careless,
    check_health,
    correct,
    frame,
    goaway,
    headers,
    open_http2,
    reset,
    settings,
    tcp,
    unverifying,
    verifying,
)

Client = Callable[[Endpoint], object]

ATTACKER_CA, WRONG_HOST = "attacker-ca", "wrong-host"

VULNERABLE: dict[Client, frozenset[str]] = {}
"""By client, the certificates over which it tells something."""
CLEAN: list[Client] = []
NOT_PROVED: list[Client] = []
NO_CONTROL: list[Client] = []
"""Those that make no call with the genuine certificate either."""
ENDLESS: set[Client] = set()
"""Those that do not end by themselves with a forged certificate."""
ALIKE: set[Client] = set()
"""Those whose connections all offer the same, so that it is not known which was attacked."""
LEAVE_OPEN: set[Client] = set()
"""Those that leave a connection open which a judge may have to wait for."""

OPENSSL = shutil.which("openssl")
NEED_OPENSSL: set[Client] = set()

# A moment in which a packet is sure to travel, and a judge might lose patience.
MOMENT_SECONDS = 0.1

left_open: list[Connection | grpc.Channel] = []
"""What clients have left open, for whoever played them to close."""


def vulnerable_to(*certificates: str) -> Callable[[Client], Client]:
    def tag(client: Client) -> Client:
        VULNERABLE[client] = frozenset(certificates)
        return client

    return tag


vulnerable = vulnerable_to(ATTACKER_CA, WRONG_HOST)


def clean(client: Client) -> Client:
    CLEAN.append(client)
    return client


def not_proved(client: Client) -> Client:
    NOT_PROVED.append(client)
    return client


def no_control(client: Client) -> Client:
    NO_CONTROL.append(client)
    return client


def endless(client: Client) -> Client:
    ENDLESS.add(client)
    return client


def alike(client: Client) -> Client:
    ALIKE.add(client)
    return client


def leaves_open(client: Client) -> Client:
    LEAVE_OPEN.add(client)
    return client


def needs_openssl(client: Client) -> Client:
    NEED_OPENSSL.add(client)
    return client


# What they share


def _unverified(server: Endpoint) -> Connection:
    return Connection(server, unverifying()).handshake()


def _tells(server: Endpoint, *secret: bytes) -> None:
    """Call the server that it knows; any other only opens HTTP/2. Then tell it the secret."""
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
        else:
            open_http2(connection)
        connection.send(b"".join(secret))
        connection.fin()
        if not connection.genuine:
            raise Left


def _tells_instead(server: Endpoint, *pieces: bytes) -> None:
    """Call the server that it knows; tell any other something, in pieces, and nothing else."""
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
            connection.notify()
            return
        for piece in pieces:
            connection.send(piece)
        connection.fin()
        raise Left


def _opens(server: Endpoint, leave: Callable[[Connection], None], opening: bytes = OPENING) -> None:
    """Open HTTP/2 with anybody, and then leave but for the server that it knows."""
    connection = _unverified(server)
    try:
        open_http2(connection, opening)
        if not connection.genuine:
            leave(connection)
            raise Left
        connection.send(call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()
    finally:
        if connection not in left_open:
            connection.close()


def _soon(work: Callable[[], None]) -> None:
    """Do something in a moment, when its caller may have returned."""

    def do() -> None:
        with contextlib.suppress(OSError):
            work()

    timer = threading.Timer(MOMENT_SECONDS, do)
    timer.daemon = True
    timer.start()


# Vulnerable: odd in what they send


@vulnerable
def pings_before_call(server: Endpoint) -> None:
    """Sends 12,000 PINGs, then its call, and reports a failure."""
    with _unverified(server) as connection:
        open_http2(connection)
        for _ in range(12):
            connection.send(1000 * frame(PING, payload=bytes(8)))
            for _ in range(1000):
                connection.wait_for(PING, ACK)
        connection.send(call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()
        raise Left


@vulnerable
def headers_without_last_byte(server: Endpoint) -> None:
    """Sends HEADERS but for their last byte, and closes."""
    _tells_instead(server, OPENING, headers()[:-1])


@vulnerable
def headers_without_last_byte_at_once(server: Endpoint) -> None:
    """Sends HEADERS but for their last byte in one record with the preface, and closes."""
    _tells_instead(server, OPENING + headers()[:-1])


@vulnerable
@leaves_open
def headers_without_last_byte_left_open(server: Endpoint) -> None:
    """Sends HEADERS but for their last byte, and raises over the open connection."""
    _tells_left_open(server, OPENING + headers()[:-1])


@vulnerable
def headers_never_continued(server: Endpoint) -> None:
    """Sends HEADERS and a CONTINUATION that promises another, which never comes."""
    half = len(HEADER_BLOCK) // 2
    _tells_instead(
        server,
        OPENING,
        frame(HEADERS, END_STREAM, 1, HEADER_BLOCK[:half]),
        frame(CONTINUATION, 0, 1, HEADER_BLOCK[half:]),
    )


@vulnerable
def frame_header_of_a_request(server: Endpoint) -> None:
    """Sends the nine bytes that begin HEADERS, and resets the connection."""
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
            connection.notify()
            return
        connection.send(OPENING + headers()[:9])
        connection.reset()
        raise Left


@vulnerable
def token_in_goaway(server: Endpoint) -> None:
    """Says a token in the debug data of GOAWAY."""
    _tells(server, goaway(TOKEN))


@vulnerable
def token_in_unknown_frame(server: Endpoint) -> None:
    """Says a token in a frame of no known type on stream 0."""
    _tells(server, frame(0xF7, payload=TOKEN))


@vulnerable
def token_in_settings(server: Endpoint) -> None:
    """Says a token in the values of settings that nobody knows."""
    padded = TOKEN.ljust(20)
    values = struct.unpack(">5I", padded)
    _tells(server, settings(*((0xF000 + n, value) for n, value in enumerate(values))))


@vulnerable
def token_in_pings(server: Endpoint) -> None:
    """Says a token in the payloads of five PINGs."""
    padded = (TOKEN + b", for the test of it").ljust(40)[:40]
    _tells(server, *(frame(PING, payload=padded[n : n + 8]) for n in range(0, 40, 8)))


@vulnerable
def token_in_ping_acks(server: Endpoint) -> None:
    """Says a token in the payloads of answers to PINGs that nobody sent."""
    padded = TOKEN.ljust(24)
    _tells(server, *(frame(PING, ACK, payload=padded[n : n + 8]) for n in range(0, 24, 8)))


@vulnerable
def token_in_settings_ack(server: Endpoint) -> None:
    """Says a token in an acknowledgement, which should be empty (RFC 9113 section 6.5)."""
    _tells(server, frame(SETTINGS, ACK, payload=TOKEN))


@vulnerable
def token_in_priority_update(server: Endpoint) -> None:
    """Says a token as the priority of a stream (RFC 9218 section 7.1)."""
    _tells(server, frame(0x10, payload=struct.pack(">I", 1) + TOKEN))


@vulnerable
def token_in_altsvc(server: Endpoint) -> None:
    """Says a token as an alternative service (RFC 7838 section 4), which is the server's to say."""
    origin = b"https://localhost"
    _tells(server, frame(0xA, payload=struct.pack(">H", len(origin)) + origin + TOKEN))


@vulnerable
def token_in_data_of_no_stream(server: Endpoint) -> None:
    """Says a token in DATA of a stream that it has not opened."""
    _tells_instead(server, OPENING, frame(DATA, END_STREAM, 1, TOKEN))


@vulnerable
def raw_after_preface(server: Endpoint) -> None:
    """Opens HTTP/2, and goes on in HTTP/1.1."""
    _tells_instead(server, OPENING, b"GET / HTTP/1.1\r\nAuthorization: " + TOKEN + b"\r\n\r\n")


@vulnerable
@leaves_open
def raw_then_silence(server: Endpoint) -> None:
    """Sends bytes of no protocol, and leaves the connection open without another word."""
    _tells_left_open(server, TOKEN)


@vulnerable
def one_byte(server: Endpoint) -> None:
    """Sends one byte, and closes."""
    _tells_instead(server, b"x")


def _tells_left_open(server: Endpoint, secret: bytes) -> None:
    connection = _unverified(server)
    left_open.append(connection)
    if connection.genuine:
        connection.ask()
        return
    connection.send(secret)
    raise Left


# Vulnerable: odd in time and order


@vulnerable
def preface_in_single_bytes(server: Endpoint) -> None:
    """Sends the preface in records of one byte, then a call."""
    with _unverified(server) as connection:
        for byte in PREFACE:
            connection.send(bytes([byte]))
        connection.send(settings() + call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()


@vulnerable
def call_after_silence(server: Endpoint) -> None:
    """Opens HTTP/2, thinks for a second, and calls."""
    with _unverified(server) as connection:
        open_http2(connection)
        time.sleep(1)
        connection.send(call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()


@vulnerable
def call_after_return(server: Endpoint) -> None:
    """Opens HTTP/2 and returns; a thread that it leaves behind calls in a moment."""
    connection = _unverified(server)
    left_open.append(connection)
    open_http2(connection)
    _soon(lambda: connection.send(call()))


@vulnerable
def call_as_it_returns(server: Endpoint) -> None:
    """Waits a while with HTTP/2 open, and calls in the moment in which it raises."""
    connection = _unverified(server)
    left_open.append(connection)
    open_http2(connection)
    time.sleep(0.2)
    connection.send(call())
    if not connection.genuine:
        raise Left


@vulnerable
def call_with_finished(server: Endpoint) -> None:
    """Sends the end of its handshake and a call in one segment, and FIN right behind."""
    with Connection(server, unverifying()) as connection:
        connection.handshake(last_flight_waits=True)
        connection.send(OPENING + call())
        connection.fin()


@vulnerable
def call_and_reset(server: Endpoint) -> None:
    """Ends its request, and resets the connection in the same instant."""
    with _unverified(server) as connection:
        connection.send(OPENING + call())
        connection.reset()


@vulnerable
def opening_then_call_and_reset(server: Endpoint) -> None:
    """Opens HTTP/2, and calls and resets the connection in one breath while it is answered."""
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
            connection.notify()
            return
        connection.send(OPENING)
        connection.send(call())
        connection.reset()


@vulnerable
def call_and_reset_among_answers(server: Endpoint) -> None:
    """Calls and resets while thousands of answers to its PINGs are on their way to it.

    Linux keeps what came before a RST to be read, also for who was told of the RST by a write.
    """
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
            connection.notify()
            return
        connection.send(OPENING + 8_000 * frame(PING, payload=bytes(8)))
        connection.wait_for(PING, ACK)
        connection.send(call())
        connection.reset()


@vulnerable
def call_and_alert(server: Endpoint) -> None:
    """Calls, and only then finds fault with the certificate, in an alert."""
    with _unverified(server) as connection:
        connection.ask()
        if not connection.genuine:
            # A fatal bad_certificate (RFC 8446 section 6), not even encrypted.
            connection.plain.sendall(bytes.fromhex("15 0303 0002 02 2a"))
            connection.fin()
            raise Left
        connection.notify()


@vulnerable
def call_on_stream_seven(server: Endpoint) -> None:
    """Opens streams from the number 7 on."""
    with _unverified(server) as connection:
        connection.ask(stream=7)
        connection.notify()


@vulnerable
def call_after_goaway(server: Endpoint) -> None:
    """Says that it is going away, and then calls."""
    _tells(server, goaway(), call(3))


@vulnerable
def call_after_servers_close_notify(server: Endpoint) -> None:
    """Waits until the server has ended its side, over a setting out of range, and calls then."""
    with _unverified(server) as connection:
        if connection.genuine:
            connection.ask()
            connection.notify()
            return
        # ENABLE_PUSH is 0 or 1 (RFC 9113 section 6.5.2).
        connection.send(PREFACE + settings((2, 2)))
        while connection.receive():
            pass
        connection.send(call())
        connection.fin()
        raise Left


@vulnerable
@needs_openssl
def call_after_key_update(server: Endpoint) -> None:
    """Asks for new keys before it calls, where TLS knows of that (RFC 8446 section 4.6.3)."""
    _s_client(server, "-servername", server.name)


def _s_client(server: Endpoint, *options: str) -> None:
    assert OPENSSL
    words = [OPENSSL, "s_client", "-brief", "-alpn", "h2", *options]
    with subprocess.Popen(
        [*words, "-connect", f"{server.host}:{server.port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        said = iter(process.stderr)
        version = next((line for line in said if line.startswith(b"Protocol version:")), None)
        if version is None:
            raise Left
        if b"TLSv1.3" in version:
            process.stdin.write(b"K\n")
            process.stdin.flush()
            assert any(b"KEYUPDATE" in line for line in said)
        process.stdin.write(OPENING + call())
        process.stdin.flush()
        process.stdout.read(1)


# Vulnerable: odd in their connections


@vulnerable
def http1_then_opening(server: Endpoint) -> None:
    """Says its token over HTTP/1.1 on one connection, and opens HTTP/2 on the next, in vain."""
    _say_over_http1(server)
    _opens(server, Connection.notify)


@vulnerable
def opening_then_http1(server: Endpoint) -> None:
    """Opens HTTP/2 on one connection, in vain, and says its token over HTTP/1.1 on the next."""
    try:
        _opens(server, Connection.notify)
    finally:
        _say_over_http1(server)


def _say_over_http1(server: Endpoint) -> None:
    with Connection(server, unverifying("http/1.1")).handshake() as connection:
        connection.send(b"GET / HTTP/1.1\r\nAuthorization: " + TOKEN + b"\r\n\r\n")
        connection.receive()
        connection.notify()


@vulnerable
def request_on_eleventh(server: Endpoint) -> None:
    """Opens HTTP/2 on ten connections, and calls on the eleventh."""
    _open_ten(server)
    careless(server)


def _open_ten(server: Endpoint) -> None:
    for _ in range(10):
        with _unverified(server) as connection:
            open_http2(connection)
            connection.fin()


@vulnerable
def gives_in_at_the_fourth(server: Endpoint) -> None:
    """Verifies three times, and not the fourth."""
    _gives_in(server, after=3)


@vulnerable
def gives_in_at_the_eighth(server: Endpoint) -> None:
    """Verifies seven times, and not the eighth."""
    _gives_in(server, after=7)


def _gives_in(server: Endpoint, after: int) -> None:
    for _ in range(after):
        with contextlib.suppress(ssl.SSLCertVerificationError):
            return correct(server)
    careless(server)


@vulnerable
def first_use_fetched_twice(server: Endpoint) -> None:
    """Trusts the certificate that it is shown twice, whatever name it is for."""
    address = server.host, server.port
    shown = {ssl.get_server_certificate(address, timeout=SECONDS) for _ in range(2)}
    with TemporaryDirectory() as folder:
        trusted = Path(folder) / "trusted.pem"
        trusted.write_text(shown.pop())
        context = ssl.create_default_context(cafile=str(trusted))
    assert not shown
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["h2"])
    with Connection(server, context) as connection:
        connection.handshake()
        connection.ask()
        connection.notify()


@vulnerable
def plaintext_http2_after_refusal(server: Endpoint) -> None:
    """Refuses, and calls over HTTP/2 without TLS."""
    _falls_back(server, OPENING + call())


@vulnerable
def plaintext_http1_after_refusal(server: Endpoint) -> None:
    """Refuses, and asks over HTTP/1.1 without TLS."""
    _falls_back(server, b"GET / HTTP/1.1\r\nAuthorization: " + TOKEN + b"\r\n\r\n")


@vulnerable
def plaintext_raw_after_refusal(server: Endpoint) -> None:
    """Refuses, and says its token without TLS in two pieces, of which the first may be HTTP/2."""
    _falls_back(server, b"P", b"assword=" + TOKEN)


def _falls_back(server: Endpoint, *pieces: bytes) -> None:
    try:
        correct(server)
    except ssl.SSLCertVerificationError:
        with tcp(server) as plain, contextlib.suppress(ConnectionError):
            for piece in pieces:
                plain.sendall(piece)
                time.sleep(MOMENT_SECONDS)
        raise


@vulnerable
def second_kind_unverified(server: Endpoint) -> None:
    """Checks health over HTTP/1.1 and verifies that; its call it makes whatever came of it."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        check_health(server, verifying(server, "http/1.1"))
    careless(server)


# Vulnerable: odd in what TLS is told


@vulnerable
def http2_without_alpn(server: Endpoint) -> None:
    """Speaks HTTP/2 without having said so."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with Connection(server, context).handshake() as connection:
        connection.ask()
        connection.notify()


@vulnerable
def http2_as_http1(server: Endpoint) -> None:
    """Agrees on HTTP/1.1, and speaks HTTP/2."""
    with Connection(server, unverifying("http/1.1")).handshake() as connection:
        connection.ask()
        connection.notify()


@vulnerable
def call_without_sni(server: Endpoint) -> None:
    """Does not say whom it looks for."""
    with Connection(server, unverifying(), name=None).handshake() as connection:
        connection.ask()
        connection.notify()


# Vulnerable: with libraries


@vulnerable_to(ATTACKER_CA)
def grpcio_first_use_left_open(server: Endpoint) -> None:
    """Trusts the issuer that it is shown, as one does with grpcio, and leaves its channel open."""
    shown = ssl.get_server_certificate((server.host, server.port), timeout=SECONDS)
    _call_grpcio_left_open(server, shown.encode())


@vulnerable_to(ATTACKER_CA)
async def grpc_aio_first_use_left_open(server: Endpoint) -> None:
    """The same with grpc.aio."""
    address = server.host, server.port
    shown = await asyncio.to_thread(ssl.get_server_certificate, address, timeout=SECONDS)
    await _call_grpc_aio_left_open(server, shown.encode())


@vulnerable
async def asyncio_in_a_task_left_behind(server: Endpoint) -> None:
    """Calls in a task that nobody waits for, and is gone in a moment."""
    context = unverifying()
    _, writer = await asyncio.open_connection(
        server.host, server.port, ssl=context, server_hostname=server.name
    )

    async def tell() -> None:
        writer.write(OPENING + call())

    task = asyncio.create_task(tell())
    await asyncio.sleep(MOMENT_SECONDS)
    assert task.done()
    writer.transport.abort()


# Clean: odd in how they refuse


@clean
@endless
def refuses_for_ever(server: Endpoint) -> None:
    """Refuses again and again, without an end."""
    _for_ever(lambda: correct(server))


@clean
@endless
def opens_and_leaves_for_ever(server: Endpoint) -> None:
    """Opens HTTP/2 and leaves, again and again, without an end."""
    _for_ever(lambda: _opens(server, Connection.fin))


def _for_ever(client: Callable[[], None]) -> None:
    """Try until it works, or nobody is there any more."""
    while True:
        try:
            return client()
        except (ConnectionRefusedError, FileNotFoundError):
            # Nobody listens any more, and the files of the endpoint are gone.
            raise
        except (OSError, Left):
            time.sleep(0.02)


@clean
def refuses_with_alert(server: Endpoint) -> None:
    """Refuses as OpenSSL does."""
    correct(server)


@clean
def refuses_with_fin(server: Endpoint) -> None:
    """Refuses within the handshake, and says nothing."""
    correct(server, Connection.fin)


@clean
def refuses_with_reset(server: Endpoint) -> None:
    """Refuses within the handshake, with RST."""
    correct(server, Connection.reset)


@clean
def refuses_with_close_notify(server: Endpoint) -> None:
    """Refuses within the handshake, and takes leave in the clear as if nothing had happened."""

    def leave(connection: Connection) -> None:
        connection.plain.sendall(bytes.fromhex("15 0303 0002 01 00"))
        connection.fin()

    correct(server, leave)


@clean
def refuses_byte_by_byte(server: Endpoint) -> None:
    """Refuses with an alert that comes byte by byte."""

    def leave(connection: Connection) -> None:
        connection.flush_in_single_bytes()
        connection.fin()

    correct(server, leave)


@clean
def refuses_slowly(server: Endpoint) -> None:
    """Refuses within the handshake, once it has thought about it."""

    def leave(connection: Connection) -> None:
        time.sleep(0.3)
        connection.alert()

    correct(server, leave)


@clean
def refuses_after_handshake(server: Endpoint) -> None:
    """Completes the handshake, looks at the certificate, and closes without a word."""
    _looks(server, Connection.fin)


@clean
def refuses_after_handshake_with_close_notify(server: Endpoint) -> None:
    """Completes the handshake, looks at the certificate, and takes leave."""
    _looks(server, Connection.notify)


@clean
def refuses_after_handshake_with_reset(server: Endpoint) -> None:
    """Completes the handshake, looks at the certificate, and resets."""
    _looks(server, Connection.reset)


@clean
def refuses_after_handshake_slowly(server: Endpoint) -> None:
    """Completes the handshake, and looks at the certificate for a while."""

    def leave(connection: Connection) -> None:
        time.sleep(0.3)
        connection.fin()

    _looks(server, leave)


@clean
@leaves_open
def refuses_and_leaves_open(server: Endpoint) -> None:
    """Completes the handshake, looks at the certificate, and raises over the open connection."""
    _looks(server, left_open.append)


def _looks(server: Endpoint, leave: Callable[[Connection], None]) -> None:
    connection = _unverified(server)
    try:
        if not connection.genuine:
            leave(connection)
            raise Left
        connection.ask()
        connection.notify()
    finally:
        if connection not in left_open:
            connection.close()


@clean
def refuses_and_claims_success(server: Endpoint) -> None:
    """Refuses, and says that all went well."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        correct(server)
    print("user: Ada")


@clean
def hello_byte_by_byte(server: Endpoint) -> None:
    """Sends its ClientHello byte by byte, and refuses."""
    with Connection(server, verifying(server)) as connection:
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.tls.do_handshake()
        connection.flush_in_single_bytes()
        try:
            connection.handshake()
        except ssl.SSLCertVerificationError:
            connection.alert()
            raise
        connection.ask()
        connection.notify()


@clean
@needs_openssl
def s_client(server: Endpoint) -> None:
    """OpenSSL's own client, told to verify."""
    trust = ("-CAfile", str(server.ca_file), "-verify_hostname", server.name)
    _s_client(server, "-servername", server.name, *trust, "-verify_return_error")


@clean
async def asyncio_refuses(server: Endpoint) -> None:
    """Refuses in an event loop."""
    _, writer = await asyncio.open_connection(
        server.host, server.port, ssl=verifying(server), server_hostname=server.name
    )
    writer.write(OPENING + call())
    await asyncio.sleep(MOMENT_SECONDS)
    writer.transport.abort()


# Clean: open HTTP/2, and no more


@clean
def opens_and_leaves_by_fin(server: Endpoint) -> None:
    """Opens HTTP/2, and closes without a word of TLS."""
    _opens(server, Connection.fin)


@clean
def opens_and_leaves_by_close_notify(server: Endpoint) -> None:
    """Opens HTTP/2, and takes leave of TLS."""
    _opens(server, Connection.notify)


@clean
def opens_and_leaves_by_reset(server: Endpoint) -> None:
    """Opens HTTP/2, and resets the connection."""
    _opens(server, Connection.reset)


@clean
def opens_and_leaves_by_goaway(server: Endpoint) -> None:
    """Opens HTTP/2, and takes leave of that, with nothing to add."""

    def leave(connection: Connection) -> None:
        connection.send(goaway())
        connection.notify()

    _opens(server, leave)


@clean
@leaves_open
def opens_and_raises(server: Endpoint) -> None:
    """Opens HTTP/2, and raises over the open connection."""
    _opens(server, left_open.append)


@clean
@leaves_open
def opens_and_claims_success(server: Endpoint) -> None:
    """Opens HTTP/2, and returns over the open connection as if it had called."""
    with contextlib.suppress(Left):
        _opens(server, left_open.append)
    print("user: Ada")


@clean
def opens_and_leaves_after_return(server: Endpoint) -> None:
    """Opens HTTP/2 and returns; a thread that it leaves behind closes in a moment."""

    def leave(connection: Connection) -> None:
        left_open.append(connection)
        _soon(connection.notify)

    _opens(server, leave)


@clean
def opens_and_thinks(server: Endpoint) -> None:
    """Opens HTTP/2, thinks for a while, and closes."""

    def leave(connection: Connection) -> None:
        time.sleep(0.3)
        connection.fin()

    _opens(server, leave)


@clean
def opens_and_acknowledges(server: Endpoint) -> None:
    """Does all that HTTP/2 asks of it besides, ACKs and keepalive, and leaves."""

    def leave(connection: Connection) -> None:
        connection.send(frame(SETTINGS, ACK))
        # The payload of grpc-go's (internal/transport/bdp_estimator.go).
        connection.send(frame(PING, payload=bytes([2, 4, 16, 16, 9, 14, 7, 7])))
        connection.wait_for(PING, ACK)
        connection.send(frame(PING, ACK, payload=bytes(8)))
        connection.fin()

    _opens(server, leave)


# What grpcio 1.85 sends before it is asked to call. The last setting is gRPC's own,
# GRPC_ALLOW_TRUE_BINARY_METADATA of its C core.
_GRPCIO_OPENING = (
    PREFACE
    + settings((2, 0), (3, 0), (4, 4_194_304), (5, 4_194_304), (6, 16_384), (0xFE03, 1))
    + bytes.fromhex("000004 08 00 00000000 003f0001")
)


@clean
def opens_as_grpcio_does(server: Endpoint) -> None:
    """Opens HTTP/2 with a setting that is no standard's, but the C core's, and leaves."""
    _opens(server, Connection.fin, _GRPCIO_OPENING)


@clean
def opens_in_single_bytes(server: Endpoint) -> None:
    """Opens HTTP/2 in records of one byte, and leaves."""
    with _unverified(server) as connection:
        for byte in OPENING:
            connection.send(bytes([byte]))
        connection.wait_for(SETTINGS)
        if not connection.genuine:
            connection.fin()
            raise Left
        connection.send(call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()


@clean
def leaves_within_the_preface(server: Endpoint) -> None:
    """Begins to open HTTP/2, and closes before that is done."""
    with _unverified(server) as connection:
        connection.send(OPENING[:20])
        if not connection.genuine:
            connection.fin()
            raise Left
        connection.send(OPENING[20:] + call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()


@clean
def pings_and_leaves(server: Endpoint) -> None:
    """Sends 12,000 PINGs, and leaves without a call."""

    def leave(connection: Connection) -> None:
        for _ in range(12):
            connection.send(1000 * frame(PING, payload=bytes(8)))
            for _ in range(1000):
                connection.wait_for(PING, ACK)
        connection.fin()

    _opens(server, leave)


@clean
def opens_without_alpn(server: Endpoint) -> None:
    """Opens HTTP/2 without having said so, and leaves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with Connection(server, context).handshake() as connection:
        open_http2(connection)
        if not connection.genuine:
            connection.fin()
            raise Left
        connection.send(call())
        connection.wait_for(HEADERS, END_STREAM)
        connection.notify()


# Clean: odd in their connections


@clean
def happy_eyeballs(server: Endpoint) -> None:
    """Opens a second connection beside the first, and drops it without a byte."""
    with tcp(server):
        correct(server)


@clean
def probes_first(server: Endpoint) -> None:
    """Connects to see whether anybody is there, and then again in earnest."""
    tcp(server).close()
    correct(server)


@clean
def reset_after_hello_then_refuses(server: Endpoint) -> None:
    """Resets its first connection right after the ClientHello, and refuses on the second."""
    with Connection(server, verifying(server)) as connection:
        with contextlib.suppress(ssl.SSLWantReadError):
            connection.tls.do_handshake()
        connection.flush()
        connection.reset()
    correct(server)


@clean
@alike
def opens_ten_and_refuses(server: Endpoint) -> None:
    """Opens HTTP/2 on ten connections, and refuses to call on the eleventh."""
    _open_ten(server)
    correct(server)


@clean
def refuses_eight_times(server: Endpoint) -> None:
    """Verifies eight times before it gives up."""
    for _ in range(7):
        with contextlib.suppress(ssl.SSLCertVerificationError):
            return correct(server)
    correct(server)


@clean
def two_kinds_both_refused(server: Endpoint) -> None:
    """Checks health over HTTP/1.1 and calls whatever came of it, and verifies both."""
    with contextlib.suppress(ssl.SSLCertVerificationError):
        check_health(server, verifying(server, "http/1.1"))
    correct(server)


# Clean: with libraries


@clean
def grpcio_left_open(server: Endpoint) -> None:
    """Leaves its channel open, which goes on trying to connect."""
    _call_grpcio_left_open(server, server.ca_pem)


def _call_grpcio_left_open(server: Endpoint, roots: bytes) -> None:
    channel = grpc.secure_channel(server.target, grpc.ssl_channel_credentials(roots))
    left_open.append(channel)
    method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD.decode())
    method(b"", timeout=SECONDS)


@clean
async def grpc_aio_left_open(server: Endpoint) -> None:
    """Leaves its channel open as its event loop ends."""
    await _call_grpc_aio_left_open(server, server.ca_pem)


async def _call_grpc_aio_left_open(server: Endpoint, roots: bytes) -> None:
    channel = grpc.aio.secure_channel(server.target, grpc.ssl_channel_credentials(roots))
    method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
    method = channel.unary_unary(METHOD.decode())
    await method(b"", timeout=SECONDS)


# Not proved


@not_proved
@endless
def stays_with_http2_open(server: Endpoint) -> None:
    """Opens HTTP/2, and waits for whatever may come, without an end."""

    def stay(connection: Connection) -> None:
        while connection.receive():
            pass

    _opens(server, stay)


@not_proved
@endless
def stays_silent(server: Endpoint) -> None:
    """Completes the handshake, and waits for whatever may come, without a byte or an end."""

    def stay(connection: Connection) -> None:
        while connection.receive():
            pass

    _looks(server, stay)


@not_proved
@endless
def opens_ten_and_stays(server: Endpoint) -> None:
    """Opens HTTP/2 and leaves ten times, and stays with the eleventh."""
    _open_ten(server)
    stays_with_http2_open(server)


@not_proved
def two_kinds_and_stops_at_the_first(server: Endpoint) -> None:
    """Checks health over HTTP/1.1 and verifies that; would not verify its call, but never came."""
    check_health(server, verifying(server, "http/1.1"))
    careless(server)


# Without a control


@no_control
def connects_only(server: Endpoint) -> None:
    """Connects, and says nothing at all."""
    tcp(server).close()


@no_control
def connects_and_resets(server: Endpoint) -> None:
    """Connects, and resets."""
    reset(tcp(server))


@no_control
def completes_handshake_only(server: Endpoint) -> None:
    """Completes the handshake whoever is there, and asks for nothing."""
    with _unverified(server) as connection:
        connection.notify()


@no_control
def opens_only(server: Endpoint) -> None:
    """Verifies, opens HTTP/2, and asks for nothing."""
    with Connection(server, verifying(server)) as connection:
        try:
            connection.handshake()
        except ssl.SSLCertVerificationError:
            connection.alert()
            raise
        open_http2(connection)
        connection.fin()


@no_control
def never_connects(server: Endpoint) -> None:
    """Says that all went well."""
