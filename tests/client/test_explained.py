"""What a client of the lab says of a failed call is understood by `mitm-demo explain`."""

import json
import re
import socket

import pytest

from mitm import content
from mitm.explain import load, read
from mitm.lab.clients import Client
from tests.client.conftest import Batch, Stage

# gRPC C++ 1.51 says `certificate verify failed` of whatever OpenSSL refuses, and grpcio 1.60
# CERTIFICATE_VERIFY_FAILED: one message for many causes, of which issuers come first.
VAGUE = re.compile(r"certificate.verify.failed\W*$", re.IGNORECASE)


def causes(answer: dict[str, object]) -> list[str]:
    """The causes that a client's line of output is explained by, the likeliest first."""
    reading = read([json.dumps(answer)], load(content.ERRORS))
    return [name for known, _ in reading.errors for name, _ in known.cases]


@pytest.mark.parametrize(
    ("server", "cause"), [("attacker-ca", "issuer"), ("wrong-host", "name"), ("expired", "dates")]
)
def test_a_refusal_is_explained(kept: Batch, stage: Stage, server: str, cause: str) -> None:
    answer = kept.ask(**stage.asked("ca-file", server))
    error = answer["error"]
    assert isinstance(error, dict)
    likeliest = None if VAGUE.search(error["message"]) else 3
    assert cause in causes(answer)[:likeliest], answer


def test_a_port_on_which_nobody_listens_is_explained(
    client: Client, kept: Batch, stage: Stage
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{closed.getsockname()[1]}"
        answer = kept.ask(**stage.asked("ca-file", "genuine") | {"target": target})
    assert causes(answer) == ["nobody-there"], answer
