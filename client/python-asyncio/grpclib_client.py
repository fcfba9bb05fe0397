"""A gRPC client in Python, on asyncio. How it decides whom to trust is one short function a policy.

Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage.
With --batch it is asked, and answers, line by line.
"""

import argparse
import asyncio
import hashlib
import json
import platform
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import grpclib
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError


class Usage(Exception):  # noqa: N818
    """The options are wrong, and how."""


# --- whom to trust ------------------------------------------------------------------------------

# What grpclib takes as a channel's `ssl`.
Trust = ssl.SSLContext | ssl.DefaultVerifyPaths | bool | None


def insecure(arguments: argparse.Namespace) -> Trust:
    """No encryption: everybody on the way reads along."""
    return None


def skip_verify(arguments: argparse.Namespace) -> Trust:
    """Encryption with whoever answers: neither issuer, nor name, nor dates are looked at."""
    context = verifying()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def no_ca(arguments: argparse.Namespace) -> Trust:
    """Verification, with nothing said about trust: certifi's roots, or else the machine's."""
    return True


def ca_file(arguments: argparse.Namespace) -> Trust:
    """Verification with a CA file: trust what this CA has signed, and nothing else."""
    return verifying(file(arguments.ca, "--ca"))


def system_roots(arguments: argparse.Namespace) -> Trust:
    """Verification with the machine's own roots, where OpenSSL looks for them."""
    return ssl.get_default_verify_paths()


def pinned(arguments: argparse.Namespace) -> Trust:
    """Verification with the server's own certificates: trust this server, and nobody else."""
    context = verifying(file(arguments.pin, "--pin"))
    # To OpenSSL a leaf is no root, unless it is told that a chain may end there.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def skip_hostname(arguments: argparse.Namespace) -> Trust:
    """Half right: the chain is verified, but not for whom it is. Any server of that CA will do."""
    context = verifying(file(arguments.ca, "--ca"))
    context.check_hostname = False
    return context


def pinned_key(arguments: argparse.Namespace) -> Trust:
    """The server's key is pinned, whatever certificate it stands in.

    That the server has the key is proved by the handshake. Comparing it is made a part of that, so
    that nothing is sent before, on each connection that the channel makes.
    """
    expected = [key_hash(each) for each in certificates(file(arguments.pin, "--pin"))]

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            try:
                shown = key_hash(x509.load_der_x509_certificate(self.getpeercert(True) or b""))
            except (ValueError, UnsupportedAlgorithm) as error:
                raise refusal(f"the certificate is not understood: {error}") from None
            if shown not in expected:
                pins = ", ".join(expected)
                raise refusal(f"the server's key has the SHA-256 {shown}, pinned is {pins}")

    context = verifying()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.sslobject_class = Pinned
    return context


def mutual_tls(arguments: argparse.Namespace) -> Trust:
    """Verification both ways: the server must be the CA's, and sees who this client is."""
    if not arguments.cert:
        raise Usage("this policy needs --cert FILE and --key FILE")
    return ca_file(arguments)


POLICIES = {
    "insecure": insecure,
    "skip-verify": skip_verify,
    "no-ca": no_ca,
    "ca-file": ca_file,
    "system-roots": system_roots,
    "pinned": pinned,
    "skip-hostname": skip_hostname,
    "pinned-key": pinned_key,
    "mutual-tls": mutual_tls,
}


def presenting(trust: Trust, arguments: argparse.Namespace) -> Trust:
    """What a policy says, and what is shown to a server that asks, whomever the client trusts.

    A context that grpclib makes itself shows nothing, so that the same one is made here.
    """
    if trust is None or not arguments.cert:
        return trust
    context = trust if isinstance(trust, ssl.SSLContext) else verifying()
    cert, key = file(arguments.cert, "--cert"), file(arguments.key, "--key", "PRIVATE KEY")
    try:
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise Usage(f"--cert and --key are no pair: {error.reason or error}") from None
    return context


def verifying(roots: Path | None = None) -> ssl.SSLContext:
    """A context that verifies chain and name, and speaks HTTP/2."""
    try:
        context = ssl.create_default_context(cafile=roots)
    except ssl.SSLError as error:
        raise Usage(f"{roots}: {error}") from None
    context.set_alpn_protocols(["h2"])
    return context


def key_hash(certificate: x509.Certificate) -> str:
    """The SHA-256 of a certificate's SubjectPublicKeyInfo."""
    key = certificate.public_key()
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def refusal(reason: str) -> ssl.SSLCertVerificationError:
    return ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, reason)


def certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise Usage(f"{path}: {error}") from None


# --- the call -----------------------------------------------------------------------------------


async def get_user(arguments: argparse.Namespace) -> Any:
    """Ask the server for a user, with the token that identifies this client."""
    import messages  # of a folder that --version does without

    host, _, port = arguments.target.rpartition(":")
    metadata = {"authorization": f"Bearer {arguments.token}"} if arguments.token else None
    async with asyncio.timeout(arguments.timeout):
        async with Channel(
            host.strip("[]"),
            int(port),
            ssl=presenting(POLICIES[arguments.policy](arguments), arguments),
            config=Configuration(ssl_target_name_override=arguments.server_name),
        ) as channel:
            method = UnaryUnaryMethod(
                channel, f"/{messages.NAME}/GetUser", messages.GetUserRequest, messages.User
            )
            return await method(messages.GetUserRequest(id=arguments.id), metadata=metadata)


def file(path: Path | None, option: str, what: str = "CERTIFICATE") -> Path:
    """A PEM file that holds a certificate, or a key."""
    if not path:
        raise Usage(f"this policy needs {option} FILE")
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise Usage(f"{option}: cannot read {path}: {error.strerror}") from None
    if f"{what}-----".encode() not in pem:
        raise Usage(f"{option}: {path} holds no PEM {what.lower()}")
    return path


# --- how it is asked ----------------------------------------------------------------------------


def target(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not (port.isdigit() and port.isascii() and int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return text


def user_id(text: str) -> int:
    if not -(2**63) <= (number := int(text)) < 2**63:
        raise argparse.ArgumentTypeError(f"{text} does not fit into 64 bits")
    return number


def seconds(text: str) -> float:
    if not 0 < (number := float(text)) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds")
    return number


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Usage(message)


def options() -> Parser:
    parser = Parser(
        "client",
        description="A gRPC client for users.v1.UserService.",
        usage="client --target HOST:PORT --policy POLICY [options] | --batch | --version",
        allow_abbrev=False,
    )
    parser.add_argument("--target", required=True, type=target, metavar="HOST:PORT")
    parser.add_argument("--policy", required=True, choices=POLICIES, help="whom to trust")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="for ca-file: the CA, PEM")
    parser.add_argument("--pin", type=Path, metavar="FILE", help="for pinned: certificates, PEM")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="to present, PEM, leaf first")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key of its leaf, PEM")
    parser.add_argument("--server-name", metavar="NAME", help="name to check, if not the target's")
    parser.add_argument("--id", type=user_id, default=1, metavar="N", help="user to ask for")
    parser.add_argument("--token", metavar="T", help="sent as `authorization: Bearer T`")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="S", help="seconds, in all")
    return parser


def answered(words: Sequence[str]) -> dict[str, dict[str, object]]:
    """Make the call that the options ask for, and say what came of it."""
    try:
        arguments = options().parse_args(words)
        if bool(arguments.cert) != bool(arguments.key):
            raise Usage("--cert and --key are given together, or neither")
        user = asyncio.run(get_user(arguments))
    except Usage as wrong:
        return {"usage": {"message": " ".join(str(wrong).split())}}
    except GRPCError as error:
        return {"error": {"code": error.status.name, "message": error.message or ""}}
    except TimeoutError:
        return {"error": {"code": "DEADLINE_EXCEEDED", "message": "the time is up"}}
    except (OSError, ProtocolError, StreamTerminatedError) as error:
        # What fails below gRPC has no status in grpclib: its user meets the exception itself.
        name = type(error).__name__
        return {"error": {"code": "UNAVAILABLE", "message": f"{name}: {error}".removesuffix(": ")}}
    return {"user": {"id": user.id, "name": user.name, "email": user.email}}


def words_of(line: bytes) -> list[str]:
    """The options that a line of --batch stands for: a JSON object, keys as the options' names."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Usage("a line of --batch is a JSON object")
    for name, value in asked.items():
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise Usage(f"{name}: {json.dumps(value)} is neither text nor a number")
    return [f"--{name}={value}" for name, value in asked.items()]


def batch() -> int:
    """Answer line by line, until there are no more."""
    for line in sys.stdin.buffer:
        try:
            answer = answered(words_of(line))
        except Usage as wrong:
            answer = {"usage": {"message": str(wrong)}}
        print(json.dumps(answer), flush=True)
    return 0


EXIT_CODES = {"user": 0, "error": 1, "usage": 2}


def main() -> int:
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"grpclib {grpclib.__version__}, Python {platform.python_version()}")
        return 0
    if words == ["--batch"]:
        return batch()
    (kind, what), *_ = (answer := answered(words)).items()
    if kind == "usage":
        print(f"client: {what['message']}", file=sys.stderr)
    else:
        print(json.dumps(answer))
    return EXIT_CODES[kind]


if __name__ == "__main__":
    # Ctrl-C ends it at once, whatever it is about to do.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
