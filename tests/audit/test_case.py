"""Which certificates a client is tried with, and for which name."""

from pathlib import Path

import pytest
from cryptography import x509

from mitm.audit import Suite, catalogue, forge_suite, select, with_own
from mitm.content import CERTS
from mitm.errors import UserError


def names(only: list[str], exclude: list[str] | None = None) -> set[str]:
    return {recipe.name for recipe in select(catalogue(), only, exclude or [])}


def test_certificates_are_chosen_by_name_severity_and_weakness() -> None:
    recipes = catalogue()
    assert names([]) == {recipe.name for recipe in recipes}
    assert names(["self-signed", "wrong-host"]) == {"self-signed", "wrong-host"}
    assert names(["should"]) == {r.name for r in recipes if r.severity == "should"}
    for word in ("CWE-297", "cwe-297"):
        assert names([word]) == {r.name for r in recipes if 297 in r.cwe}
    assert names(["self-signed", "info"]) == {"self-signed"} | names(["info"])


def test_what_is_excluded_is_left_out_of_what_is_chosen() -> None:
    assert names(["must"], ["CWE-297", "self-signed"]) == (
        names(["must"]) - names(["CWE-297"]) - {"self-signed"}
    )


def test_cases_are_chosen_as_recipes_are() -> None:
    suite = forge_suite(select(catalogue(), ["self-signed", "wrong-host"]))
    assert [case.name for case in select(suite.cases, ["CWE-297"])] == ["wrong-host"]


@pytest.mark.parametrize(
    ("only", "exclude", "said"),
    [
        (["self-singed"], [], "did you mean 'self-signed'?"),
        ([], ["self-singed"], "did you mean 'self-signed'?"),
        (["CWE-1"], [], "no certificate or attack of the catalogue goes by 'CWE-1'"),
        (["CWE-x"], [], "unknown certificate, attack, severity or CWE 'CWE-x'"),
        (["xyzzy"], [], "'xyzzy': see what there is with mitm-demo list"),
        (["self-signed"], ["must"], "no certificate or attack is left to try"),
    ],
)
def test_a_word_that_means_nothing_is_refused(
    only: list[str], exclude: list[str], said: str
) -> None:
    with pytest.raises(UserError) as error:
        names(only, exclude)
    assert said in str(error.value)


OWN = "---\ntitle: Mine\nexpect: reject\nseverity: should\nchain: [{}]\n---\n\nA lesson.\n"


def own_file(folder: Path, name: str = "mine.md") -> str:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(OWN)
    return str(folder / name)


def chosen(only: list[str], exclude: list[str] | None = None) -> list[str]:
    """With files of one's own."""
    known = with_own(catalogue(), [*only, *(exclude or [])])
    return [recipe.name for recipe in select(known, only, exclude or [])]


def test_a_file_of_ones_own_is_chosen_by_its_path(tmp_path: Path) -> None:
    mine = own_file(tmp_path)
    assert chosen([mine]) == ["mine"]
    assert chosen([mine, "expired"]) == ["expired", "mine"]
    assert chosen(["should", mine], ["CWE-297"])[-1] == "mine"
    assert chosen(["expired", mine], [mine]) == ["expired"]
    # It is none of the catalogue, if it is only left out.
    assert chosen([], [mine]) == [recipe.name for recipe in catalogue()]


def test_the_working_directory_is_where_a_path_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    for word in ("./mine.md", "mine.md"):
        assert chosen([word]) == ["mine"]
    # The same file by two words is one certificate.
    assert chosen(["./mine.md", "mine.md"]) == ["mine"]


def test_two_certificates_have_two_names(tmp_path: Path) -> None:
    for words in (
        [own_file(tmp_path, "expired.md")],
        # Nobody would see that it took the place of the control, or was not tried beside it.
        [own_file(tmp_path, "genuine.md")],
        [own_file(tmp_path), own_file(tmp_path / "other")],
    ):
        with pytest.raises(UserError, match="give the file a name of its own"):
            chosen(words)
    # The catalogue's own file is what it is.
    assert chosen([str(CERTS / "expired.md")]) == ["expired"]


def test_a_file_that_is_not_there_or_no_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no certificate or attack file at \./nowhere\.md"):
        chosen(["./nowhere.md"])
    broken = tmp_path / "broken.md"
    broken.write_text(OWN.replace("title: Mine\n", ""))
    with pytest.raises(UserError, match=r"broken\.md: .*`title`"):
        chosen(["must"], [str(broken)])


def forged(name: str, *certificates: str) -> Suite:
    return forge_suite(select(catalogue(), certificates), name)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("localhost", "localhost"),
        ("api.example.com", "localhost"),
        # What is an address of this machine can be dialled; what is not, cannot.
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("192.0.2.1", "localhost"),
    ],
)
def test_the_control_is_dialled_on_this_machine_whatever_the_name(name: str, host: str) -> None:
    control = forged(name, "self-signed").control
    assert control.chain is not None
    assert control.chain.server_name == name
    assert control.chain.host == host


def test_a_certificate_for_an_address_is_dialled_by_address() -> None:
    suite = forged("localhost", "ip-mismatch", "self-signed")
    chains = {case.name: case.chain for case in suite.cases if case.chain}
    assert chains["ip-mismatch"].host == chains["ip-mismatch"].server_name == "127.0.0.1"
    assert chains["self-signed"].host == chains["self-signed"].server_name == "localhost"


def test_what_cannot_be_made_for_a_name_is_unsupported_with_its_reason() -> None:
    (case,) = forged("localhost", "parent-domain").cases
    assert case.chain is None
    assert "--name" in case.unsupported
    (case,) = forged("server.lab.mitm-demo.test", "parent-domain").cases
    assert case.chain is not None
    assert not case.unsupported


def test_what_is_copied_is_what_a_client_pins() -> None:
    suite = forged("localhost", "replaced-key", "genuine-appended")
    chains = {case.name: case.chain for case in suite.cases}
    copy, appended = chains["replaced-key"], chains["genuine-appended"]
    assert copy
    assert appended
    genuine = x509.load_pem_x509_certificate(suite.pin_pem)
    replaced = x509.load_der_x509_certificate(copy.certificates[0])
    assert replaced.serial_number == genuine.serial_number
    assert replaced.public_key() != genuine.public_key()
    assert x509.load_der_x509_certificate(appended.certificates[1]) == genuine


def test_the_genuine_certificate_is_the_control_and_no_case() -> None:
    suite = forged("localhost", "genuine", "self-signed")
    assert [case.name for case in suite.cases] == ["self-signed"]
    assert suite.control.name == "genuine"
    assert suite.pin_pem.startswith(b"-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "*.example.com",
        "a..b",
        "münchen.example",
        "localhost\n",
        "[::1]",
        "x" * 64,
        "a/b",
    ],
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="neither a host name nor an IP address"):
        forged(name, "self-signed")


def test_a_name_that_no_common_name_holds_is_refused_for_its_length() -> None:
    with pytest.raises(UserError, match=r"has 65 characters, .* common name holds 64"):
        forged("x" * 60 + ".test", "self-signed")


@pytest.mark.parametrize(
    "name", ["localhost", "A.Example.COM", "xn--mnchen-3ya.example", "a_b.c", "x" * 59 + ".test"]
)
def test_a_name_that_is_one_is_taken(name: str) -> None:
    chain = forged(name, "self-signed").control.chain
    assert chain
    assert chain.server_name == name
