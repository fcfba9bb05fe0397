"""`list`, `show`, `doctor` and the help texts."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from mitm import content
from mitm.lab.clients import clients, load_client
from mitm.lab.scenario import scenarios
from tests.programs import mitm_demo, refused, run, scenario_file

KINDS = ("scenarios", "certs", "attacks", "offers", "ways", "clients")
COMMANDS = ("run", "audit", "explain", "list", "show", "proxy", "certs", "serve", "call", "doctor")


def test_list_fits_a_screen_and_says_how_to_see_more() -> None:
    result = mitm_demo("list", COLUMNS="80")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert {*scenarios(), *clients()} <= {*result.out.split()}
    for more in (
        "list scenarios",
        "list certs",
        "list clients",
        "show NAME",
        "list --json",
        "show session/cpp",
    ):
        assert f"mitm-demo {more} " in result.out


def test_list_by_kind_names_every_scenario_certificate_and_client() -> None:
    out = "".join(mitm_demo("list", kind).out for kind in KINDS)
    for name in (*scenarios(), *content.markdown_files(content.CERTS), *clients()):
        assert f" {name} " in out


def test_list_as_json_tells_all_that_options_need() -> None:
    result = mitm_demo("list", "--json")
    assert result.code == 0, result.err
    named = {kind: [each for each in result.json_lines if each["kind"] == kind] for kind in KINDS}
    assert sum(map(len, named.values())) == len(result.json_lines)
    assert {each["name"] for each in named["scenarios"]} == {*scenarios()}
    assert {each["name"] for each in named["certs"]} == {*content.markdown_files(content.CERTS)}
    assert {each["name"] for each in named["attacks"]} == {*content.markdown_files(content.ATTACKS)}
    assert {each["name"] for each in named["offers"]} == {*content.markdown_files(content.OFFERS)}
    assert {each["name"] for each in named["ways"]} == {*content.ways()}
    assert {each["name"] for each in named["clients"]} == {*clients()}
    (python,) = (each for each in named["clients"] if each["name"] == "python")
    assert python["policies"] == list(load_client("python").policies)
    (wrong_host,) = (each for each in named["certs"] if each["name"] == "wrong-host")
    assert (wrong_host["severity"], wrong_host["cwe"]) == ("must", [297])
    assert wrong_host["expect"] == "reject"
    assert mitm_demo("list", "certs", "--json").json_lines == named["certs"]


def test_a_narrow_terminal_cuts_no_name() -> None:
    for kind in KINDS:
        result = mitm_demo("list", kind, COLUMNS="80")
        assert max(map(len, result.out.splitlines())) <= 80
        assert "…" not in result.out
    listed = mitm_demo("list", "certs", COLUMNS="60").out
    for name in content.markdown_files(content.CERTS):
        assert f"│{name}" in listed
    policies = mitm_demo("list", "clients", COLUMNS="60").out.replace("│", " ").replace(",", " ")
    assert {*load_client("python").policies} <= {*policies.split()}


# One certificate of each kind stands for all: they are shown by the same few lines.
def test_list_shows_one_kind_if_asked_to() -> None:
    listed = {kind: mitm_demo("list", kind).out for kind in KINDS}
    names = {
        "scenarios": "skip-verify",
        "certs": "wrong-san",
        "attacks": "second-connection",
        "offers": "no-sni",
        "ways": "no-certificate",
        "clients": "python",
    }
    for kind, out in listed.items():
        assert {k for k, name in names.items() if f" {name} " in out} == {kind}
    assert "'certificates' is not one of" in refused(mitm_demo("list", "certificates"))


def test_list_certs_shows_severity_weakness_and_expectation() -> None:
    out = mitm_demo("list", "certs").out
    rows = {cells[1]: cells[2:5] for line in out.splitlines() if (cells := _cells(line))}
    assert rows["wrong-host"] == ["must", "297", "rejects"]
    assert rows["mixed-case"] == ["must", "", "accepts"]
    assert rows["no-san"][0] == "should"


def test_list_certs_shows_them_family_by_family_and_never_cuts_a_name() -> None:
    out = mitm_demo("list", "certs", COLUMNS="80").out
    listed = [cells[1] for line in out.splitlines() if (cells := _cells(line)) and cells[1]]
    assert listed[0] == "Trust"
    assert listed.index("Name") < listed.index("wrong-host") < listed.index("Time")
    assert {*content.markdown_files(content.CERTS)} <= {*listed}


def _cells(line: str) -> list[str]:
    cells = [cell.strip() for cell in line.split("│")]
    return cells if len(cells) == 7 else []


@pytest.mark.parametrize("name", [*scenarios(), "genuine", "nul-in-san", "tls-1.0"])
def test_show_prints_the_lesson(name: str) -> None:
    result = mitm_demo("show", name)
    assert result.code == 0, result.err
    folder = content.SCENARIOS if name in scenarios() else content.CERTS
    title = next(
        line.removeprefix("title: ")
        for line in (folder / f"{name}.md").read_text().splitlines()
        if line.startswith("title: ")
    )
    assert title.strip("\"'") in result.out
    assert len(result.out) > 400


def test_a_scenario_and_the_certificate_that_it_is_about_are_shown_together() -> None:
    both = {*scenarios()} & {*content.markdown_files(content.CERTS)}
    assert "expired" in both
    for name in both:
        out = mitm_demo("show", name).out
        assert "Expected: client ──▶" in out
        assert "A correct client: " in out


def test_show_reads_a_scenario_file_of_ones_own(tmp_path: Path) -> None:
    result = mitm_demo("show", scenario_file(tmp_path / "mine.md"))
    assert "A lesson of its own." in result.out


def test_a_file_of_somebody_elses_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    path = scenario_file(tmp_path / "theirs.md")
    path.write_text(path.read_text() + "\n\x1b[2J\u202eevil\x9b31m\n\n::error::boo\n")
    result = mitm_demo("show", path)
    assert (result.code, result.err) == (0, "")
    for line in result.out.splitlines():
        assert line.isprintable()
        assert not line.strip().startswith("::error::")
    assert "evil" in result.out


def test_show_tells_a_certificates_rule_and_how_to_fix_who_accepts_it(tmp_path: Path) -> None:
    known = mitm_demo("show", "expired").out
    assert "rejects it (must, CWE-295, CWE-298)" in known
    assert "RFC 5280 section 6.1.3 (a)(2)" in known
    assert "Fix: " in known
    mine = tmp_path / "mine.md"
    mine.write_text("---\ntitle: Mine\nexpect: accept\nchain: [{}]\n---\n\nMy own lesson.\n")
    own = mitm_demo("show", mine).out
    assert "My own lesson." in own
    assert "accepts it (must)" in own
    assert "Fix: " not in own


def test_show_suggests_the_nearest_name_of_either_kind() -> None:
    assert "did you mean 'attacker-ca'?" in refused(mitm_demo("show", "atacker-ca"))
    assert "did you mean 'skip-verify'?" in refused(mitm_demo("show", "skip-verfy"))


def test_show_prints_a_file_for_ones_tests_as_it_is() -> None:
    for name, path in content.session_files().items():
        assert mitm_demo("show", name) == (0, path.read_text(), "")
    assert "did you mean 'session/rust'?" in refused(mitm_demo("show", "session/rst"))
    assert "did you mean" not in refused(mitm_demo("show", "./rust"))


def test_doctor_tells_what_is_here_and_what_is_missing() -> None:
    result = mitm_demo("doctor")
    assert result.code == 0
    assert "grpcio" in result.out
    bare = mitm_demo("doctor", PATH="")
    assert bare.code == 0
    (row,) = (line for line in bare.out.splitlines() if line.startswith("h2load "))
    assert "missing" in row
    assert "make bench" in row


def test_doctor_tells_versions_and_missing_packages_in_a_line_each() -> None:
    result = mitm_demo("doctor", COLUMNS="80")
    for package in ("grpcio", "protobuf", "cryptography"):
        # Behind it stands what clients in other languages need, which may be called the same.
        row = next(line for line in result.out.splitlines() if line.startswith(f"{package} "))
        assert version(package) in row
    assert "missing" not in result.out[: result.out.index("uvloop")]


def test_doctor_tells_which_proxies_are_set_and_not_their_values() -> None:
    quiet = {name: "" for name in os.environ if name.lower().endswith("_proxy")}
    assert "\nproxy  " not in mitm_demo("doctor", **quiet).out
    url = "http://me:s3cret@proxy.example"
    result = mitm_demo("doctor", **quiet | {"https_proxy": url, "ALL_PROXY": url})
    (row,) = (line for line in result.out.splitlines() if line.startswith("proxy "))
    assert "ALL_PROXY, https_proxy" in row
    assert "s3cret" not in result.out


@pytest.mark.parametrize("module", ["mitm", "another"])
def test_doctor_tells_if_another_distribution_is_imported_by_the_same_name(
    tmp_path: Path, module: str
) -> None:
    metadata = tmp_path / "mitm-1.5.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: mitm\nVersion: 1.5.0\n")
    (metadata / "RECORD").write_text(f"{module}/__init__.py,,\n")
    result = mitm_demo("doctor", PYTHONPATH=str(tmp_path))
    rows = [line for line in result.out.splitlines() if line.startswith("mitm ")]
    if module == "mitm":
        assert result.code == 1
        assert "1.5.0" in rows[0]
        assert "pip uninstall mitm" in rows[0]
    else:
        assert (result.code, rows) == (0, [])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_text_has_an_example(command: str) -> None:
    result = mitm_demo(command, "--help")
    assert result.code == 0
    assert f"  mitm-demo {command}" in result.out


def test_without_a_command_there_is_help_and_exit_code_2() -> None:
    result = mitm_demo()
    assert result.code == 2
    for command in COMMANDS:
        assert f"  {command} " in result.out + result.err


def test_a_command_that_does_not_exist_is_one_line() -> None:
    assert "No such command" in refused(mitm_demo("rum"))


def test_python_m_mitm_is_the_same_command_line() -> None:
    by_module = run(sys.executable, "-m", "mitm", "list", "scenarios")
    assert (by_module.code, by_module.err) == (0, "")
    assert by_module.out == mitm_demo("list", "scenarios").out
    assert "did you mean 'skip-verify'?" in refused(
        run(sys.executable, "-m", "mitm", "run", "skip-verfy")
    )


@pytest.mark.parametrize("name", ["{folder}/", "{folder}/.", "{folder}/none.md", ""])
def test_show_tells_what_it_cannot_read(name: str, tmp_path: Path) -> None:
    line = refused(mitm_demo("show", name.format(folder=tmp_path)))
    if not name:
        assert line.endswith("is empty: see what there is with mitm-demo list")
    else:
        assert str(tmp_path) in line
