"""A public CA, for real: Pebble issues, renews, and believes whatever its DNS says."""

import asyncio
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from mitm.errors import UserError
from mitm.lab.acme import (
    Account,
    AcmeServer,
    NotPlayed,
    missing,
    must_be_here,
    running_acme_server,
    server,
)
from mitm.lab.acme.responder import answering
from mitm.pki import Chain
from tests.small_ca import SmallCa

here = pytest.mark.skipif(bool(missing()), reason=missing())

_SERVER, _THIEF = "127.0.0.1", "127.0.0.2"


def _with_ca(folder: Path, play: Callable[[AcmeServer], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        async with running_acme_server(folder) as ca:
            return await play(ca)

    return asyncio.run(run())


def _verifies(chain: Chain, root_pem: bytes, name: str) -> bool:
    """Whether a chain leads to a root, for a name: by a library that had no part in making it."""
    leaf, *between = map(x509.load_der_x509_certificate, chain.certificates)
    store = Store(x509.load_pem_x509_certificates(root_pem))
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name))
    try:
        verifier.verify(leaf, between)
    except VerificationError:
        return False
    return True


def _serial(chain: Chain) -> int:
    return x509.load_der_x509_certificate(chain.certificates[0]).serial_number


@here
def test_a_certificate_is_issued_and_renewed_in_seconds(tmp_path: Path) -> None:
    begun = time.monotonic()

    async def play(ca: AcmeServer) -> None:
        account = Account(ca, _SERVER)
        first = await account.obtain("localhost")
        second = await account.obtain("localhost")
        assert _verifies(first, ca.root_pem, "localhost")
        assert _verifies(second, ca.root_pem, "localhost")
        assert _serial(first) != _serial(second)
        # Neither another name nor another root will do.
        assert not _verifies(first, ca.root_pem, "other.test")
        assert not _verifies(first, SmallCa().pem, "localhost")
        assert (first.anchor_pem, first.host) == (ca.root_pem, "localhost")
        leaf = x509.load_der_x509_certificate(first.certificates[0])
        days = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() / 86_400
        assert days <= 1

    _with_ca(tmp_path, play)
    # Eight are promised, on a machine that does nothing else.
    assert time.monotonic() - begun < 60


@here
def test_a_name_that_was_proved_before_need_not_be_proved_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A CA may take an authorization for as long as it holds (RFC 8555 section 7.1.6)."""
    monkeypatch.setitem(server._PATIENCE, "PEBBLE_AUTHZREUSE", "100")

    async def play(ca: AcmeServer) -> tuple[Chain, Chain]:
        account = Account(ca, _SERVER)
        return await account.obtain("localhost"), await account.obtain("localhost")

    first, second = _with_ca(tmp_path, play)
    assert _serial(first) != _serial(second)


@here
def test_a_renewal_may_keep_the_key(tmp_path: Path) -> None:
    async def play(ca: AcmeServer) -> None:
        account = Account(ca, _SERVER)
        first = await account.obtain("localhost")
        kept = await account.obtain("localhost", first.key_pem)
        fresh = await account.obtain("localhost")
        assert kept.key_pem == first.key_pem != fresh.key_pem
        key = load_pem_private_key(kept.key_pem, None).public_key()
        leaf = x509.load_der_x509_certificate(kept.certificates[0])
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert leaf.public_key().public_bytes(*form) == key.public_bytes(*form)

    _with_ca(tmp_path, play)


@here
def test_whoever_the_dns_points_to_gets_the_certificate_and_nobody_else(tmp_path: Path) -> None:
    async def play(ca: AcmeServer) -> None:
        owner, thief = Account(ca, _SERVER), Account(ca, _THIEF)
        with pytest.raises(UserError, match=r"^the CA refuses: "):
            await thief.obtain("localhost")
        await ca.resolve("localhost", _THIEF)
        stolen = await thief.obtain("localhost")
        assert _verifies(stolen, ca.root_pem, "localhost")
        with pytest.raises(UserError, match=r"^the CA refuses: "):
            await owner.obtain("localhost")
        await ca.resolve("localhost", _SERVER)
        assert _verifies(await owner.obtain("localhost"), ca.root_pem, "localhost")

    _with_ca(tmp_path, play)


@here
def test_each_run_has_a_root_of_its_own_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def known(ca: AcmeServer) -> tuple[bytes, int]:
        port = urlsplit(ca.directory).port
        assert port
        socket.create_connection(("127.0.0.1", port)).close()
        return ca.root_pem, port

    (one, port), (other, _) = (_with_ca(tmp_path, known) for _ in range(2))
    assert one != other
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


@here
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("*.localhost", "the CA offers no HTTP-01 challenge for localhost"),
        ("no_name", "the CA issues nothing: "),
    ],
)
def test_a_name_for_which_there_is_no_certificate_is_told_in_a_line(
    tmp_path: Path, name: str, why: str
) -> None:
    async def play(ca: AcmeServer) -> None:
        with pytest.raises(UserError) as refused:
            await Account(ca, _SERVER).obtain(name)
        assert str(refused.value).startswith(why)
        assert "\n" not in str(refused.value)

    _with_ca(tmp_path, play)


@here
def test_a_proxy_in_the_environment_has_no_part_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no"))
    chain = _with_ca(tmp_path, lambda ca: Account(ca, _SERVER).obtain("localhost"))
    assert chain.server_name == "localhost"


@here
def test_a_port_that_somebody_else_has_is_left_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = server.free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        asked = iter([port])
        monkeypatch.setattr(server, "free_port", lambda: next(asked, None) or free())
        chain = _with_ca(tmp_path, lambda ca: Account(ca, _SERVER).obtain("localhost"))
    assert chain.server_name == "localhost"


@here
def test_a_pebble_that_is_another_program_is_told_by_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "pebble"
    other.write_text("#!/bin/sh\necho 'error: unknown flag' >&2\nexit 1\n")
    other.chmod(0o755)
    monkeypatch.setattr(server, "PEBBLE", str(other))

    async def nothing(ca: AcmeServer) -> None:
        raise AssertionError

    with pytest.raises(UserError, match=r"pebble did not start: error: unknown flag$"):
        _with_ca(tmp_path, nothing)


@pytest.mark.parametrize(
    ("absent", "told"),
    [
        ((), ""),
        (("pebble",), "without pebble: apt install pebble"),
        (("acme",), "without the Python library acme: pip install 'mitm-demo[acme]'"),
        (
            ("pebble", "pebble-challtestsrv", "acme"),
            "without pebble and pebble-challtestsrv and the Python library acme: "
            "apt install pebble; pip install 'mitm-demo[acme]'",
        ),
    ],
    ids=str,
)
def test_what_is_missing_is_told_in_a_line_with_both_ways_to_get_it(
    absent: tuple[str, ...], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name in absent else name)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name in absent else object()
    )
    assert missing() == told
    if told:
        with pytest.raises(NotPlayed, match=f"^a public CA cannot be played {told[:12]}"):
            must_be_here()
    else:
        must_be_here()


def test_a_challenge_is_answered_under_its_path_alone() -> None:
    def asked(url: str) -> tuple[int, bytes]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(url, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, b""

    async def play() -> list[tuple[int, bytes]]:
        port = server.free_port()
        async with answering(_SERVER, port, {"/right": b"said"}):
            urls = [f"http://{_SERVER}:{port}/{path}" for path in ("right", "wrong")]
            return [await asyncio.to_thread(asked, url) for url in urls]

    assert asyncio.run(play()) == [(200, b"said"), (404, b"")]


def test_a_port_for_answers_that_is_taken_is_told() -> None:
    async def play(port: int) -> None:
        async with answering(_SERVER, port, {}):
            raise AssertionError

    with socket.create_server((_SERVER, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"^cannot answer challenges on {_SERVER}:{port}: "):
            asyncio.run(play(port))


def test_what_pebble_shows_its_clients_is_its_own_trust_anchor(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    server.write_own_certificate(cert, key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    (certificate,) = x509.load_pem_x509_certificates(cert.read_bytes())
    certificate.verify_directly_issued_by(certificate)
    assert key.stat().st_mode & 0o777 == 0o600
