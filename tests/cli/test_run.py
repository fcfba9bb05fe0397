"""`mitm-demo run`: the scenarios, played for real."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mitm import content
from mitm.events import AnyEvent, LegEnded, Message
from mitm.lab.acme import missing
from mitm.lab.scenario import in_order, load_scenario, scenarios
from tests.programs import client_folder, leg_of, mitm_demo, refused, run, scenario_file

# The guide's table: what each leg must come to.
VERDICTS = {
    "insecure": ("connected", "exposed"),
    "skip-verify": ("connected", "compromised"),
    "no-ca": ("failed", "aborted"),
    "ca-file": ("connected", "aborted"),
    "system-roots": ("connected", "aborted"),
    "pinned": ("connected", "aborted"),
    "tampered": ("connected", "compromised"),
}


@pytest.mark.parametrize("scenario", VERDICTS)
def test_a_scenario_comes_to_the_verdicts_of_the_guide(scenario: str) -> None:
    result = mitm_demo("run", scenario, "--json")
    assert result.code == 0, result.err
    (outcome,) = result.json_lines
    assert outcome["scenario"] == scenario
    assert outcome["client"] == "python"
    assert [leg["verdict"] for leg in outcome["legs"]] == [*VERDICTS[scenario]]
    assert [leg["expected"] for leg in outcome["legs"]] == [*VERDICTS[scenario]]
    assert outcome["matched"] is True


# The same of those with several clients: each leg's verdict, by the path that it took.
SEVERAL = {
    "system-roots-rogue": {
        "client → server": "connected",
        "client → attacker → server": "compromised",
        "client with a CA file → server": "connected",
        "client with a CA file → attacker → server": "aborted",
    },
    "misissued": {
        "client with a CA file → attacker → server": "compromised",
        "client with system roots → attacker → server": "compromised",
        "client with a pin → attacker → server": "aborted",
        "client with a key pin → attacker → server": "not played",
    },
    "pin-rotation": {
        "client with a pin → server": "failed",
        "client with a backup pin → server": "connected",
        "client with a backup pin → attacker → server": "aborted",
    },
    "expired": {
        "client → attacker → server": "aborted",
        "client → server": "connected",
        "client of the quick fix → server": "connected",
        "client of the quick fix → attacker → server": "compromised",
    },
    "wrong-host": {
        "client → attacker → server": "aborted",
        "client that skips the name → attacker → server": "not played",
    },
    "name-override": {
        "client → attacker → server": "aborted",
        "client that is told the name → server": "failed",
        "client that is told the name → attacker → server": "compromised",
    },
    "ingress": {
        "client → ingress → plaintext server": "connected",
        "client → ingress → attacker → plaintext server": "exposed",
        "client → careless ingress → server": "connected",
        "client → careless ingress → attacker → server": "compromised",
        "client → verifying ingress → server": "connected",
        "client → verifying ingress → attacker → server": "aborted",
    },
    "revoked": {
        "client with a CA file → attacker → server": "compromised",
        "client with a pin → attacker → server": "compromised",
    },
}


@pytest.mark.parametrize("scenario", SEVERAL)
def test_each_client_of_a_scenario_comes_to_its_verdict(scenario: str) -> None:
    result = mitm_demo("run", scenario, "--json")
    assert result.code == 0, result
    (outcome,) = result.json_lines
    # Of a path that is gone twice, before a renewal and after it, the last counts.
    told = {" → ".join(leg["path"]): leg.get("verdict", "not played") for leg in outcome["legs"]}
    assert SEVERAL[scenario].items() <= told.items()
    assert {leg["control_held"] for leg in outcome["legs"] if "control_held" in leg} == {True}


def test_before_the_renewal_the_pin_has_worked() -> None:
    (outcome,) = mitm_demo("run", "pin-rotation", "--json").json_lines
    alone = [leg for leg in outcome["legs"] if leg["path"] == ["client with a pin", "server"]]
    assert [leg["verdict"] for leg in alone] == ["connected", "failed"]
    assert [leg.get("renewed") for leg in alone] == [None, "server"]


def test_a_renewal_is_told_and_told_again_by_replay(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    told = mitm_demo("run", "pin-rotation", "--details", "--events", log).out
    said = "server has its next certificate, while it runs; a call that was open goes on"
    assert said in told
    (renewed,) = (
        event
        for line in log.read_bytes().splitlines()
        if (event := json.loads(line))["event"] == "renewed"
    )
    assert renewed["calls_kept"] == 1
    assert "calls_lost" not in renewed
    assert mitm_demo("replay", log).out == told


def _chains(log: Path) -> list[dict[str, Any]]:
    """What was shown to clients, the genuine and the forged, each once and in order."""
    kinds = ("server-certificate", "certificate-presented")
    told = (json.loads(line) for line in log.read_bytes().splitlines())
    found = {(e["event"], e["sha256"]): e for e in told if e["event"] in kinds}
    return list(found.values())


def test_the_genuine_chain_is_told_beside_the_forged_one(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    mitm_demo("run", "wrong-host", "--events", log)
    genuine, forged = _chains(log)
    assert (genuine["event"], genuine["member"]) == ("server-certificate", "server")
    assert (genuine["names"], forged["names"]) == (["localhost"], ["wrong.example"])
    assert genuine["issuer"] == forged["issuer"]
    assert genuine["not_before"] < genuine["not_after"]


def test_where_there_is_no_tls_there_is_no_genuine_chain(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    mitm_demo("run", "insecure", "--events", log)
    assert _chains(log) == []


def test_after_a_renewal_the_genuine_chain_is_the_new_one(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    mitm_demo("run", "pin-rotation", "--events", log)
    first, new = [e for e in _chains(log) if e["event"] == "server-certificate"]
    (renewed,) = (
        event
        for line in log.read_bytes().splitlines()
        if (event := json.loads(line))["event"] == "renewed"
    )
    assert new["sha256"] == renewed["sha256"] != first["sha256"]


def test_a_name_override_of_the_right_name_lets_the_server_in_and_the_attacker_not(
    tmp_path: Path,
) -> None:
    """The twin of `name-override`: it is the name that was wrong, not that there was one."""
    mine = scenario_file(
        tmp_path / "mine.md",
        client="policy: ca-file, server_name: localhost",
        attacker="certificate: wrong-host",
        server="mode: tls",
        intercepted="aborted",
    )
    result = mitm_demo("run", mine, "--json")
    assert result.code == 0, result


def test_a_stolen_key_of_another_server_is_of_no_use(tmp_path: Path) -> None:
    """The twin of `revoked`: it is by that very key that the pin let the thief in."""
    mine = scenario_file(
        tmp_path / "mine.md",
        cast="""
  - {name: client, program: client, policy: pinned}
  - {name: attacker, program: interceptor, steals: [another]}
  - {name: server, program: server}
  - {name: another, program: server}""",
        intercepted="aborted",
    )
    assert mitm_demo("run", mine).code == 0


def test_an_added_root_that_is_not_there_lets_nobody_in(tmp_path: Path) -> None:
    """The twin of `system-roots-rogue`: the same attacker, and a store with one line less."""
    mine = scenario_file(
        tmp_path / "mine.md",
        client="policy: system-roots",
        attacker="certificate: system-root",
        server="mode: tls",
        intercepted="aborted",
    )
    assert mitm_demo("run", mine).code == 0


def test_all_scenarios_are_played_in_their_order_a_line_for_each() -> None:
    result = mitm_demo("run")
    assert result.code == 0, result.err
    head, *rows = result.out.splitlines()
    assert head.split() == ["scenario", "control", "under", "attack"]
    public = {"acme", "acme-hijack"} if missing() else set()
    played = [scenario for scenario in in_order() if scenario.name not in public]
    assert [row.split()[0] for row in rows[: len(played)]] == [scenario.name for scenario in played]
    for scenario, row in zip(played, rows, strict=False):
        # What this client's stack cannot do is left out: of some, a leg of one kind.
        verdicts = {leg.expected for leg in scenario.legs}
        assert {word.strip(",") for word in row.split()[1:]} <= verdicts
        assert len(row.split()) > 2
        assert "NOT AS SCRIPTED" not in row
    assert rows[len(played)] == f"{len(played)} of {len(played)} scenarios came out as expected."
    # What does not fit there is on the screen of one.
    assert "THE ATTACKER READ" not in result.out


def test_among_many_one_that_does_not_come_out_is_shown_whole(tmp_path: Path) -> None:
    mine = scenario_file(tmp_path / "mine.md", intercepted="aborted")
    result = mitm_demo("run", "ca-file", mine)
    assert result.code == 1
    ca_file, own = result.out.splitlines()[1:3]
    assert ca_file.startswith("ca-file")
    assert "NOT AS SCRIPTED" not in ca_file
    assert own.startswith("mine")
    assert "NOT AS SCRIPTED" in own
    assert "1 of 2 scenarios came out as expected." in result.out
    assert "E X P O S E D" in result.out
    assert "A B O R T E D" not in result.out


def test_skip_verify_loses_name_mail_and_token(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    result = mitm_demo("run", "skip-verify", "--events", log)
    assert result.code == 0, result.err
    for stolen in ("Nicolas", "nicolas@example.com", "/users.v1.UserService/GetUser"):
        assert stolen in result.out
    events = msgspec.json.Decoder(AnyEvent)
    seen = [events.decode(line) for line in log.read_bytes().splitlines()]
    (user,) = (e for e in seen if isinstance(e, Message) and e.direction == "server")
    assert user.value == {"id": "1", "name": "Nicolas", "email": "nicolas@example.com"}
    (token,) = {
        value.removeprefix("Bearer ")
        for line in log.read_bytes().splitlines()
        for name, value in json.loads(line).get("headers", ())
        if name == "authorization"
    }
    # It is the lab's own, and opens nothing: it is shown as the attacker has it.
    assert f"authorization: Bearer {token}" in result.out
    again = mitm_demo("run", "skip-verify")
    assert token not in again.out
    assert [e.verdict for e in seen if isinstance(e, LegEnded)] == ["connected", "compromised"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_client_that_verifies_gives_nothing_away(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    result = mitm_demo("run", "ca-file", "--details", "--events", log)
    assert result.code == 0, result.err
    kinds = {json.loads(line)["event"] for line in log.read_bytes().splitlines()}
    assert "certificate-presented" in kinds
    assert not kinds & {"application-data", "frame", "headers", "message"}
    assert "closes without an alert, during the handshake" in result.out


def test_the_report_names_cast_witnesses_and_fix() -> None:
    result = mitm_demo("run", "skip-verify", "--details")
    for line in (
        "client    Python, grpcio, policy skip-verify",
        "attacker  presents the certificate 'attacker-ca'",
        "server    users.v1.UserService, TLS",
        "control  client ───────────────▶ server  connected",
        "attack   client ──▶ attacker ──▶ server  compromised",
        "It came for the certificate alone, to trust it on the next connection",
        "server   recorded /users.v1.UserService/GetUser OK from 127.0.0.1:",
        "How to fix it",
    ):
        assert line in result.out


def test_output_is_plain_in_a_pipe_and_coloured_on_demand() -> None:
    assert "\x1b[" not in mitm_demo("run", "insecure").out
    assert "\x1b[" in mitm_demo("run", "insecure", FORCE_COLOR="1").out


def test_an_outcome_that_is_not_the_expected_one_is_told_and_exits_with_1(tmp_path: Path) -> None:
    mine = scenario_file(tmp_path / "mine.md", intercepted="aborted")
    result = mitm_demo("run", mine, "--json")
    assert result.code == 1
    (outcome,) = result.json_lines
    assert outcome["matched"] is False
    assert leg_of(outcome)["verdict"] == "exposed"
    told = mitm_demo("run", mine)
    assert told.code == 1
    assert "exposed, not aborted" in told.out


def test_a_scenario_file_of_ones_own_is_played(tmp_path: Path) -> None:
    result = mitm_demo("run", scenario_file(tmp_path / "mine.md"), "--json")
    assert result.code == 0, result.err
    assert result.json_lines[0]["scenario"] == "mine"


def test_a_control_that_fails_proves_nothing(tmp_path: Path) -> None:
    """A client that always fails looks like one that aborts: only the control tells."""
    broken = (
        "import json, sys\n"
        'print(json.dumps({"error": {"code": "UNAVAILABLE", "message": "always"}}))\n'
        "sys.exit(1)\n"
    )
    folder = client_folder(tmp_path / "broken", broken, policy="ca-file")
    result = mitm_demo("run", "ca-file", "--client", folder)
    assert result.code == 1
    assert "so the attack proves nothing" in result.out


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.kill(os.getpid(), 11)", "the client was ended by SIGSEGV"),
        ("print('hello, world')", "printed no 'user' object"),
        ("import sys; print('hello'); sys.exit(1)", "printed no 'error' object"),
        ("import sys; sys.exit(3)", "exited with 3"),
        ("import sys; sys.exit('I give up')", "I give up"),
        ("raise RuntimeError('a bug')", "RuntimeError: a bug"),
        ("""print('{"user": {"a": "\\\\ud800"}}')""", "printed no 'user' object"),
        ("""print('{"user": {"a": NaN}}')""", "printed no 'user' object"),
        ("print('{\"user\":' * 100000 + '1' + '}' * 100000)", "printed no 'user' object"),
        ("print('{\"user\":' * 500 + '1' + '}' * 500)", "printed no 'user' object"),
        ("while True: print('rubbish' * 1000)", "did not end within 0.2 s"),
        ("import time; time.sleep(600)", "did not end within 0.2 s"),
    ],
)
def test_a_client_that_breaks_the_contract_is_inconclusive(
    tmp_path: Path, program: str, said: str
) -> None:
    folder = client_folder(tmp_path / "broken", program)
    result = mitm_demo("run", "insecure", "--json", "--timeout", "0.2", "--client", folder)
    assert result.code == 1
    (outcome,) = result.json_lines
    assert leg_of(outcome, "genuine")["verdict"] == "failed"
    assert leg_of(outcome)["verdict"] == "inconclusive"
    assert said in leg_of(outcome)["reason"]
    assert outcome["matched"] is False


def test_a_client_that_never_connects_is_unreached(tmp_path: Path) -> None:
    idle = (
        "import json, sys\n"
        'print(json.dumps({"error": {"code": "UNAVAILABLE", "message": "not tried"}}))\n'
        "sys.exit(1)\n"
    )
    folder = client_folder(tmp_path / "idle", idle)
    result = mitm_demo("run", "insecure", "--json", "--client", folder)
    assert leg_of(result.json_lines[0])["verdict"] == "unreached"


def test_a_client_that_claims_an_answer_it_never_got_is_found_out(tmp_path: Path) -> None:
    liar = """print('{"user": {"id": 1, "name": "Nicolas"}}')\n"""
    folder = client_folder(tmp_path / "liar", liar)
    result = mitm_demo("run", "insecure", "--json", "--client", folder)
    assert result.code == 1
    (outcome,) = result.json_lines
    assert leg_of(outcome, "genuine")["verdict"] == "failed"
    assert "the server has recorded no such call" in leg_of(outcome, "genuine")["reason"]
    assert leg_of(outcome)["verdict"] == "inconclusive"


def test_a_program_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    folder = client_folder(tmp_path / "missing", "")
    readme = folder / "README.md"
    readme.write_text(readme.read_text().replace('"{python}"', '"/nowhere/python"'))
    line = refused(mitm_demo("run", "insecure", "--json", "--client", folder))
    assert "cannot start /nowhere/python" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "skip-verfy"], "unknown scenario 'skip-verfy': did you mean 'skip-verify'?"),
        (["run", "xyzzy"], "unknown scenario 'xyzzy': see what there is with mitm-demo list"),
        (["run", "./nowhere.md"], "no scenario file at ./nowhere.md"),
        (["run", "insecure", "--client", "pyton"], "did you mean 'python'?"),
        (["run", "x" * 300], "unknown scenario 'xxx"),
        (["run", f"./{'x' * 300}"], "no scenario file at ./xxx"),
        (["run", "insecure", "--client", "/dev/null"], "/dev/null/README.md"),
        (["run", "insecure", "--timeout", "0"], "--timeout"),
        (["run", "insecure", "--events", "/nowhere/events"], "cannot write events to /nowhere/"),
        (["run", "--jsno"], "--jsno"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments: list[str], said: str) -> None:
    assert said in refused(mitm_demo(*arguments))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"client": "policy: trust"}, "cast[0].policy: Invalid enum value 'trust'"),
        ({"client": "polcy: insecure"}, "cast[0]: Object contains unknown field `polcy`"),
        (
            {"client": "policy: mutual-tls, certificate: genuin"},
            "cast[0].certificate: unknown certificate 'genuin': did you mean 'genuine'?",
        ),
        (
            {"attacker": "certificate: atacker-ca"},
            "cast[1].certificate: unknown certificate 'atacker-ca': did you",
        ),
        ({"attacker": "rewrite: []"}, "cast[1].certificate: an interceptor presents either"),
        ({"attacker": "steals: [nobody]"}, "cast[1].steals: 'nobody' is no client or server"),
        (
            {"attacker": "certificate: attacker-ca, client_certificate: atacker-ca"},
            "cast[1].client_certificate: unknown certificate 'atacker-ca': did you",
        ),
        (
            {"attacker": "certificate: expired, client_certificate: expired, steals: [client]"},
            "cast[1].client_certificate: an interceptor presents either one that it has made",
        ),
        ({"server": "mode: quic"}, "cast[2].mode: Invalid enum value 'quic'"),
        ({"cast": "[]"}, "legs[0].path: 'client' is no member of the cast"),
        ({"cast": "[{name: x, program: ftp}]"}, "cast[0].program: Invalid value 'ftp'"),
        ({"legs": "[]"}, "legs: there is none"),
        ({"legs": "[{path: [client, server]}]"}, "legs[0]: Object missing required field"),
        ({"genuine": "aborted"}, "legs[0].expected: 'aborted' is none of connected, failed"),
        ({"intercepted": "connected"}, "legs[1].expected: 'connected' is none of exposed, "),
        (
            {"legs": "[{path: [client, sever], expected: connected}]"},
            "legs[0].path: 'sever' is no member of the cast",
        ),
        (
            {"legs": "[{path: [server, client], expected: connected}]"},
            "legs[0].path: it leads from a client to a server or an attacker",
        ),
        (
            {"legs": "[{path: [client, attacker, attacker, server], expected: exposed}]"},
            "legs[0].path: there is one attacker and one ingress in it at the most",
        ),
        (
            {"legs": "[{path: [client, attacker, server], expected: exposed}]"},
            "legs[0].path: 'client' is attacked without a control",
        ),
        (
            {"legs": "[{path: [client, server], expected: connected, renewed: server}]"},
            "legs[0].renewed: 'server' is no server of the cast with TLS",
        ),
        ({"title": ""}, "front matter: Object missing required field `title`"),
        ({"colour": "red"}, "front matter: Object contains unknown field `colour`"),
        ({"order": "first"}, "order: Expected `int`, got `str`"),
        ({"title": "[unclosed"}, "line 3: not YAML"),
    ],
)
def test_a_mistake_in_a_scenario_names_file_key_and_reason(
    tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    mine = scenario_file(tmp_path / "mine.md", **changed)
    line = refused(mitm_demo("run", mine))
    assert str(mine) in line
    assert said in line


def test_front_matter_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("# Just a heading\n")
    assert "must begin and end with" in refused(mitm_demo("run", tmp_path / "mine.md"))


def test_if_the_client_knows_no_policy_that_is_played_it_is_refused_before_anything_is(
    tmp_path: Path,
) -> None:
    folder = client_folder(tmp_path / "small", "")
    result = mitm_demo("run", "pinned", "--client", folder)
    assert "does not know policy 'pinned', but: insecure" in refused(result)
    assert result.out == ""


def test_a_client_plays_what_it_knows_and_the_rest_is_told(small_copy: Path) -> None:
    told = mitm_demo("run", "--client", small_copy)
    assert told.code == 0, told
    known = {"insecure", "skip-verify"}
    played = [name for name in scenarios() if not load_scenario(name).lacking(known)]
    assert {"skip-verify", "expired"} <= {*played} <= {*scenarios()} - {"pinned", "wrong-identity"}
    assert f"{len(played)} of {len(played)} scenarios came out as expected." in told.out
    for name in scenarios():
        reason = f"\n{name} was not played: the client small does not know the policy "
        assert (reason in told.out) == (name not in played)
    # The legs of a scenario that are another policy's are left out.
    assert "not played: the client small does not know the policy ca-file" in told.out


def test_a_scenario_that_was_asked_for_and_not_played_is_no_success(small_copy: Path) -> None:
    result = mitm_demo("run", "skip-verify", "pinned", "--json", "--client", small_copy)
    assert result.code == 3, result
    played, other = result.json_lines
    assert played["matched"] is True
    assert other == {
        "scenario": "pinned",
        "client": "small",
        "not_played": "the client small does not know the policy pinned",
    }


def test_a_client_that_cannot_present_a_certificate_is_not_told_to(small_copy: Path) -> None:
    names = ("skip-verify", "mutual-tls-skip-verify")
    words = ("run", *names, "--json", "--client", small_copy)
    result = mitm_demo(*words)
    assert result.code == 3
    _, outcome = result.json_lines
    assert outcome["not_played"] == "the client small does not know the policy mutual-tls"
    # The twin: it knows that, and the policy of the scenario is one that it knew before.
    readme = small_copy / "README.md"
    readme.write_text(readme.read_text().replace("skip-verify]", "skip-verify, mutual-tls]"))
    assert mitm_demo(*words).code == 0


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        ("stolen-client-key", "a client with the certificate of client.lab.mitm-demo.localhost"),
        ("mutual-tls-skip-verify", "the client's own certificate: CN=client.lab.mitm-demo.localh"),
    ],
)
def test_what_a_client_and_an_attacker_have_presented_is_told(scenario: str, said: str) -> None:
    assert said in mitm_demo("run", scenario, "--details").out


@pytest.fixture
def small_copy(tmp_path: Path) -> Path:
    """The client in Python, copied elsewhere, with two of its policies."""
    folder = tmp_path / "small"
    shutil.copytree(content.CLIENTS / "python", folder)
    readme = (folder / "README.md").read_text()
    policies = next(line for line in readme.splitlines() if line.startswith("policies:"))
    fewer = readme.replace(policies, "policies: [insecure, skip-verify]")
    (folder / "README.md").write_text(fewer)
    return folder


@pytest.mark.parametrize("name", ["./my-client", "./my-client/", "../{cwd}/my-client", "my-client"])
def test_a_clients_folder_is_named_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(content.CLIENTS / "python", tmp_path / "my-client")
    monkeypatch.chdir(tmp_path)
    result = mitm_demo("run", "ca-file", "--json", "--client", name.replace("{cwd}", tmp_path.name))
    if name == "my-client":
        assert "unknown client 'my-client': for what lies here, write ./my-client" in refused(
            result
        )
    else:
        assert result.code == 0, result
        assert result.json_lines[0]["client"] == "my-client"
        audited = mitm_demo(
            *("audit", "--only", "attacker-ca", "--client", "./my-client", "--policy", "ca-file")
        )
        assert audited.code == 0, audited


def test_a_folder_is_where_its_client_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(client_folder(tmp_path / "mine", "import sys; sys.exit('started')"))
    result = mitm_demo("call", "--client", ".", "--policy", "insecure", "--target", "localhost:1")
    assert result.err == "started\n"


def test_a_copy_that_is_started_by_hand_says_what_it_misses(tmp_path: Path) -> None:
    program = shutil.copy(content.CLIENTS / "python" / "client.py", tmp_path)
    call = (sys.executable, program, "--target", "127.0.0.1:1", "--policy", "insecure")
    assert "set MITM_PROTO to the folder proto" in refused(run(*call))
    # The twin: told where, it tries to call.
    assert run(*call, "--timeout", "1", MITM_PROTO=str(content.PROTO)).code == 1


@pytest.mark.parametrize(
    ("program", "scenario"),
    [
        ("import sys; print('{\"error\": {}}'); sys.exit(1)", "insecure"),
        ("import sys; print('{\"error\": {}}'); sys.exit(1)", "ca-file"),
        ("import sys; sys.exit(3)", "insecure"),
    ],
    ids=["unreached", "failed control", "inconclusive"],
)
def test_a_lesson_is_told_only_where_it_was_shown(
    tmp_path: Path, program: str, scenario: str
) -> None:
    lesson = ("How to fix it", load_scenario(scenario).point)
    folder = client_folder(tmp_path / "mine", program, policy=scenario)
    failed = mitm_demo("run", scenario, "--details", "--client", folder)
    assert failed.code == 1
    assert "Not as scripted: the scenario's lesson is left out." in failed.out
    assert not [words for words in lesson if words in " ".join(failed.out.split())]
    shown = mitm_demo("run", scenario, "--details")
    assert shown.code == 0
    assert [words for words in lesson if words in " ".join(shown.out.split())] == [*lesson]
