"""A gRPC client in Python. How it decides whom to trust is one short function a policy.

Contract: ../README.md. Output is one JSON line; exit code 0, 1 if the call failed, 2 wrong usage.
"""

import argparse
import json
import os
import ssl
import sys
import time
from pathlib import Path

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

# --- whom to trust ------------------------------------------------------------------------------


def insecure(arguments: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """No encryption: everybody on the way reads along."""
    return None


def skip_verify(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Encryption with any issuer: trust the certificate that the server shows, on first use.

    grpcio has no switch for this, so people fetch the certificate first and call it trusted. Name
    and dates are still checked; nobody asks who signed it.
    """
    host, _, port = arguments.target.rpartition(":")
    shown = ssl.get_server_certificate((host.strip("[]"), int(port)), timeout=arguments.timeout)
    return grpc.ssl_channel_credentials(root_certificates=shown.encode())


def no_ca(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification, but no CA given: only the public roots shipped inside grpcio are trusted."""
    return grpc.ssl_channel_credentials()


def ca_file(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with a CA file: trust what this CA has signed, and nothing else."""
    return grpc.ssl_channel_credentials(root_certificates=read(arguments.ca, "--ca"))


def system_roots(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with the machine's own roots, which grpcio does not use by itself."""
    store = ssl.get_default_verify_paths().cafile
    roots = read(Path(store) if store else None, "SSL_CERT_FILE")
    return grpc.ssl_channel_credentials(root_certificates=roots)


def pinned(arguments: argparse.Namespace) -> grpc.ChannelCredentials:
    """Verification with the server's own certificate: trust this server, and nobody else."""
    return grpc.ssl_channel_credentials(root_certificates=read(arguments.pin, "--pin"))


POLICIES = {
    "insecure": insecure,
    "skip-verify": skip_verify,
    "no-ca": no_ca,
    "ca-file": ca_file,
    "system-roots": system_roots,
    "pinned": pinned,
}

# --- the call -----------------------------------------------------------------------------------


def get_user(arguments: argparse.Namespace) -> User:
    """Ask the server for a user, with the token that identifies this client."""
    deadline = time.monotonic() + arguments.timeout
    credentials = POLICIES[arguments.policy](arguments)
    target, options = dialled(arguments.target, arguments.server_name)
    if credentials:
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target, options)
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


def read(path: Path | None, option: str) -> bytes:
    """A PEM file that holds a certificate; on a mistake, says which and exits."""
    if not path:
        sys.exit(usage(f"this policy needs {option} FILE"))
    try:
        pem = path.read_bytes()
    except OSError as error:
        sys.exit(usage(f"{option}: cannot read {path}: {error.strerror}"))
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        sys.exit(usage(f"{option}: {path} holds no PEM certificate"))
    return pem


def usage(message: str) -> int:
    print(f"client: {message}", file=sys.stderr)
    return 2


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


def main() -> int:
    parser = argparse.ArgumentParser(
        "client", description="A gRPC client for users.v1.UserService.", usage=argparse.SUPPRESS
    )
    parser.add_argument("--target", required=True, type=target, metavar="HOST:PORT")
    parser.add_argument("--policy", required=True, choices=POLICIES, help="whom to trust")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="for ca-file: the CA, PEM")
    parser.add_argument("--pin", type=Path, metavar="FILE", help="for pinned: the certificate, PEM")
    parser.add_argument("--server-name", metavar="NAME", help="name to check, if not the target's")
    parser.add_argument("--id", type=user_id, default=1, metavar="N", help="user to ask for")
    parser.add_argument("--token", metavar="T", help="sent as `authorization: Bearer T`")
    parser.add_argument("--timeout", type=seconds, default=5.0, metavar="S", help="seconds, in all")
    arguments = parser.parse_args()
    answer: dict[str, dict[str, object]]
    try:
        user = get_user(arguments)
    except grpc.RpcError as error:
        answer = {"error": {"code": error.code().name, "message": error.details()}}
    except OSError as error:
        # The certificate that skip-verify wants to trust could not be fetched.
        answer = {"error": {"code": "UNAVAILABLE", "message": str(error)}}
    except KeyboardInterrupt:
        return 130
    else:
        answer = {"user": {"id": user.id, "name": user.name, "email": user.email}}
    print(json.dumps(answer))
    return 0 if "user" in answer else 1


if __name__ == "__main__":
    sys.exit(main())
