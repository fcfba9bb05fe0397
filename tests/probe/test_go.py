"""Servers in Go, by grpc-go: the probe finds just the holes of each, and none in sound ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mitm.audit import find_causes
from mitm.audit.servers.way import all_ways
from tests.go import module_built
from tests.probe.lab import Lab, finding, holes, probed
from tests.programs import running

SOURCES = Path(__file__).parent / "go"

WAYS = {way.name: way for way in all_ways()}

# What a client shows that was made for it, and does hold the key of.
SHOWN = {
    name
    for name, way in WAYS.items()
    if way.expect == "reject" and not way.after and way.show not in ("good", "none", "other-key")
}

# Of these, what has the good client's names.
NAMED_GOOD = {n for n in SHOWN if WAYS[n].who == "good" and WAYS[n].show != "renamed"}

CA_LIMITS = {
    "client-issuer-cannot-sign",
    "client-issuer-not-a-ca",
    "client-name-not-permitted",
    "client-path-length",
}

MODES: dict[str, set[str]] = {
    # What grpc-go does by default says who somebody is, and nobody is asked what he may.
    "verify": {"wrong-identity"},
    "identity": set(),
    "if-given": {"no-certificate", "wrong-identity"},
    "asks-only": {"no-certificate", *SHOWN},
    "any": SHOWN,
    "any-by-names": NAMED_GOOD,
    "any-purpose": {"client-eku-server", "client-eku-code-signing"},
    "any-time": {"client-expired", "client-not-yet-valid"},
    "any-in-the-chain": {"client-good-appended", "client-leaf-as-ca", *CA_LIMITS},
    "by-hand": {"client-leaf-as-ca", "client-critical-extension", *CA_LIMITS},
    "by-serial": {
        *("client-altered", "client-copied-serial"),
        *("client-renamed", "client-replaced-key"),
    },
    "by-key": {"client-altered", "client-renamed"},
    # Go's TLS refuses a name with a dot behind it.
    "by-server-name": {
        *("mixed-case-server-name", "no-server-name", "other-server-name", "wrong-identity"),
    },
    "old": {"client-tls-1.0", "client-tls-1.1"},
}


@pytest.fixture(scope="session")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("go") / "careless"
    module_built(SOURCES, "-o", str(program))
    return program


@contextmanager
def serving(program: Path, mode: str, lab: Lab) -> Iterator[int]:
    with running(program, mode, lab.folder) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


@pytest.mark.parametrize("mode", MODES)
def test_just_the_holes_of_a_server_are_found(mode: str, lab: Lab, careless: Path) -> None:
    with serving(careless, mode, lab) as port:
        report = probed(lab, port)
    if mode == "old" and finding(report, "client-tls-1.0").outcome == "unsupported":
        pytest.skip("the OpenSSL here does not speak them")
    assert holes(report) == MODES[mode]


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("asks-only", "no-client-certificate"),
        ("any", "any-issuer"),
        ("any-purpose", "purpose"),
        ("any-time", "dates"),
        ("verify", "any-identity"),
    ],
)
def test_what_comes_of_one_mistake_is_one_cause(
    mode: str, cause: str, lab: Lab, careless: Path
) -> None:
    with serving(careless, mode, lab) as port:
        (found,) = find_causes(probed(lab, port))
    assert found.name == cause


def test_the_default_of_grpc_go_is_clean_of_what_binds_all(lab: Lab, careless: Path) -> None:
    with serving(careless, "verify", lab) as port:
        report = probed(lab, port)
    assert not report.failing()
    assert [f.case.name for f in report.failing(strict=True)] == ["wrong-identity"]
