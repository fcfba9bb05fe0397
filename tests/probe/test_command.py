"""`mitm-demo probe` as users call it."""

import json
import re
import ssl
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mitm import content
from tests.probe.lab import METHOD, SERVER, Lab
from tests.probe.servers import Caller, Rules, by_name, serving
from tests.programs import Result, free_port, mitm_demo, refused
from tests.programs import serving as served


def probe(lab: Lab, port: int | str, *more: str | Path, with_ca: bool = True) -> Result:
    ca = (
        *("--client-ca-cert", lab.folder / "clients.pem"),
        *("--client-ca-key", lab.folder / "clients.key"),
    )
    return mitm_demo(
        "probe",
        f"127.0.0.1:{port}",
        *("--ca", lab.folder / "clients.pem", "--server-name", SERVER, "--method", METHOD),
        *("--client-cert", lab.folder / "client.pem", "--client-key", lab.folder / "client.key"),
        *(ca if with_ca else ()),
        *more,
    )


OPEN = Rules(verify=ssl.CERT_OPTIONAL, allow=lambda c: by_name(c) or not c.certificate)


def test_a_clean_server_passes_and_one_that_is_open_fails(lab: Lab) -> None:
    with serving(lab, Rules()) as port:
        clean = probe(lab, port)
    assert clean.code == 0, clean
    assert "Exit code 0, a build passes: " in clean.out
    assert "Vulnerable" not in clean.out
    with serving(lab, OPEN) as port:
        found = probe(lab, port)
    assert found.code == 1, found
    assert "This server lets in clients that show no certificate (1 way proves it)" in found.out
    assert "no-certificate: got in: answered OK" in found.out
    assert "Exit code 1, a build fails: 1 way treated wrongly: no-certificate" in found.out
    # Who owns the key of a CA is told what becomes of it.
    assert "the key stays in memory" in clean.err


def test_without_the_key_of_the_ca_it_says_how_to_give_it(lab: Lab) -> None:
    with serving(lab, Rules()) as port:
        result = probe(lab, port, with_ca=False)
    assert result.code == 0
    assert "give --client-ca-cert and --client-ca-key" in result.out
    assert result.err == ""


def test_reports_and_a_baseline(lab: Lab, tmp_path: Path) -> None:
    junit, sarif, summary = tmp_path / "j.xml", tmp_path / "s.json", tmp_path / "s.md"
    page = tmp_path / "p.html"
    files = ("--junit", junit, "--sarif", sarif, "--summary", summary, "--html", page)
    with serving(lab, OPEN) as port:
        told = probe(lab, port, "--json", *files)
        known = tmp_path / "known.json"
        known.write_text(told.out)
        again = probe(lab, port, "--baseline", known)
    assert told.code == 1
    report = json.loads(told.out)
    assert report["server"] == f"127.0.0.1:{port}"
    assert report["failing"] == ["no-certificate"]
    assert [cause["cause"] for cause in report["causes"]] == ["no-client-certificate"]
    (found,) = (f for f in report["findings"] if f["certificate"] == "no-certificate")
    assert found["evidence"]["status"] == "OK"
    assert found["evidence"]["asked"] in (True, None)
    failed = ElementTree.parse(junit).findall(".//testcase/failure")  # noqa: S314
    assert len(failed) == 1
    run = json.loads(sarif.read_text())["runs"][0]
    assert [each["ruleId"] for each in run["results"]] == ["no-certificate"]
    assert run["automationDetails"]["id"].startswith("mitm-demo/probe/")
    assert "## mitm-demo probe" in summary.read_text()
    assert "This server lets in clients that show no certificate" in page.read_text()
    assert "mitm-demo probe --only no-certificate" in page.read_text()
    assert again.code == 0, again
    assert "nothing new: 1 way known from the baseline" in again.out


def test_only_what_is_chosen_is_tried(lab: Lab, tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("---\ntitle: Mine\nshow: none\nserver_name: other\n---\n\nMine.\n")
    with serving(lab, Rules()) as port:
        result = probe(lab, port, "--json", "--only", f"CWE-298,{mine}", "--exclude", "info")
        wrong = probe(lab, port, "--only", "no-certificat")
    assert "A correct server: rejects it" in mitm_demo("show", mine).out
    both = mitm_demo("show", "wrong-identity").out
    assert "Expected: " in both
    assert "A correct server: rejects it" in both
    names = [f["certificate"] for f in json.loads(result.out)["findings"]]
    assert names == ["client-expired", "mine"]
    assert "did you mean 'no-certificate'?" in refused(wrong)


def test_a_client_that_does_not_get_in_proves_nothing(lab: Lab) -> None:
    with serving(lab, Rules(allow=lambda caller: False)) as port:
        result = probe(lab, port)
        by_default = probe(lab, port, "--method", "/grpc.health.v1.Health/Check")
    assert result.code == 3
    assert "the good certificate, tried first, must be let in" in result.out
    assert "Is this client allowed to call /users.v1.UserService/GetUser?" in result.out
    assert by_default.code == 3
    # The other way round nothing else has been tried.
    assert "Passed" not in result.out


def test_an_open_server_is_no_place_to_try_what_proves_nothing_there(lab: Lab) -> None:
    with serving(lab, OPEN) as port:
        report = json.loads(probe(lab, port, "--json").out)
    (found,) = (f for f in report["findings"] if f["certificate"] == "other-server-name")
    assert found["outcome"] == "not-exercised"
    assert "no-certificate got in already" in found["reason"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--method", "GetUser"), "write /package.Service/Method"),
        (("--metadata", "authorization"), "write NAME=VALUE"),
        (("--message", "{}"), "add --proto"),
        (("--client-ca-key", "nowhere.key"), "nowhere.key"),
        (("--client-cert", "nowhere.pem"), "nowhere.pem"),
        (("--ca", "nowhere.pem"), "nowhere.pem"),
        (("--json", "--junit", "/nowhere/j.xml"), "--junit"),
    ],
)
def test_a_mistake_is_told_in_one_line(words: tuple[str, ...], reason: str, lab: Lab) -> None:
    line = refused(probe(lab, free_port(), *words))
    assert reason in line


def test_only_this_machine_is_probed_unless_it_is_allowed(lab: Lab) -> None:
    good = ("--client-cert", lab.folder / "client.pem", "--client-key", lab.folder / "client.key")
    line = refused(mitm_demo("probe", "192.0.2.1:443", *good))
    assert "add --allow-host 192.0.2.1" in line


def test_a_server_that_is_not_the_right_one_is_told_nothing(lab: Lab, tmp_path: Path) -> None:
    assert "not reached" in refused(probe(lab, free_port()))
    with serving(lab, Rules()) as port:
        wrong_name = refused(probe(lab, port, "--server-name", "other.example"))
        good = (
            *("--client-cert", lab.folder / "client.pem"),
            *("--client-key", lab.folder / "client.key"),
        )
        untrusted = refused(mitm_demo("probe", f"127.0.0.1:{port}", "--server-name", SERVER, *good))
    assert "does not verify for other.example" in wrong_name
    assert "name the CA that signed it with --ca" in untrusted


def test_a_request_is_made_of_json_and_metadata(lab: Lab) -> None:
    seen: list[dict[str, str]] = []

    def allow(caller: Caller) -> bool:
        seen.append(dict(caller.headers))
        return by_name(caller)

    proto = ("--descriptor-set", content.PROTO / "users.binpb", "--message", '{"id": 7}')
    with serving(lab, Rules(allow=allow)) as port:
        told = ("--metadata", "authorization=Bearer x", "--only", "no-certificate")
        result = probe(lab, port, *proto, *told)
        unknown = refused(probe(lab, port, *proto, "--method", "/users.v1.UserService/GetUsr"))
        wrong = refused(probe(lab, port, *proto[:2], "--message", '{"idd": 7}'))
    assert result.code == 0, result
    assert {each["authorization"] for each in seen} == {"Bearer x"}
    assert "did you mean /users.v1.UserService/GetUser?" in unknown
    assert "no field named" in wrong


def test_no_key_is_left_behind(lab: Lab, tmp_path: Path) -> None:
    with serving(lab, Rules()) as port:
        result = mitm_demo(
            "probe",
            f"127.0.0.1:{port}",
            *("--ca", lab.folder / "clients.pem", "--server-name", SERVER, "--method", METHOD),
            *("--client-cert", lab.folder / "client.pem"),
            *("--client-key", lab.folder / "client.key"),
            TMPDIR=str(tmp_path),
        )
    assert result.code == 0
    assert list(tmp_path.iterdir()) == []


def test_what_the_page_shows_is_what_is_said(lab: Lab) -> None:
    page = (content.ROOT / "docs" / "probe.md").read_text()
    (shown,) = re.findall(r"^```text\n(This server lets in .*?)^```$", page, re.M | re.S)
    pair = ("--cert", lab.folder / "server.pem", "--key", lab.folder / "server.key")
    with served(*pair) as (_, address):
        result = probe(lab, address.rpartition(":")[2], with_ca=False)
    said = [" ".join(line.split()) for line in result.out.splitlines()]
    assert {" ".join(line.split()) for line in shown.splitlines()} <= {*said}, result.out
