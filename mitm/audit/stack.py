"""The TLS and gRPC stack of a client under test: what it says of itself, and how it is started."""

import re
import ssl
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from mitm.audit.program import program_of
from mitm.evidence import Evidence, Kind, Observation
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
    "grpc-c++",
    "grpc-dotnet",
    "tonic",
    "rust",
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
    "grpc-c++": "grpc-c++",
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
    (re.compile(r"cargo"), "rust"),
    (re.compile(r"curl"), "curl"),
]

_TITLES: dict[Stack, str] = {
    "python": "Python",
    "node": "Node.js",
    "java": "Java",
    "go": "Go",
    "rust": "Rust",
    "curl": "curl",
}

# What a client in this process may be made of.
_DISTRIBUTIONS = ("grpcio", "grpclib", "protobuf")

# Characters of a user agent that fit a line.
_LENGTH = 160


def stack_of_command(words: Sequence[str]) -> str:
    """What a command line tells of the stack, "" for nothing."""
    program = program_of(words)
    names = [program.runtime, program.name]
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


def stack_said(observation: Observation | None, hint: str) -> str:
    """The stack of a client, by what it did with the genuine certificate.

    Args:
        observation: of the control.
        hint: what is known of it otherwise.
    """
    if observation is None:
        return hint
    agent = user_agent(observation.evidence)
    if kind_of_stack(agent) and hint in _TITLES.values():
        return agent
    library = hint or _by_client_hello(observation.kinds)
    return "; ".join(filter(None, (agent, library)))


def _by_client_hello(kinds: Sequence[Kind]) -> str:
    """The TLS library that a ClientHello is of, "" if it does not tell.

    Go's is the one that offers the cipher suites of TLS 1.3 behind those of TLS 1.2
    (`defaultCipherSuitesTLS13` in crypto/tls).
    """
    for kind in kinds:
        suites = [suite.startswith("TLS_") for suite in kind.offer[2]] if kind.offer else []
        if suites and suites[-1] and not suites[0]:
            return f"{_TITLES['go']}, by its ClientHello"
    return ""


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
