"""What each policy of client/README.md means for a client program: arguments and environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

Policy = Literal[
    "insecure",
    "skip-verify",
    "no-ca",
    "ca-file",
    "system-roots",
    "pinned",
    "skip-hostname",
    "pinned-key",
    "mutual-tls",
]
POLICIES: tuple[Policy, ...] = get_args(Policy)

# Those by which a client is given a file that says whom to trust.
TOLD_TRUST: tuple[Policy, ...] = (
    "ca-file",
    "pinned",
    "skip-hostname",
    "pinned-key",
    "mutual-tls",
)

# The variables by which TLS libraries are told of another "system" trust store: OpenSSL and Go,
# gRPC's C core, Node.
TRUST_STORE_VARIABLES = (
    "SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
)


class Trust(NamedTuple):
    """What a client may be given to decide by, and to show of itself.

    Attributes:
        ca: PEM file of the CA to trust.
        pin: PEM file of the server's own certificates, the present one and others to come.
        cert: PEM file of the chain that it presents to a server that asks for one, leaf first.
            `mutual-tls` needs it; under every other policy with TLS it is presented if it is there.
        key: PEM file of the leaf's key; with `cert`, or neither.
    """

    ca: Path
    pin: Path
    cert: Path | None = None
    key: Path | None = None


def options(policy: Policy, trust: Trust) -> dict[str, str]:
    """The options that tell a client to follow a policy, by their names without dashes."""
    match policy:
        case "ca-file" | "skip-hostname" | "mutual-tls":
            given = {"ca": str(trust.ca)}
        case "pinned" | "pinned-key":
            given = {"pin": str(trust.pin)}
        case _:
            given = {}
    if policy != "insecure" and trust.cert and trust.key:
        given |= {"cert": str(trust.cert), "key": str(trust.key)}
    return {"policy": policy, **given}


def environment(
    policy: Policy, trust: Trust, inherited: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment of a client that follows a policy.

    The lab plays the system's trust store, so that nothing is installed in the machine's own.
    """
    # rustls adds to the file what is in the directory.
    others = (*TRUST_STORE_VARIABLES, "SSL_CERT_DIR")
    chosen = {k: v for k, v in inherited.items() if k not in others}
    if policy == "system-roots":
        chosen |= dict.fromkeys(TRUST_STORE_VARIABLES, str(trust.ca))
    return chosen
