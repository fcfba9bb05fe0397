"""A gRPC client in Python. How it decides whom to trust is one short function a policy.

Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage, 4
if grpcio cannot do what the policy says. With --batch it is asked, and answers, line by line.
"""

import argparse
import json
import os
import platform
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

# The C core's own log lines are not meant for the person at the terminal.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

# What the messages are made of: the lab tells a copy of this, which stands elsewhere, where it is.
sys.path.insert(
    0, os.environ.get("MITM_PROTO") or str(Path(__file__).resolve().parents[2] / "proto")
)

try:
    from user_service import GetUserRequest, User, UserServiceStub
except ModuleNotFoundError as missing:
    print(f"client: {missing}; set MITM_PROTO to the folder proto of mitm-demo", file=sys.stderr)
    sys.exit(2)


class Usage(Exception):  # noqa: N818
    """The options are wrong, and how."""


class Unsupported(Exception):  # noqa: N818
    """grpcio cannot do what a policy says, and why."""


# --- whom to trust ------------------------------------------------------------------------------


def insecure(arguments: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """No encryption: everybody on the way reads along."""
    return None


def skip_verify(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Encryption with any issuer: trust the certificate that the server shows, on first use.

    grpcio has no switch for this, so people fetch the certificate first and call it trusted. Name
    and dates are still checked; nobody asks who signed it.
    """
    shown = presented(arguments)
    return grpc.ssl_channel_credentials(root_certificates=fetched(arguments), **shown)


def no_ca(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification, but no CA given: only the public roots shipped inside grpcio are trusted."""
    return grpc.ssl_channel_credentials(**presented(arguments))


def ca_file(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with a CA file: trust what this CA has signed, and nothing else."""
    roots = read(arguments.ca, "--ca")
    return grpc.ssl_channel_credentials(root_certificates=roots, **presented(arguments))


def system_roots(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with the machine's own roots, which grpcio does not use by itself."""
    store = ssl.get_default_verify_paths().cafile
    roots = read(Path(store) if store else None, "SSL_CERT_FILE")
    return grpc.ssl_channel_credentials(root_certificates=roots, **presented(arguments))


def pinned(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with the server's own certificates: trust this server, and nobody else."""
    roots = read(arguments.pin, "--pin")
    return grpc.ssl_channel_credentials(root_certificates=roots, **presented(arguments))


def skip_hostname(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Half right: the chain is verified, but not for whom it is."""
    raise Unsupported(
        "grpcio has no switch for the check of the name alone: a name override has it ask for "
        "another name, not for any"
    )


def pinned_key(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """The server's key is pinned, whatever certificate it stands in."""
    raise Unsupported(
        "grpcio shows no certificate to Python before the request is sent, so that its key cannot "
        "be compared in time; pin the certificate"
    )


def mutual_tls(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
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

# Channels to one target share their connections, unless told not to: in a batch, a call would go
# over one that an earlier call has verified.
OWN_CONNECTIONS = ("grpc.use_local_subchannel_pool", 1)

# --- what is shown ------------------------------------------------------------------------------


def presented(arguments: argparse.Namespace) -> dict[str, bytes]:
    """What the client shows of itself to a server that asks, whomever it trusts."""
    if not arguments.cert:
        return {}
    chain, key = read(arguments.cert, "--cert"), read(arguments.key, "--key", "PRIVATE KEY")
    own(arguments, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    return {"certificate_chain": chain, "private_key": key}


def own(arguments: argparse.Namespace, context: ssl.SSLContext) -> None:
    """Give it to a context of Python's, which can tell whether the two belong together.

    grpcio would say of each call that it has failed to create a handshaker.
    """
    try:
        context.load_cert_chain(arguments.cert, arguments.key, password="")
    except ssl.SSLError as error:
        raise Usage(f"--cert and --key are no pair: {error.reason or error}") from None


def fetched(arguments: argparse.Namespace) -> bytes:
    """The certificate that the server shows, as `ssl.get_server_certificate` has it.

    That one has nothing to show of itself: in TLS 1.2 a server that insists ends the handshake
    before its certificate can be had.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if arguments.cert:
        own(arguments, context)
    host, _, port = arguments.target.rpartition(":")
    host = host.strip("[]")
    with (
        socket.create_connection((host, int(port)), arguments.timeout) as connection,
        context.wrap_socket(connection, server_hostname=host) as secured,
    ):
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"").encode()


# --- the call -----------------------------------------------------------------------------------


def get_user(arguments: argparse.Namespace) -> User:
    """Ask the server for a user, with the token that identifies this client."""
    deadline = time.monotonic() + arguments.timeout
    credentials = POLICIES[arguments.policy](arguments)
    target, options = dialled(arguments.target, arguments.server_name)
    if credentials:
        channel = grpc.secure_channel(target, credentials, [*options, OWN_CONNECTIONS])
    else:
        channel = grpc.insecure_channel(target, [*options, OWN_CONNECTIONS])
    metadata = [("authorization", f"Bearer {arguments.token}")] if arguments.token else []
    with channel:
        user: User = UserServiceStub(channel).GetUser(
            GetUserRequest(id=arguments.id),
            metadata=metadata,
            timeout=max(deadline - time.monotonic(), 0),
        )
    return user


def dialled(target: str, server_name: str | None) -> tuple[str, list[tuple[str, str]]]:
    """What to dial, so that the server must prove its name, and options of the channel.

    grpcio checks a name that it is told beside the target less strictly than one that it dials. A
    name below `localhost` is this machine's (RFC 6761 section 6.3), which gRPC's resolver knows.
    """
    if not server_name:
        return target, []
    if server_name.endswith(".localhost"):
        return f"{server_name}:{target.rpartition(':')[2]}", []
    return target, [("grpc.ssl_target_name_override", server_name)]


def read(path: Path | None, option: str, what: str = "CERTIFICATE") -> bytes:
    """A PEM file that holds a certificate, or a key."""
    if not path:
        raise Usage(f"this policy needs {option} FILE")
    try:
        pem = path.read_bytes()
    except OSError as error:
        raise Usage(f"{option}: cannot read {path}: {error.strerror}") from None
    if f"{what}-----".encode() not in pem:
        raise Usage(f"{option}: {path} holds no PEM {what.lower()}")
    return pem


# --- how it is asked ----------------------------------------------------------------------------


def target(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
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
        user = get_user(arguments)
    except Usage as wrong:
        return {"usage": {"message": " ".join(str(wrong).split())}}
    except Unsupported as error:
        return {"unsupported": {"policy": arguments.policy, "reason": str(error)}}
    except grpc.RpcError as error:
        return {"error": {"code": error.code().name, "message": error.details()}}
    except OSError as error:
        # The certificate that skip-verify wants to trust could not be fetched.
        return {"error": {"code": "UNAVAILABLE", "message": str(error)}}
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


EXIT_CODES = {"user": 0, "error": 1, "usage": 2, "unsupported": 4}


def main() -> int:
    words = sys.argv[1:]
    if words == ["--version"]:
        print(f"grpcio {grpc.__version__}, Python {platform.python_version()}")
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
    # Ctrl-C ends it whatever it is about to do. Python's own way, an exception, is lost where code
    # of grpcio's is run while an object is freed.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(main())
