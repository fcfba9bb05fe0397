"""The TLS and gRPC stack of a client under test: what it says of itself, and how it is started."""

import re
import ssl
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from mitm.audit.program import program_of
from mitm.evidence import Evidence
from mitm.masking import plain

Stack = Literal[
    "",
    "grpcio",
    "grpclib",
    "python",
    "grpc-go",
    "go",
    "grpc-js",
    "node",
    "grpc-java",
    "java",
    "grpc-dotnet",
    "tonic",
    "curl",
]

# The products in a user agent (RFC 9110 section 10.1.5; "User Agents" in gRPC over HTTP/2), the
# more telling first: an application may name itself before them.
_PRODUCTS: dict[str, Stack] = {
    "grpc-python-grpclib": "grpclib",
    "grpc-python-asyncio": "grpcio",
    "grpc-python": "grpcio",
    "grpc-go": "grpc-go",
    "connect-go": "go",
    "Go-http-client": "go",
    "grpc-node-js": "grpc-js",
    "grpc-node": "grpc-js",
    "grpc-java-netty": "grpc-java",
    "grpc-java-okhttp": "grpc-java",
    "grpc-java": "grpc-java",
    "grpc-dotnet": "grpc-dotnet",
    "tonic": "tonic",
    "curl": "curl",
    "python-requests": "python",
    "python-httpx": "python",
    "Python-urllib": "python",
    "Python": "python",
}

# Programs that run others, by what they are called.
_PROGRAMS: list[tuple[re.Pattern[str], Stack]] = [
    (re.compile(r"python[\d.]*|.*\.py"), "python"),
    (re.compile(r"node(js)?|npx|npm|.*\.[cm]?js"), "node"),
    (re.compile(r"java|.*\.jar"), "java"),
    (re.compile(r"go|.*\.go"), "go"),
    (re.compile(r"curl"), "curl"),
]

_TITLES: dict[Stack, str] = {
    "python": "Python",
    "node": "Node.js",
    "java": "Java",
    "go": "Go",
    "curl": "curl",
}

# What a client in this process may be made of.
_DISTRIBUTIONS = ("grpcio", "grpclib", "protobuf")

# Characters of a user agent that fit a line.
_LENGTH = 160


def stack_of_command(words: Sequence[str]) -> str:
    """What a command line tells of the stack, "" for nothing."""
    program = program_of(words)
    names = [program.runtime, program.file.rpartition("/")[2]]
    for pattern, stack in _PROGRAMS:
        if any(pattern.fullmatch(name) for name in names if name):
            return _TITLES[stack]
    return ""


def stack_in_process() -> str:
    """The versions of what is installed in this process, which a function is a client of."""
    found = [f"Python {sys.version.split()[0]}", " ".join(ssl.OPENSSL_VERSION.split()[:2])]
    for name in _DISTRIBUTIONS:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def user_agent(evidence: Evidence | None) -> str:
    """What a client has called itself in its first call, "" if it has not."""
    for call in evidence.calls if evidence else ():
        if said := call.metadata.get("user-agent"):
            return plain(said)[:_LENGTH]
    return ""


def stack_said(evidence: Evidence | None, hint: str) -> str:
    """The stack of a client, by its calls with the genuine certificate.

    Args:
        evidence: of the control.
        hint: what is known of it otherwise.
    """
    agent = user_agent(evidence)
    if kind_of_stack(agent) and hint in _TITLES.values():
        return agent
    return "; ".join(filter(None, (agent, hint)))


def kind_of_stack(said: str) -> Stack:
    """Which of the stacks that we know is meant, "" for none of them."""
    agent, _, hint = said.partition("; Python ")
    for product, stack in _PRODUCTS.items():
        if re.search(rf"(?<![\w-]){re.escape(product)}/", agent):
            return stack
    for stack, title in _TITLES.items():
        if re.search(rf"(^|; ){re.escape(title)}($|[ ;,])", said):
            return stack
    return "python" if hint else ""
