"""Recipes: what may be said, and how a mistake is told."""

from pathlib import Path

import pytest

from mitm.errors import UserError
from mitm.pki import load_recipe

LEAF = "chain:\n  - subject: CN={name}\n  - authority: lab\n"


def recipe_file(folder: Path, front: str, *, title: str = "A title") -> str:
    path = folder / "mine.md"
    path.write_text(f"---\ntitle: {title}\nexpect: reject\n{front}---\n\nThe lesson.\n")
    return str(path)


def test_a_recipe_needs_little_and_the_rest_is_sound(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, LEAF))
    assert recipe.name == "mine"
    assert recipe.title == "A title"
    assert recipe.lesson == "The lesson.\n"
    assert (recipe.family, recipe.severity) == ("own", "must")
    assert (recipe.dial, recipe.cwe) == ("name", ())


@pytest.mark.parametrize(
    ("front", "key", "reason"),
    [
        ("chain: []\n", "chain", "no certificate"),
        ("chain: leaf\n", "chain", "array"),
        ("chain:\n  - authority: lab\n", "chain[0]", "leaf"),
        ("chain:\n  - send: false\n", "chain[0].send", "always sent"),
        ("chain:\n  - {}\n  - authority: lab\n  - {}\n", "chain[1]", "end of a chain"),
        ("chain:\n  - {}\n  - authority: verisign\n", "chain[1].authority", "verisign"),
        ("chain:\n  - subjct: CN=x\n", "chain[0]", "subjct"),
        ("chain:\n  - subject: localhost\n", "chain[0]", "subject: 'localhost' is not a name"),
        ("chain:\n  - subject: XX=x\n", "chain[0]", "RFC 4514"),
        ("chain:\n  - issuer: CN\n", "chain[0]", "issuer: 'CN' is not a name"),
        ("chain:\n  - subject: CN={nam}\n", "chain[0]", "unknown placeholder {nam}"),
        ("chain:\n  - subject: 7\n", "chain[0].subject", "str"),
        ("chain:\n  - key: dsa\n", "chain[0].key", "dsa"),
        ("chain:\n  - hash: md4\n", "chain[0].hash", "md4"),
        ("chain:\n  - version: 2\n", "chain[0].version", "2"),
        ("chain:\n  - signed_by: nobody\n", "chain[0].signed_by", "nobody"),
        (f"chain:\n  - serial: {1 << 512}\n", "chain[0]", "64 octets"),
        ("chain:\n  - signed_by: 7\n", "chain[0].signed_by", "no link number 7"),
        ("chain:\n  - {}\n  - same_key_as: 1\n", "chain[1].same_key_as", "no own key"),
        ("chain:\n  - same_key_as: -1\n", "chain[0].same_key_as", ">= 0"),
        ("chain:\n  - {key: rsa-2048, same_key_as: lab}\n", "chain[0]", "same_key_as"),
        ("chain:\n  - {}\n  - repeat: 101\n", "chain[1].repeat", "<= 100"),
        ("chain:\n  - san_more: 20001\n", "chain[0].san_more", "<= 20000"),
        ("chain:\n  - {}\n  - breakages: [replaced-key]\n", "chain[1].breakages", "leaf"),
        ("chain:\n  - genuine: true\n", "chain[0].genuine", "other-key"),
        ("chain:\n  - {}\n  - genuine: true\n", "chain[0].signed_by", "genuine one's key"),
        (
            "chain:\n  - signed_by: 1\n  - genuine: true\n",
            "chain[0].signed_by",
            "genuine one's key",
        ),
        (
            "chain:\n  - {signed_by: lab, same_key_as: 1}\n  - genuine: true\n",
            "chain[0].same_key_as",
            "genuine one's key",
        ),
        (
            "chain:\n  - signed_by: lab\n  - {genuine: true, subject: CN=x}\n",
            "chain[1]",
            "has no subject",
        ),
        ("chain:\n  - not_before: yesterday\n", "chain[0].not_before", "regex"),
        ("chain:\n  - not_after: +1y\n", "chain[0].not_after", "regex"),
        ("chain:\n  - not_after: '+99999999999d'\n", "chain[0].not_after", "regex"),
        ("chain:\n  - not_after: -2h\n", "chain[0]", "not_after: -2h is not after -1h"),
        ("chain:\n  - san: DNS:x\n", "chain[0].san", "array"),
        ("chain:\n  - san: [localhost]\n", "chain[0].san[0]", "regex"),
        ("chain:\n  - san: ['IP:localhost']\n", "chain[0]", "san: IP:localhost"),
        ("chain:\n  - san: ['IP:{parent}']\n", "chain[0]", "has no {parent}"),
        ("chain:\n  - san: ['EMAIL:ä']\n", "chain[0]", "san: EMAIL:ä"),
        ("chain:\n  - name_constraints: {permitted: ['DNS:ä']}\n", "chain[0]", "permitted: DNS:ä"),
        ("chain:\n  - key_usage: [sign]\n", "chain[0].key_usage[0]", "sign"),
        ("chain:\n  - extended_key_usage: [serverAuth]\n", "chain[0]", "'serverAuth'"),
        ("chain:\n  - extended_key_usage: [9.9]\n", "chain[0].extended_key_usage[0]", "float"),
        ("chain:\n  - extended_key_usage: ['9.9.9']\n", "chain[0]", "object identifier"),
        ("chain:\n  - basic_constraints: none\n", "chain[0].basic_constraints", "none"),
        ("chain:\n  - basic_constraints: {}\n", "chain[0].basic_constraints", "`ca`"),
        (
            "chain:\n  - basic_constraints: {ca: true, path_length: -1}\n",
            "chain[0].basic_constraints.path_length",
            ">= 0",
        ),
        (
            "chain:\n  - basic_constraints: {ca: false, path_length: 1}\n",
            "chain[0].basic_constraints",
            "path_length: only a CA",
        ),
        ("chain:\n  - name_constraints: {}\n", "chain[0].name_constraints", "nothing"),
        (
            "chain:\n  - name_constraints: {permitted: ['IP:127.0.0.1/8']}\n",
            "chain[0].name_constraints",
            "host bits",
        ),
        ("chain:\n  - extensions: [{oid: '1.2.3', der: xyz}]\n", "chain[0].extensions[0].der", ""),
        ("chain:\n  - extensions: [{oid: '1.2.3', der: '050'}]\n", "extensions[0].der", "regex"),
        ("chain:\n  - extensions: [{oid: '1.99.3', der: '0500'}]\n", "extensions[0]", "1.99.3"),
        ("chain:\n  - breakages: [rust]\n", "chain[0].breakages[0]", "rust"),
        ("chain:\n  - {key: rsa-2048, breakages: [other-key]}\n", "chain[0]", "other-key"),
        ("chain:\n  - {}\n  - breakages: [other-key]\n", "chain[1].breakages", "leaf"),
        (LEAF + "family: trsut\n", "family", "trsut"),
        (LEAF + "severity: high\n", "severity", "high"),
        (LEAF + "cwe: 295\n", "cwe", "array"),
        (LEAF + "dial: port\n", "dial", "port"),
        (LEAF + "tls: {minimum: SSLv3}\n", "tls.minimum", "SSLv3"),
        (LEAF + "tls: {minimum: TLSv1.2, maximum: TLSv1}\n", "tls", "above the maximum"),
        (LEAF + "tls: {cipher: NULL}\n", "tls", "cipher"),
        (LEAF + "colour: red\n", "front matter", "colour"),
        ("expects: reject\n", "front matter", "expects"),
        ("", "front matter", "chain"),
    ],
)
def test_a_mistake_names_file_key_and_reason(
    tmp_path: Path, front: str, key: str, reason: str
) -> None:
    path = recipe_file(tmp_path, front)
    with pytest.raises(UserError) as caught:
        load_recipe(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert key in text
    assert reason in text
    assert "\n" not in text


def test_an_unknown_recipe_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'genuine'"):
        load_recipe("genuin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no certificate file at .*nowhere\.md"):
        load_recipe(str(tmp_path / "nowhere.md"))


@pytest.mark.parametrize(
    ("chain", "needed"),
    [
        ("[{}, {authority: lab}]", True),
        ("[{}, {authority: attacker}]", False),
        ("[{signed_by: self}]", False),
        ("[{signed_by: lab}]", True),
        ("[{}, {trusted: true}]", True),
        ("[{}, {trusted: also}]", True),
        ("[{}, {same_key_as: lab}]", True),
        ("[{breakages: [replaced-key]}, {authority: lab}]", False),
    ],
)
def test_a_recipe_tells_whether_a_trusted_ca_has_a_part_in_it(
    tmp_path: Path, chain: str, needed: bool
) -> None:
    recipe = load_recipe(recipe_file(tmp_path, f"chain: {chain}\n"))
    assert recipe.needs_lab_ca is needed


@pytest.mark.parametrize(
    ("dial", "name", "dialled"),
    [
        ("name", "localhost", "localhost"),
        ("ip", "localhost", "127.0.0.1"),
        ("ip", "::1", "::1"),
        ("name", "127.0.0.1", "127.0.0.1"),
    ],
)
def test_a_recipe_says_what_is_dialled(tmp_path: Path, dial: str, name: str, dialled: str) -> None:
    recipe = load_recipe(recipe_file(tmp_path, f"{LEAF}dial: {dial}\n"))
    assert recipe.dialled(name) == dialled
