"""`mitm-demo audit`, as its users run it: on the project's client, on `curl` and on `ssl`."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mitm import content
from tests import programs
from tests.programs import MITM_DEMO, Result, alive, gone, mitm_demo, refused, running, serving

PYTHON_CLIENT = (sys.executable, str(content.CLIENTS / "python" / "client.py"))
TOKEN = "a-secret-of-the-test-0123456789"  # noqa: S105

# Enough to tell a careless client: who signed it, whose name, and one that must be accepted.
SOME = "attacker-ca,wrong-host,mixed-case"

# A client in Python's ssl. Its fifth argument makes it careless.
SSL_CLIENT = """
import socket, ssl, sys
host, port, ca, name, *careless = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
if careless:
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
with socket.create_connection((host, int(port)), timeout=10) as plain:
    with context.wrap_socket(plain, server_hostname=name) as tls:
        tls.sendall(b"EHLO client\\r\\n")
        tls.recv(100)
"""
SSL = (sys.executable, "-c", SSL_CLIENT, "{host}", "{port}", "{ca}", "{name}")


def audit(*words: str | Path, only: str = SOME) -> Result:
    """Audit a client; options first, then `--` and its command."""
    choice = ("--only", only) if only else ()
    return mitm_demo("audit", *choice, *words)


def policy(name: str, *arguments: str) -> tuple[str, ...]:
    """The command of the project's own client with a policy."""
    target = ("--target", "{target}", "--token", TOKEN)
    return ("--", *PYTHON_CLIENT, "--policy", name, *target, *arguments)


def told(result: Result) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(result.out)
    return report


def outcomes(report: dict[str, Any]) -> dict[str, str]:
    return {finding["certificate"]: finding["outcome"] for finding in report["findings"]}


# The project's own client


def test_ca_file_comes_out_clean_of_the_whole_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    # More than a hundred runs of a client that takes a while to start.
    monkeypatch.setattr(programs, "LIMIT", 110)
    result = audit("--json", *policy("ca-file", "--ca", "{ca}"), only="")
    assert result.code == 0, result.out
    report = told(result)
    assert [control["outcome"] for control in report["controls"]] == ["pass", "pass"]
    assert set(outcomes(report)) == set(content.to_try()) - {"genuine"}
    wrong = {f["certificate"] for f in report["findings"] if f["outcome"] == "vulnerable"}
    assert not wrong & {f["certificate"] for f in report["findings"] if f["severity"] == "must"}
    assert report["failing"] == []
    assert report["summary"]["inconclusive"] == 0


def test_pinned_comes_out_clean_and_rejects_every_other_leaf_by_right() -> None:
    result = audit("--json", *policy("pinned", "--pin", "{pin}"))
    assert result.code == 0, result.out
    report = told(result)
    assert [control["outcome"] for control in report["controls"]] == ["pass", "pass"]
    assert outcomes(report) == {
        "attacker-ca": "pass",
        "mixed-case": "too-strict",
        "wrong-host": "pass",
    }


def test_skip_verify_is_vulnerable_with_the_token_as_evidence() -> None:
    result = audit("--json", *policy("skip-verify"))
    assert result.code == 1
    assert TOKEN not in result.out + result.err
    report = told(result)
    # It fetches the certificate and trusts that alone: the name in it is checked.
    assert outcomes(report) == {
        "attacker-ca": "vulnerable",
        "mixed-case": "pass",
        "wrong-host": "pass",
    }
    assert report["failing"] == ["attacker-ca"]
    (found,) = (f for f in report["findings"] if f["certificate"] == "attacker-ca")
    assert found["evidence"]["credentials"] == ["authorization"]
    (call,) = found["evidence"]["calls"]
    assert call["method"] == "/users.v1.UserService/GetUser"
    assert call["metadata"]["authorization"].startswith("Bearer a-se… (")
    assert found["fix"]


def test_no_ca_is_inconclusive_because_its_control_fails() -> None:
    result = audit("--json", *policy("no-ca"))
    assert result.code == 3
    report = told(result)
    assert [control["outcome"] for control in report["controls"]] == ["too-strict"]
    assert report["findings"] == []
    assert "{ca}" in report["advice"][0]


def test_a_client_without_tls_is_vulnerable_to_everything() -> None:
    result = audit("--json", *policy("insecure"))
    assert result.code == 1
    assert told(result)["failing"] == ["attacker-ca", "wrong-host"]
    assert "no encryption" in told(result)["findings"][0]["reason"]


# Other TLS clients


@pytest.mark.parametrize(
    ("words", "code", "failing"), [((), 0, []), (("x",), 1, ["attacker-ca", "wrong-host"])]
)
def test_pythons_ssl(words: tuple[str, ...], code: int, failing: list[str]) -> None:
    result = audit("--json", "--", *SSL, *words)
    assert result.code == code, result.out
    assert told(result)["failing"] == failing


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is needed: apt install curl")
@pytest.mark.parametrize(
    ("words", "code", "failing"), [((), 0, []), (("-k",), 1, ["attacker-ca", "wrong-host"])]
)
def test_curl(words: tuple[str, ...], code: int, failing: list[str]) -> None:
    curl = ("curl", "-q", "-sS", "--noproxy", "*", "--cacert", "{ca}", "https://{target}/")
    result = audit("--json", "--", *curl, *words)
    assert result.code == code, result.out
    assert told(result)["failing"] == failing


NAMES = "parent-domain,wildcard-too-deep"


def test_a_longer_name_lets_more_be_tried() -> None:
    short = audit("--json", "--name", "localhost", "--", *SSL, only=NAMES)
    assert outcomes(told(short))["parent-domain"] == "unsupported"
    name = "server.lab.mitm-demo.test"
    long = audit("--json", "--name", name, "--", *SSL, only=NAMES)
    assert outcomes(told(long)) == {"parent-domain": "pass", "wildcard-too-deep": "pass"}


def test_who_is_told_the_name_is_tried_with_a_long_one() -> None:
    long = audit("--json", "--", *SSL, only=NAMES)
    assert outcomes(told(long)) == {"parent-domain": "pass", "wildcard-too-deep": "pass"}
    careless = audit("--json", "--", *SSL, "x", only=NAMES)
    assert told(careless)["failing"] == ["parent-domain", "wildcard-too-deep"]


def test_who_is_not_told_it_is_tried_with_localhost_and_told_what_is_left_out() -> None:
    """Nor is one that is told it for whom to dial, which not every resolver knows."""
    by_host = ("{host}", "{port}", "{ca}", "localhost")
    result = audit("--", *SSL[:3], *by_host, only=NAMES)
    assert result.code == 0, result.out
    said = " ".join(result.out.split())
    assert "1 cannot be presented for localhost: tell the client {name}, or give" in said
    assert "server.lab.mitm-demo.localhost: parent-domain" in said
    by_name = ("{name}", "{port}", "{ca}", "{name}")
    assert audit("--", *SSL[:3], *by_name, only=SOME).code == 0


def test_a_client_of_the_lab_is_tried_with_all_names() -> None:
    own = ("--client", "python", "--policy", "ca-file")
    result = audit("--json", *own, only=f"{NAMES},nul-in-san,nul-in-cn,wrong-host")
    assert result.code == 0, result.out
    assert set(outcomes(told(result)).values()) == {"pass"}


# What a client says and what it is answered


def test_the_calls_are_answered_as_asked() -> None:
    result = audit("--json", "--respond", "NOT_FOUND", *policy("ca-file", "--ca", "{ca}"))
    assert result.code == 0
    assert "NOT_FOUND" in told(result)["controls"][0]["client_said"]


def test_ones_own_server_answers_in_place_of_the_stand_in(tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    assert mitm_demo("certs", lab).code == 0
    cert = ("--cert", lab / "server.pem", "--key", lab / "server.key")
    with serving(*cert) as (_, address):
        port = address.rpartition(":")[2]
        upstream = ("--upstream", f"localhost:{port}")
        client = policy("ca-file", "--ca", "{ca}")
        result = audit("--json", *upstream, "--ca", lab / "ca.pem", *client)
        assert result.code == 0, result.err
        # Which a stand-in does not know.
        assert "Nicolas" in told(result)["controls"][0]["client_said"]
        careless = audit("--json", *upstream, "--ca", lab / "ca.pem", *policy("skip-verify"))
        assert careless.code == 1
        # The wrong server is not sent anything.
        wrong = audit(*upstream, "--ca", lab / "attacker-ca.pem", *client)
        assert "its certificate does not verify" in refused(wrong)


def test_ones_own_server_may_speak_plaintext_behind_the_certificate() -> None:
    with serving() as (_, address):
        upstream = ("--upstream", f"localhost:{address.rpartition(':')[2]}")
        client = policy("ca-file", "--ca", "{ca}")
        told_so = refused(audit(*upstream, *client))
        assert "it was reached, but speaks no TLS" in told_so
        assert "--upstream-plaintext" in told_so
        result = audit("--json", *upstream, "--upstream-plaintext", *client)
        assert result.code == 0, result.err
        assert "Nicolas" in told(result)["controls"][0]["client_said"]
        careless = audit(*upstream, "--upstream-plaintext", *policy("skip-verify"))
        assert careless.code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{taget}",), "{taget} is no placeholder and was not filled in: did you mean {target}?"),
        (("{servername}", "{ca}"), "did you mean"),
        (("{zzz}", "{target}"), "{zzz} is no placeholder and was not filled in; those that are:"),
        (("localhost:1",), "The command has no {target}: write it where the client takes"),
        (('{"a": 1}', "{}", "${HOME}", "{target}"), ""),
        (("MITM_TARGET",), ""),
    ],
)
def test_a_placeholder_that_is_none_is_told(words: tuple[str, ...], said: str) -> None:
    result = mitm_demo("audit", "--", sys.executable, "-c", "", *words, COLUMNS="300")
    assert result.code == 3
    if said:
        assert said in result.out
    else:
        assert "placeholder" not in result.out
        assert "has no {target}" not in result.out


def test_a_control_that_fails_shows_what_the_client_said_last() -> None:
    program = """
import sys
print("loading settings", file=sys.stderr)
print("no setting named 'ca_path'", file=sys.stderr)
sys.exit("error: cannot go on")
"""
    result = mitm_demo("audit", "--", sys.executable, "-c", program, "{target}", COLUMNS="200")
    assert result.code == 3
    lines = [line.strip() for line in result.out.splitlines()]
    first = next(n for n, line in enumerate(lines) if "error: cannot go on" in line)
    assert lines[first + 1 : first + 3] == ["loading settings", "no setting named 'ca_path'"]


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is needed: apt install curl")
def test_a_url_takes_an_ipv6_address_in_brackets() -> None:
    url = "https://{url_name}:{port}/"
    curl = ("curl", "-q", "-sS", "--noproxy", "*", "--cacert", "{ca}", url)
    result = audit("--json", "--name", "::1", "--", *curl, only="attacker-ca,wrong-host")
    assert result.code == 0, result.out
    assert set(outcomes(told(result)).values()) == {"pass"}
    careless = audit("--name", "::1", "--", *curl, "-k", only="attacker-ca,wrong-host")
    assert careless.code == 1
    # A name stays as it is; and the same stands in the environment.
    shell = ("sh", "-c", f"exec curl -q -sS --cacert $MITM_CA {url.replace('{url_name}', '$U')}")
    words = [word.replace("$U", "$MITM_URL_NAME").replace("{port}", "$MITM_PORT") for word in shell]
    assert audit("--", *words, only="attacker-ca").code == 0


def test_the_client_is_told_by_its_environment_as_well() -> None:
    program = SSL_CLIENT.replace(
        "sys.argv[1:]", "[os.environ[f'MITM_{n}'] for n in ('HOST', 'PORT', 'CA', 'NAME')]"
    ).replace("import socket", "import os, socket")
    assert audit("--", sys.executable, "-c", program).code == 0


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("", "the client never connected"),
        ("raise KeyError('no such option')", "KeyError: 'no such option'"),
        (
            SSL_CLIENT.replace("tls.sendall", "(lambda _: 0)").replace("tls.recv(100)", ""),
            "without",
        ),
        ("import time; time.sleep(600)", "did not end within 1 s"),
    ],
)
def test_a_client_that_cannot_pass_the_control_proves_nothing(program: str, said: str) -> None:
    command = (sys.executable, "-c", program, *SSL[3:])
    result = audit("--timeout", "1", "--", *command)
    assert result.code == 3
    assert said in result.out
    assert "Exit code 3, nothing is proved" in result.out
    assert "passed" not in result.out


# The report


def test_the_table_says_what_was_read_and_how_to_mend_it() -> None:
    result = audit(*policy("skip-verify"), only=f"{SOME},parent-domain")
    assert result.code == 1
    lines = [line.rstrip() for line in result.out.splitlines()]
    says = "This client takes any issuer: no trust in a CA is checked (1 certificate proves it)"
    row = lines.index(says)
    assert lines[row + 1].startswith("  fix    Give grpc.ssl_channel_credentials the CA's own PEM")
    assert lines[row + 2].startswith("  seen   attacker-ca: accepted; read: ")
    assert "/users.v1.UserService/GetUser; 1 message; credentials: authorization" in lines[row + 2]
    assert lines[row + 3] == "  proof  attacker-ca"
    (line,) = (line for line in lines if line.startswith("Unsupported: 1 cannot be presented"))
    assert "for localhost: tell the client {name}, or give a longer one, --name server.lab" in line
    assert line.endswith("parent-domain")
    assert "mixed-case, wrong-host" in lines
    assert lines[0] == "Audited: client.py"
    assert re.match(r"Stack: grpc-python/\d", lines[1])
    assert lines[-1] == "Exit code 1, a build fails: 1 certificate treated wrongly: attacker-ca"
    assert "\x1b[" not in result.out
    assert result.err == ""


def test_a_client_that_verifies_nothing_is_told_so_once(tmp_path: Path) -> None:
    junit, sarif = tmp_path / "audit.xml", tmp_path / "audit.sarif"
    only = "attacker-ca,wrong-host,expired,not-yet-valid,eku-client-auth,leaf-as-ca,rsa-1024"
    result = audit("--junit", junit, "--sarif", sarif, "--", *SSL, "x", only=only)
    assert result.code == 1
    assert "This client does not verify at all (6 certificates prove it, 1 more" in result.out
    assert result.out.count("fix ") == 1
    # Python: the interpreter tells, as this client makes no call of gRPC.
    assert "create_default_context" in result.out
    (properties,) = ElementTree.parse(junit).getroot()[0].findall("properties")  # noqa: S314
    assert {each.get("name"): each.get("value") for each in properties} == {
        "stack": "Python",
        "cause": "this client does not verify at all",
    }
    (run,) = json.loads(sarif.read_text())["runs"]
    for each in run["results"]:
        assert each["message"]["text"].startswith("This client does not verify at all. ")
    # The twin.
    assert "does not verify" not in audit("--", *SSL, only=only).out


# Speaks no TLS at all.
PLAIN_CLIENT = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as plain:
    plain.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    plain.recv(100)
"""


def test_a_client_without_tls_is_told_so_once() -> None:
    result = audit("--", sys.executable, "-c", PLAIN_CLIENT, "{host}", "{port}")
    assert result.code == 1
    assert "This client uses no TLS (2 certificates prove it)" in result.out
    assert result.out.count("fix ") == 1
    assert "host name" not in result.out
    assert "uses no TLS" not in audit("--", *SSL).out


def test_what_a_sound_client_accepts_is_no_alarm() -> None:
    """No row of it is red, and where its stack has no switch, that is told."""
    only = "no-san,rsa-1024,wrong-host"
    client = policy("ca-file", "--ca", "{ca}")
    result = mitm_demo("audit", "--only", only, *client, COLUMNS="200", FORCE_COLOR="1")
    assert result.code == 0
    assert "Only stricter clients refuse these (2)" in result.out
    assert "grpcio has no switch for it" in result.out
    assert "must not be trusted" not in result.out
    # SGR 31 is red.
    assert not re.search("\x1b\\[(\\d+;)*31m", result.out)
    counted = mitm_demo("audit", "--strict", "--only", only, *client, FORCE_COLOR="1")
    assert counted.code == 1
    assert re.search("\x1b\\[(\\d+;)*31m", counted.out)


def test_two_audits_of_one_client_say_the_same(tmp_path: Path) -> None:
    """With a deadline, a client's own ids and its own log, and whatever ran first."""
    client = """
import os, random, sys, tempfile, time, uuid, grpc
print(time.strftime("%Y-%m-%dT%H:%M:%S"), f"[{os.getpid()}]", file=sys.stderr)
roots = open(sys.argv[2], "rb").read()
with grpc.secure_channel(sys.argv[1], grpc.ssl_channel_credentials(roots)) as channel:
    call = channel.unary_unary("/a.B/C")
    ids = [("x-nonce", str(random.random())), ("x-id", str(uuid.uuid4())), ("x-same", "1")]
    try:
        call(b"", timeout=8 + random.random(), metadata=ids)
    except grpc.RpcError as error:
        where = tempfile.mkdtemp()
        os.rmdir(where)
        sys.exit(f"{time.time()} [{os.getpid()}] {where}/x {error.details()} took {time.time()} ms")
"""
    path = tmp_path / "client.py"
    path.write_text(client)
    words = ("--", sys.executable, path, "{target}", "{ca}")
    only = "attacker-ca,wrong-host,no-san,expired,rsa-1024"
    first = audit("--json", "--jobs", "1", *words, only=only)
    second = audit("--json", "--jobs", "3", *words, only=only)
    assert first.code == 0, first.out
    assert first.out == second.out
    (found,) = (f for f in told(first)["findings"] if f["certificate"] == "no-san")
    metadata = found["evidence"]["calls"][0]["metadata"]
    assert metadata["x-same"] == "1"
    assert {metadata[name] for name in ("grpc-timeout", "x-nonce", "x-id")} == {"…"}
    # What a client said is still there.
    assert "CERTIFICATE_VERIFY_FAILED" in first.out or "expired" in first.out
    # The twin: what it did is told.
    careless = audit("--json", *policy("skip-verify"), only=only)
    assert told(careless)["causes"][0]["cause"] == "any-issuer"


def test_the_progress_is_shown_on_a_terminal_alone() -> None:
    """The reports are on stdout, so that they can be piped while it runs."""
    leader, follower = pty.openpty()
    shown = bytearray()

    def read() -> None:
        # At its end a pseudo-terminal is an error, EIO.
        try:
            while data := os.read(leader, 65_536):
                shown.extend(data)
        except OSError:
            return

    reader = threading.Thread(target=read)
    reader.start()
    command = [MITM_DEMO, "audit", "--only", "attacker-ca", "--json", "--", *SSL]
    environment = os.environ | {"TERM": "xterm"}
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=follower, timeout=60, env=environment
        )
    finally:
        os.close(follower)
        reader.join()
        os.close(leader)
    assert done.returncode == 0
    assert b"certificates" in shown
    assert b"/3" in shown
    assert json.loads(done.stdout)["exit_code"] == 0


def test_reports_are_written_beside_the_table(tmp_path: Path) -> None:
    junit, sarif = tmp_path / "audit.xml", tmp_path / "audit.sarif"
    result = audit("--junit", junit, "--sarif", sarif, *policy("skip-verify"))
    assert result.code == 1
    suite = ElementTree.parse(junit).getroot()[0]  # noqa: S314
    assert suite.get("failures") == "1"
    (run,) = json.loads(sarif.read_text())["runs"]
    assert [r["ruleId"] for r in run["results"]] == ["attacker-ca"]
    assert run["invocations"][0]["exitCode"] == 1
    for path in (junit, sarif):
        assert TOKEN not in path.read_text()
    assert sorted(tmp_path.iterdir()) == [sarif, junit]


def test_a_baseline_lets_pass_what_is_known_and_nothing_else(tmp_path: Path) -> None:
    known = tmp_path / "known.json"
    careless, careful = (*SSL, "x"), SSL
    first = audit("--json", "--", *careless, only="attacker-ca")
    assert first.code == 1
    known.write_text(first.out)
    again = audit("--baseline", known, "--", *careless, only="attacker-ca")
    assert again.code == 0
    assert "known from the baseline" in again.out
    more = audit("--baseline", known, "--json", "--", *careless)
    assert more.code == 1
    assert told(more)["failing"] == ["wrong-host"]
    assert told(more)["known"] == ["attacker-ca"]
    mended = audit("--baseline", known, "--", *careful)
    assert mended.code == 0
    assert "Fixed since the baseline: attacker-ca" in mended.out


def test_strict_counts_a_client_that_rejects_what_is_sound() -> None:
    """Without it that passes, see above."""
    assert audit("--strict", *policy("pinned", "--pin", "{pin}"), only="mixed-case").code == 1
    assert audit("--strict", "--", *SSL, only="mixed-case").code == 0


@pytest.mark.parametrize(
    ("name", "code", "worst"), [("ca-file", 0, "pass"), ("skip-verify", 1, "vulnerable")]
)
def test_a_described_client_needs_no_placeholders(name: str, code: int, worst: str) -> None:
    result = audit("--json", "--client", "python", "--policy", name, only="attacker-ca")
    assert result.code == code, result.err
    report = told(result)
    assert outcomes(report) == {"attacker-ca": worst}
    stack = report["subject"].pop("stack")
    assert re.match(r"grpc-python/\d", stack)
    assert report["subject"] == {
        "name": "python",
        "title": "Python, grpcio",
        "version": "",
        "policy": name,
        "noun": "client",
    }
    table = audit("--client", "python", "--policy", name, only="attacker-ca").out
    assert f"Audited: Python, grpcio, policy {name}\n" in table
    read = report["findings"][0]["evidence"]["credentials"]
    assert read == (["authorization"] if code else [])


# Dies of the certificate that it rejects.
ABORTING = """
import os, ssl, sys
try:
    exec(sys.argv.pop(1))
except ssl.SSLError:
    os.abort()
"""


def test_a_crash_is_in_the_table_and_in_every_report(tmp_path: Path) -> None:
    junit, sarif = tmp_path / "audit.xml", tmp_path / "audit.sarif"
    client = ("--", sys.executable, "-c", ABORTING, SSL_CLIENT, *SSL[3:])
    reports = ("--junit", junit, "--sarif", sarif)
    shown = audit(*reports, *client, only="attacker-ca")
    assert shown.code == 0, shown.out
    assert "Crashed: it ended the program, or hung it (1)" in shown.out
    assert "attacker-ca:crash" in junit.read_text()
    results = json.loads(sarif.read_text())["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results] == [("attacker-ca:crash", "warning")]
    report = told(audit("--json", *client, only="attacker-ca"))
    assert outcomes(report) == {"attacker-ca": "pass", "attacker-ca:crash": "crashed"}
    assert [f["crash"] for f in report["findings"]] == ["SIGABRT", ""]
    assert report["findings"][1]["cwe"] == [248, 617]
    # It has let nobody in; but a team may want to know.
    assert audit("--strict", *client, only="attacker-ca").code == 1
    # The twin: the same client without that end.
    assert "Crashed" not in audit("--", *SSL, only="attacker-ca").out


def test_words_are_repeated_or_joined_by_commas() -> None:
    result = mitm_demo(
        *("audit", "--json", "--only", "CWE-297,mixed-case", "--only", "attacker-ca"),
        *("--exclude", "should,info", "--exclude", "wrong-host", "--", *SSL),
    )
    names = set(outcomes(told(result)))
    assert {"mixed-case", "attacker-ca", "wrong-san"} <= names
    assert "wrong-host" not in names
    assert {f["severity"] for f in told(result)["findings"]} == {"must"}


# Recipes of one's own


def example(folder: Path, name: str = "mine.md") -> Path:
    """The example that certs/README.md gives of a recipe, in a file."""
    page = (content.CERTS / "README.md").read_text()
    block = page.partition("```yaml\n")[2].partition("```")[0]
    (folder / name).write_text(block)
    return folder / name


def test_the_example_of_the_page_is_tried_on_a_client(tmp_path: Path) -> None:
    mine = example(tmp_path)
    careful = audit("--json", "--", *SSL, only=f"{mine},mixed-case")
    assert (careful.code, careful.err) == (0, "")
    assert outcomes(told(careful)) == {"mixed-case": "pass", "mine": "pass"}
    careless = audit("--json", "--", *SSL, "x", only=str(mine))
    assert careless.code == 1
    assert told(careless)["failing"] == ["mine"]
    assert "mine" not in outcomes(
        told(audit("--json", "--exclude", mine, "--", *SSL, only=f"{mine},mixed-case"))
    )


def test_the_example_of_the_page_is_presented_shown_and_written(tmp_path: Path) -> None:
    mine = example(tmp_path)
    assert "An intermediate of an authority" in mitm_demo("show", mine).out
    assert mitm_demo("certs", "--only", mine, tmp_path / "lab").code == 0
    proxy = ("proxy", "--listen", "127.0.0.1:0", "--cert", mine)
    with running(MITM_DEMO, *proxy, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        assert f"presenting {mine}" in process.stdout.readline()


def test_a_recipe_that_has_the_name_of_another_is_refused(tmp_path: Path) -> None:
    taken = example(tmp_path, "expired.md")
    assert "another certificate or attack is called 'expired'" in refused(
        audit("--", *SSL, only=str(taken))
    )
    assert "no certificate or attack file at ./none.md" in refused(
        audit("--", *SSL, only="./none.md")
    )


# An authority of one's own


def own_ca(folder: Path) -> tuple[Path, Path]:
    """A CA that a client has compiled in, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name.from_rfc4514_string("CN=Compiled In")
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, key_file = folder / "ca.pem", folder / "ca.key"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return cert, key_file


# It is never told whom to trust; and it looks whether anybody has left a key about.
COMPILED_IN = (
    """
import pathlib, sys, tempfile
compiled_in, key = sys.argv[4:6]
sys.argv[4:6] = []
assert pathlib.Path(sys.argv[3]).read_text() == pathlib.Path(compiled_in).read_text()
secret = pathlib.Path(key).read_text().splitlines()[1]
for file in pathlib.Path(tempfile.gettempdir()).rglob("*"):
    try:
        found = file.is_file() and secret in file.read_text(errors="replace")
    except FileNotFoundError:
        continue  # the chain for a connection, which is there for a moment
    assert not found, file
sys.argv[3] = compiled_in
"""
    + SSL_CLIENT
)


def test_an_authority_of_ones_own_signs_for_a_client_that_has_it_compiled_in(
    tmp_path: Path,
) -> None:
    cert, key = own_ca(tmp_path)
    (tmp_path / "tmp").mkdir()
    client = (sys.executable, "-c", COMPILED_IN, "{host}", "{port}", "{ca}", cert, key, "{name}")
    chosen = ("audit", "--json", "--only", f"{SOME},sha1-root,intermediate")
    signed = ("--authority", cert, "--authority-key", key)
    surroundings = {"TMPDIR": str(tmp_path / "tmp")}
    result = mitm_demo(*chosen, *signed, "--", *client, **surroundings)
    assert result.code == 0, result.out
    assert outcomes(told(result)) == {
        "attacker-ca": "pass",
        "intermediate": "pass",
        "mixed-case": "pass",
        "sha1-root": "unsupported",
        "wrong-host": "pass",
    }
    (line,) = result.err.splitlines()
    assert line.startswith(
        f"mitm-demo: signing with the key of {cert} (CN=Compiled In), for server"
    )
    careless = mitm_demo(*chosen, *signed, "--", *client, "x", **surroundings)
    assert told(careless)["failing"] == ["attacker-ca", "wrong-host"]
    # The twin: signed by the lab's, nothing is accepted by it.
    trusting = COMPILED_IN.replace("assert", "0 and")
    client = (sys.executable, "-c", trusting, *client[3:])
    assert mitm_demo(*chosen, "--", *client, **surroundings).code == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--authority", "{cert}"), "--authority and --authority-key go together"),
        (("--authority-key", "{key}"), "--authority and --authority-key go together"),
        (("--authority", "{key}", "--authority-key", "{key}"), "holds no PEM certificate"),
        (("--authority", "none", "--authority-key", "{key}"), "cannot read none"),
        (
            ("--authority", "{cert}", "--authority-key", "{key}", "--limbo", "x"),
            "--authority is not for --limbo",
        ),
    ],
)
def test_what_is_no_authority_is_one_line(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    cert, key = own_ca(tmp_path)
    filled = [word.format(cert=cert, key=key) for word in words]
    assert said in refused(audit(*filled, "--", *SSL))


# Wrong input


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name the client's command: mitm-demo audit -- ./my-client {target} {ca}"),
        (("--client", "python"), "name a policy with --policy: insecure, skip-verify"),
        (("--policy", "ca-file", "--", "true"), "--policy is for a client of the lab"),
        (("--client", "python", "--policy", "x"), "client 'python' does not know policy 'x'"),
        (("--client", "pythn", "--policy", "ca-file"), "did you mean 'python'?"),
        (("--client", "python", "--policy", "ca-file", "--", "true"), "--client takes no command"),
        (("--ca", "ca.pem", "--", "true"), "--ca is for --upstream"),
        (("--upstream", "localhost:1", "--respond", "OK", "--", "true"), "--respond is for"),
        (("--upstream", "example.com:443", "--", "true"), "add --allow-host example.com"),
        (("--upstream", "nonsense", "--", "true"), "write HOST:PORT"),
        (("--upstream-plaintext", "--", "true"), "--upstream-plaintext is for --upstream"),
        (
            ("--upstream", "localhost:1", "--upstream-plaintext", "--ca", "x.pem", "--", "true"),
            "leave out --ca",
        ),
        (("--respond", "FINE", "--", "true"), "unknown gRPC status 'FINE'"),
        (("--only", "self-singed", "--", "true"), "did you mean 'self-signed'?"),
        (("--exclude", "must,should,info", "--", "true"), "no certificate or attack is left"),
        (("--name", "a b", "--", "true"), "neither a host name nor an IP address"),
        (("--jobs", "0", "--", "true"), "--jobs"),
        (("--timeout", "0", "--", "true"), "--timeout"),
        (("--baseline", "nowhere.json", "--", "true"), "--baseline: cannot read nowhere.json"),
        (("--junit", "nowhere/a.xml", "--", "true"), "--junit: cannot write"),
        (("--sarif", "nowhere/a.sarif", "--", "true"), "--sarif: cannot write"),
        (("--limbo", "nowhere.json", "--", "true"), "nowhere.json"),
        (("--", "./no-such-client"), "cannot start ./no-such-client: No such file"),
        (("--nolny", "x", "--", "true"), "--nolny"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(words: tuple[str, ...], said: str) -> None:
    assert said in refused(mitm_demo("audit", *words))


def test_options_after_the_command_are_its_own() -> None:
    """With and without `--`."""
    ask = "import sys; sys.exit(' '.join(sys.argv[1:]))"
    for dashes in ((), ("--",)):
        command = (*dashes, sys.executable, "-c", ask, "--json", "--strict", "--ca", "{ca}")
        result = audit(*command)
        assert result.code == 3
        assert "--json --strict --ca /" in result.out


# Interruption

HANGING = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
with open(sys.argv[1], "w") as fifo:
    fifo.write(f"{os.getpid()} {child.pid}")
signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_no_process_and_no_directory(tmp_path: Path, number: signal.Signals) -> None:
    fifo, temporary, junit = tmp_path / "pids", tmp_path / "tmp", tmp_path / "audit.xml"
    os.mkfifo(fifo)
    temporary.mkdir()
    command = (MITM_DEMO, "audit", "--junit", junit, "--", sys.executable, "-c", HANGING, fifo)
    with running(*command, TMPDIR=str(temporary)) as process:
        family = [int(pid) for pid in fifo.read_text().split()]
        assert all(map(alive, family))
        assert list(temporary.iterdir())
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err.strip()) == ("", "")
    assert gone(*family)
    assert list(temporary.iterdir()) == []
    assert not junit.exists()


STUBBORN = """
import os, signal, sys
def refuse(number, frame):
    with open(sys.argv[1], "w") as fifo:
        fifo.write("told to end")
signal.signal(signal.SIGTERM, refuse)
with open(sys.argv[1], "w") as fifo:
    fifo.write(str(os.getpid()))
while True:
    signal.pause()
"""


def test_a_second_ctrl_c_does_not_wait_for_a_client_that_will_not_end(tmp_path: Path) -> None:
    fifo, temporary = tmp_path / "fifo", tmp_path / "tmp"
    os.mkfifo(fifo)
    temporary.mkdir()
    command = (MITM_DEMO, "audit", "--", sys.executable, "-c", STUBBORN, fifo)
    with running(*command, TMPDIR=str(temporary)) as process:
        client = int(fifo.read_text())
        process.send_signal(signal.SIGINT)
        assert fifo.read_text() == "told to end"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert gone(client)
    assert list(temporary.iterdir()) == []


def test_nothing_is_left_behind_by_a_whole_audit(tmp_path: Path) -> None:
    result = mitm_demo("audit", "--only", SOME, "--", *SSL, TMPDIR=str(tmp_path))
    assert result.code == 0
    assert list(tmp_path.iterdir()) == []


# x509-limbo


def test_a_suite_of_x509_limbos_is_tried_in_place_of_the_catalogue() -> None:
    sample = Path(__file__).parent.parent / "audit" / "data" / "limbo-sample.json"
    result = mitm_demo("audit", "--json", "--limbo", sample, "--", *SSL)
    report = told(result)
    assert report["controls"][0]["outcome"] == "pass", report["controls"]
    names = [case["id"] for case in json.loads(sample.read_text())["testcases"]]
    assert list(outcomes(report)) == names
    assert report["summary"]["pass"] > 0
    careless = told(mitm_demo("audit", "--json", "--limbo", sample, "--", *SSL, "x"))
    assert careless["summary"]["vulnerable"] > report["summary"]["vulnerable"]
