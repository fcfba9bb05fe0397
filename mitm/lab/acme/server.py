"""Pebble as a process, with the DNS server that it asks."""

import asyncio
import contextlib
import json
import os
import random
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mitm.address import LOCALHOST
from mitm.errors import UserError
from mitm.lab.acme.needs import DNS, PEBBLE, must_be_here
from mitm.masking import shortened
from mitm.pki import write_private
from mitm.programs import Program, started

# Seconds. It takes half of one.
START_SECONDS = 15.0
_POLL_SECONDS = 0.05
_ASK_SECONDS = 5.0

# Neither program says which port the kernel has given it, so each is told one, and told another if
# somebody was faster.
_ATTEMPTS = 5
_TAKEN = b"address already in use"

# What it signs is of no use for longer than a day.
_LIFETIME = timedelta(days=1)

# Characters of what a program has said last.
_TOLD = 200

# Those of Pebble that test its clients' patience: it waits for up to 15 s before each validation,
# and refuses 5 % of all nonces. A renewal is to be validated like the first certificate.
_PATIENCE = {
    "PEBBLE_VA_NOSLEEP": "1",
    "PEBBLE_WFE_NONCEREJECT": "0",
    "PEBBLE_AUTHZREUSE": "0",
}


class AcmeServer:
    """A public CA that speaks ACME (RFC 8555), and the DNS that it believes.

    Attributes:
        directory: the URL at which its clients begin.
        https_ca: PEM file with what vouches for that URL.
        root_pem: the root of what it issues: made anew each time that it starts.
        http_port: at which it asks for the answer to an HTTP-01 challenge, for that is no port 80.
    """

    def __init__(
        self, directory: str, https_ca: Path, root_pem: bytes, http_port: int, dns: str
    ) -> None:
        self.directory = directory
        self.https_ca = https_ca
        self.root_pem = root_pem
        self.http_port = http_port
        self._dns = dns

    async def resolve(self, name: str, address: str) -> None:
        """From now on, have the DNS answer with an IPv4 address to whoever asks for a name.

        Raises:
            UserError: it does not take that.
        """
        host = f"{name}."
        try:
            await asyncio.to_thread(_ask, f"{self._dns}/clear-a", _as_json(host=host))
            answer = _as_json(host=host, addresses=[address])
            await asyncio.to_thread(_ask, f"{self._dns}/add-a", answer)
        except OSError as error:
            raise UserError(f"{DNS} does not answer: {error}") from None


@contextlib.asynccontextmanager
async def running_acme_server(folder: Path) -> AsyncIterator[AcmeServer]:
    """Start Pebble on loopback with a DNS server of its own, and stop them when the block ends.

    Args:
        folder: where its files are written.

    Raises:
        NotPlayed: a program, or the library of its clients, is not here.
        UserError: it does not come up.
    """
    must_be_here()
    async with contextlib.AsyncExitStack() as stack:
        yield await _started(folder, stack)


async def _started(folder: Path, stack: contextlib.AsyncExitStack) -> AcmeServer:
    for attempt in range(_ATTEMPTS):
        async with contextlib.AsyncExitStack() as programs:
            try:
                server = await _once(folder, programs)
            except _PortTakenError:
                if attempt == _ATTEMPTS - 1:
                    raise UserError(f"{PEBBLE} found no free port") from None
                continue
            stack.push_async_exit(programs.pop_all())
            return server
    raise AssertionError


class _PortTakenError(Exception):
    """Somebody else has it."""


async def _once(folder: Path, programs: contextlib.AsyncExitStack) -> AcmeServer:
    listen, management, http, dns, dns_management = (free_port() for _ in range(5))
    cert, key = folder / "acme-https.pem", folder / "acme-https.key"
    write_own_certificate(cert, key)
    config = folder / "acme.json"
    config.write_text(
        json.dumps(
            {
                "pebble": {
                    "listenAddress": f"127.0.0.1:{listen}",
                    "managementListenAddress": f"127.0.0.1:{management}",
                    "certificate": str(cert),
                    "privateKey": str(key),
                    "httpPort": http,
                    # Nobody answers there: HTTP-01 it is.
                    "tlsPort": http,
                    "certificateValidityPeriod": int(_LIFETIME.total_seconds()),
                }
            }
        )
    )
    # Everything is 127.0.0.1 to it, until it is told otherwise.
    answers = [DNS, "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}"]
    answers += ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
    asks = [PEBBLE, "-config", str(config), "-dnsserver", f"127.0.0.1:{dns}"]
    resolver = await programs.enter_async_context(started(answers, os.environ))
    pebble = await programs.enter_async_context(started(asks, {**os.environ, **_PATIENCE}))
    trusted = ssl.create_default_context(cafile=cert)
    try:
        async with asyncio.timeout(START_SECONDS):
            asked = f"http://127.0.0.1:{dns_management}"
            await _ready(resolver, f"{asked}/set-default-ipv4", _as_json(ip="127.0.0.1"))
            roots = f"https://{LOCALHOST}:{management}/roots/0"
            root = await _ready(pebble, roots, trusted=trusted)
    except TimeoutError:
        raise UserError(f"{PEBBLE} did not start within {START_SECONDS:g} s") from None
    return AcmeServer(f"https://{LOCALHOST}:{listen}/dir", cert, root, http, asked)


async def _ready(
    program: Program, url: str, body: bytes | None = None, trusted: ssl.SSLContext | None = None
) -> bytes:
    """Wait until a program answers; what it answers."""
    said = b""
    while True:
        answer = None
        with contextlib.suppress(OSError):
            answer = await asyncio.to_thread(_ask, url, body, trusted)
        said += program.stdout.take() + program.stderr.take()
        # Whoever has the port may answer as well, while the program goes on without it.
        if _TAKEN in said:
            raise _PortTakenError
        if program.code is not None:
            lines = said.decode(errors="replace").strip().splitlines() or ["no word from it"]
            raise UserError(f"{PEBBLE} did not start: {shortened(lines[-1], _TOLD)}")
        if answer is not None:
            return answer
        await asyncio.sleep(_POLL_SECONDS)


def _as_json(**body: object) -> bytes:
    return json.dumps(body).encode()


def _ask(url: str, body: bytes | None, trusted: ssl.SSLContext | None = None) -> bytes:
    # Past any proxy: it is on this machine.
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted)
    )
    with opener.open(url, body, timeout=_ASK_SECONDS) as answer:
        data: bytes = answer.read()
    return data


def free_port() -> int:
    """A port of which the kernel gives none to whoever asks for any (ip(7)), free a moment ago."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), contextlib.ExitStack() as probes:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                probe = probes.enter_context(socket.socket(socket.AF_INET, kind))
                probe.bind(("127.0.0.1", port))
            return port


def write_own_certificate(cert: Path, key: Path) -> None:
    """Write what Pebble shows to its own clients: a certificate that is its own trust anchor."""
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mitm-demo: DO NOT TRUST")])
    names = x509.SubjectAlternativeName([x509.DNSName(LOCALHOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(names, critical=False)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_private(key, pem)
    write_private(cert, certificate.public_bytes(Encoding.PEM))
