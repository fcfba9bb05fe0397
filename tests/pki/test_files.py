"""PEM files: private, whole, and never overwritten by accident."""

import os
import stat
from datetime import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mitm.errors import UserError
from mitm.pki import Authorities, forge, load_recipe, write_chain, write_lab, write_private

FILES = {
    "ca.pem",
    *(f"{who}.{what}" for who in ("server", "client", "attacker") for what in ("pem", "key")),
    "attacker-ca.pem",
}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_lab_is_written_for_its_owner_alone(tmp_path: Path, authorities: Authorities) -> None:
    directory = tmp_path / "a" / "deep" / "lab"
    before = os.umask(0)
    try:
        written = write_lab(directory, authorities, overwrite=False)
    finally:
        os.umask(before)
    assert {path.name for path in written} == FILES == {path.name for path in directory.iterdir()}
    assert [mode(made) for made in (directory, *directory.parents[:2])] == [0o700] * 3
    assert {mode(path) for path in written} == {0o600}


def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path, authorities: Authorities) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o750)
    write_lab(tmp_path / "shared" / "lab", authorities, overwrite=False)
    write_lab(tmp_path / "shared", authorities, overwrite=False)
    assert (mode(tmp_path / "shared"), mode(tmp_path / "shared" / "lab")) == (0o750, 0o700)


def test_what_is_written_are_the_right_certificates_and_keys(
    tmp_path: Path, authorities: Authorities
) -> None:
    write_lab(tmp_path, authorities, overwrite=False)
    issuers = {"server": "ca.pem", "client": "ca.pem", "attacker": "attacker-ca.pem"}
    for who, issuer in issuers.items():
        leaf = x509.load_pem_x509_certificate((tmp_path / f"{who}.pem").read_bytes())
        key = load_pem_private_key((tmp_path / f"{who}.key").read_bytes(), None)
        assert key.public_key() == leaf.public_key()
        leaf.verify_directly_issued_by(
            x509.load_pem_x509_certificate((tmp_path / issuer).read_bytes())
        )


def test_no_key_of_an_authority_is_written(tmp_path: Path, authorities: Authorities) -> None:
    write_lab(tmp_path, authorities, overwrite=False)
    leaves = [load_pem_private_key(p.read_bytes(), None) for p in tmp_path.glob("*.key")]
    points = [key.public_key() for key in leaves]
    assert len(points) == 3
    assert authorities.lab.key.public_key() not in points
    assert authorities.attacker.key.public_key() not in points
    assert not [p for p in tmp_path.glob("*.pem") if b"PRIVATE" in p.read_bytes()]


def test_nothing_is_overwritten_without_leave(tmp_path: Path, authorities: Authorities) -> None:
    there = tmp_path / "server.key"
    there.write_bytes(b"precious")
    with pytest.raises(UserError, match=r"server\.key would be overwritten: add --force"):
        write_lab(tmp_path, authorities, overwrite=False)
    assert there.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [there]
    write_lab(tmp_path, authorities, overwrite=True)
    assert there.read_bytes() != b"precious"
    assert mode(there) == 0o600


def test_a_place_that_cannot_be_written_to_is_named(
    tmp_path: Path, authorities: Authorities
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*file.*lab"):
        write_lab(tmp_path / "file" / "lab", authorities, overwrite=False)


def test_a_place_that_cannot_even_be_looked_at_is_named(
    tmp_path: Path, authorities: Authorities
) -> None:
    with pytest.raises(UserError, match=r"cannot write to .*: File name too long"):
        write_lab(tmp_path / ("long" * 100), authorities, overwrite=False)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.mkdir()
    (path / "inside").touch()
    with pytest.raises(OSError, match="taken"):
        write_private(path, b"key")
    assert list(tmp_path.iterdir()) == [path]


def test_a_chain_of_the_catalogue_is_written_with_what_its_client_trusts(
    tmp_path: Path, authorities: Authorities, now: datetime
) -> None:
    chain = forge(load_recipe("attacker-ca"), "localhost", authorities, now)
    written = write_chain(tmp_path, chain, overwrite=False)
    assert {path.name for path in written} == {
        "attacker-ca.pem",
        "attacker-ca.key",
        "attacker-ca.ca.pem",
    }
    assert {mode(path) for path in written} == {0o600}
    assert (tmp_path / "attacker-ca.ca.pem").read_bytes() == authorities.lab.pem
    with pytest.raises(UserError, match="--force"):
        write_chain(tmp_path, chain, overwrite=False)
