"""`--pcap`, `--keylog` and `--events`: what a run leaves behind."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.capture.wireshark import needs_tshark, read_pcapng, tshark
from tests.programs import MITM_DEMO, client_folder, mitm_demo, refused, running, serving

DOCS = Path(__file__).resolve().parents[2] / "docs"

# A client of Python's ssl, which says why it leaves.
_SSL_CLIENT = """
import json, socket, ssl, sys
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
host, _, port = options["--target"].rpartition(":")
context = ssl.create_default_context(cafile=options["--ca"])
try:
    context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host).close()
except ssl.SSLError as error:
    print(json.dumps({"error": {"code": "UNAVAILABLE", "message": str(error)}}))
    sys.exit(1)
print(json.dumps({"user": {}}))
"""


class Left(dict[str, Path]):
    """The files that a run has left behind, by the option that asked for them."""

    def __init__(self, folder: Path) -> None:
        names = {"--pcap": "a.pcapng", "--keylog": "a.keys", "--events": "a.jsonl"}
        super().__init__({option: folder / name for option, name in names.items()})

    @property
    def options(self) -> list[str | Path]:
        return [word for pair in self.items() for word in pair]


@pytest.fixture(scope="module")
def compromised(tmp_path_factory: pytest.TempPathFactory) -> Left:
    left = Left(tmp_path_factory.mktemp("compromised"))
    result = mitm_demo("run", "skip-verify", *left.options)
    assert result.code == 0, result.err
    return left


def _rows(path: Path, where: str, *fields: str) -> dict[str, list[list[str]]]:
    """What Wireshark finds, by interface."""
    found: dict[str, list[list[str]]] = {"client-attacker": [], "attacker-server": []}
    for interface, *values in tshark(path, where, "frame.interface_name", *fields):
        found[interface].append(values)
    return found


@needs_tshark
def test_of_a_compromised_run_wireshark_shows_handshake_and_messages(compromised: Left) -> None:
    pcap = compromised["--pcap"]
    for interface, issuer in (("client-attacker", "Attacker CA"), ("attacker-server", "Lab CA")):
        handshake = _rows(pcap, "tls.handshake", "tls.handshake.type", "x509sat.uTF8String")
        kinds = {kind for row in handshake[interface] for kind in row[0].split(",")}
        # ClientHello, ServerHello, Certificate, Finished.
        assert {"1", "2", "11", "20"} <= kinds
        assert any(issuer in row[1] for row in handshake[interface])
    fields = ("http2.headers.path", "http2.headers.authorization", "protobuf.field.value")
    for rows in _rows(pcap, "grpc", *fields).values():
        (path, token, asked), (_, _, answered) = rows
        assert path == "/users.v1.UserService/GetUser"
        assert token.startswith("Bearer opens-nothing-")
        assert asked == "01"
        fields_ = [bytes.fromhex(value) for value in answered.split(",")]
        assert fields_ == [b"\x01", b"Nicolas", b"nicolas@example.com"]


@needs_tshark
def test_of_an_aborted_run_wireshark_shows_the_certificate_and_no_message(tmp_path: Path) -> None:
    left = Left(tmp_path)
    assert mitm_demo("run", "ca-file", *left.options).code == 0
    pcap = left["--pcap"]
    certificates = _rows(pcap, "tls.handshake.type == 11", "x509sat.uTF8String")
    assert all("Attacker CA" in row[0] for row in certificates["client-attacker"])
    assert certificates["client-attacker"]
    assert tshark(pcap, "http2 && frame.interface_id == 0", "frame.number") == []
    assert tshark(pcap, "grpc", "frame.number") == []


@needs_tshark
def test_the_alert_of_a_client_that_says_why_is_shown(tmp_path: Path) -> None:
    left = Left(tmp_path)
    folder = client_folder(tmp_path / "client", _SSL_CLIENT, policy="ca-file")
    mitm_demo("run", "ca-file", "--client", folder, *left.options)
    alerts = _rows(left["--pcap"], "tls.alert_message", "tls.alert_message.desc")
    assert alerts["client-attacker"] == [["48"]]  # unknown_ca


@needs_tshark
def test_without_tls_wireshark_has_to_be_told_the_ports_and_shows_the_messages(
    tmp_path: Path,
) -> None:
    left = Left(tmp_path)
    assert mitm_demo("run", "insecure", *left.options).code == 0
    pcap = left["--pcap"]
    ports = ",".join(row[0] for row in tshark(pcap, "tcp.flags == 2", "tcp.dstport"))
    told = (f"http2.tcp.port:{ports}",)
    rows = tshark(pcap, "grpc", "frame.interface_name", "protobuf.field.value", options=told)
    asked, answered = "01", f"01,{b'Nicolas'.hex()},{b'nicolas@example.com'.hex()}"
    for interface in ("client-attacker", "attacker-server"):
        assert [row[1] for row in rows if row[0] == interface] == [asked, answered]
    assert left["--keylog"].read_text() == ""


def test_the_key_log_holds_the_secrets_of_both_sides(compromised: Left) -> None:
    lines = compromised["--keylog"].read_text().splitlines()
    assert all(line.count(" ") == 2 for line in lines)
    complete = {line.split()[1] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")}
    # The client connects twice: to fetch the certificate, and to call.
    assert len(complete) == 4
    secrets = b"".join(read_pcapng(compromised["--pcap"].read_bytes()).secrets)
    assert secrets.decode().splitlines() == lines


def test_what_holds_secrets_is_for_its_owner_alone(compromised: Left) -> None:
    for path in compromised.values():
        assert path.stat().st_mode & 0o777 == 0o600


def test_every_line_of_the_events_fits_the_schema(compromised: Left) -> None:
    schema: dict[str, Any] = json.loads((DOCS / "events.schema.json").read_text())
    validator = Draft202012Validator(schema)
    lines = compromised["--events"].read_text().splitlines()
    for line in lines:
        validator.validate(json.loads(line))
    assert {"scenario-started", "leg-ended", "message"} <= {json.loads(li)["event"] for li in lines}


def test_the_help_says_what_the_files_hold() -> None:
    for command, files in (("run", 3), ("proxy", 3), ("audit", 2)):
        words = " ".join(mitm_demo(command, "--help").out.split())
        assert words.count("Holds") == files - 1
        assert words.count("mode 0600") == files


@pytest.mark.parametrize("option", ["--pcap", "--keylog", "--events"])
def test_a_file_that_cannot_be_made_is_refused_before_anything_is_played(option: str) -> None:
    result = mitm_demo("run", "insecure", option, "/nowhere/a")
    assert "to /nowhere/a: No such file or directory" in refused(result)
    assert result.out == ""


@pytest.mark.parametrize("option", ["--pcap", "--keylog", "--events"])
def test_a_full_disk_is_told_once_and_changes_no_verdict(option: str) -> None:
    result = mitm_demo("run", "skip-verify", option, "/dev/full")
    # Not 0: whoever wanted the file has not got it.
    assert result.code == 2
    assert "C O M P R O M I S E D" in result.out
    (line,) = result.err.splitlines()
    assert line.startswith("mitm-demo: ")
    assert line.endswith("could not be written to /dev/full: No space left on device")


@pytest.fixture
def proxy_and_server(tmp_path: Path) -> Iterator[tuple[Any, str, Left]]:
    """The interceptor before a plaintext server, as processes; its address, and its files."""
    folder = tmp_path / "left"
    folder.mkdir()
    left = Left(folder)
    with (
        serving() as (_, address),
        running(
            MITM_DEMO, "proxy", "--listen", "127.0.0.1:0", "--upstream", address, *left.options,
            PYTHONUNBUFFERED="1",
        ) as proxy,
    ):  # fmt: skip
        assert proxy.stdout
        here = proxy.stdout.readline().split()[2].rstrip(",")
        yield proxy, here, left


def _call(address: str) -> int:
    return mitm_demo("call", "--policy", "insecure", "--target", address).code


def test_what_has_passed_is_in_the_files_while_the_proxy_goes_on(
    proxy_and_server: tuple[Any, str, Left],
) -> None:
    proxy, address, left = proxy_and_server
    assert _call(address) == 0
    assert b"Nicolas" in left["--pcap"].read_bytes()
    assert b"Nicolas" in left["--events"].read_bytes()
    read_pcapng(left["--pcap"].read_bytes())
    proxy.send_signal(signal.SIGINT)
    _, errors = proxy.communicate()
    assert errors.strip() == ""


def test_a_directory_that_vanishes_is_told_once_and_stops_nothing(
    proxy_and_server: tuple[Any, str, Left],
) -> None:
    proxy, address, left = proxy_and_server
    assert _call(address) == 0
    shutil.rmtree(left["--pcap"].parent)
    assert _call(address) == 0
    proxy.send_signal(signal.SIGINT)
    _, errors = proxy.communicate()
    told = sorted(filter(None, errors.splitlines()))
    # The key log was empty: of that nothing is lost.
    assert [line.split()[2:4] for line in told] == [["blocks", "of"], ["events", "could"]]
    assert all(line.endswith("the file was removed") for line in told)


def test_an_audit_captures_every_certificate_that_it_presents(tmp_path: Path) -> None:
    left = Left(tmp_path)
    result = mitm_demo(
        "audit", "--only", "self-signed,expired", "--json",
        "--pcap", left["--pcap"], "--keylog", left["--keylog"], "--",
        MITM_DEMO, "call", "--policy", "ca-file", "--ca", "{ca}", "--target", "{target}",
    )  # fmt: skip
    assert result.code == 0, result.err
    capture = read_pcapng(left["--pcap"].read_bytes())
    dialled = [p for p in capture.packets if p.flags == "S" and p.interface == "client-attacker"]
    assert len(dialled) >= 4  # two certificates and two controls
    assert b"".join(capture.secrets) == left["--keylog"].read_bytes()
    assert len({line.split()[1] for line in left["--keylog"].read_bytes().splitlines()}) >= 4
