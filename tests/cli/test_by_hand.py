"""`certs`, `serve`, `call` and `proxy`: the parts by themselves, put together as in a class."""

import json
import re
import signal
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning

from tests.cli.test_audit import own_ca
from tests.pki.oddities import with_serial
from tests.programs import MITM_DEMO, NOWHERE, Result, mitm_demo, refused, running, serving


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PEM files that `mitm-demo certs` writes."""
    directory = tmp_path_factory.mktemp("lab") / "pki"
    assert mitm_demo("certs", directory).code == 0
    # The same under the names that others give to such files.
    pem = (directory / "server.pem").read_text()
    (directory / "server.crt").write_text(pem)
    (directory / "server").write_text(pem)
    (directory / "server.der").write_bytes(ssl.PEM_cert_to_DER_cert(pem))
    return directory


def call(address: str, policy: str, *arguments: str | Path) -> Result:
    port = address.rpartition(":")[2]
    return mitm_demo("call", "--policy", policy, "--target", f"localhost:{port}", *arguments)


def test_server_and_client_meet_over_the_files_of_certs(lab: Path) -> None:
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, address):
        good = call(address, "ca-file", "--ca", lab / "ca.pem", "--id", "2")
        assert good.code == 0, good.err
        assert good.json_lines == [
            {"user": {"id": 2, "name": "Amina", "email": "amina@example.com"}}
        ]
        bad = call(address, "ca-file", "--ca", lab / "attacker-ca.pem")
        assert bad.code == 1
        assert bad.json_lines[0]["error"]["code"] == "UNAVAILABLE"


def test_who_has_the_clients_certificate_of_certs_is_let_in_and_nobody_else(lab: Path) -> None:
    shown = ("--cert", lab / "server.pem", "--key", lab / "server.key")
    with serving(*shown, "--client-ca", lab / "ca.pem") as (_, address):
        own = ("--ca", lab / "ca.pem", "--cert", lab / "client.pem", "--key", lab / "client.key")
        assert call(address, "mutual-tls", *own).code == 0
        assert call(address, "ca-file", "--ca", lab / "ca.pem").code == 1
        # A server's certificate is none for clients (RFC 5280 section 4.2.1.12).
        assert call(address, "mutual-tls", "--ca", lab / "ca.pem", *shown).code == 1
        assert "--key" in refused(call(address, "mutual-tls", *own[:-2]))


def test_proxy_stands_between_a_client_and_its_server(lab: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, upstream):
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, "--events", log)
        with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
            assert process.stdout
            address = process.stdout.readline().split()[2].rstrip(",")
            assert call(address, "ca-file", "--ca", lab / "ca.pem").code == 1
            fooled = call(address, "skip-verify", "--token", "a-secret-of-the-test-0123456789")
            assert fooled.json_lines[0]["user"]["name"] == "Nicolas"
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
    # gRPC's C core used to prefer a name of its own for it.
    assert re.search("ClientHello: for localhost, ALPN (grpc-exp, )?h2", out)
    assert "calls /users.v1.UserService/GetUser" in out
    # Each of the two ways to end, side by side: left, and read.
    aborted, *_, compromised = [line for line in out.splitlines() if line.startswith("#")]
    assert aborted.startswith("#1 ABORTED  left before a byte: ")
    read = "read: /users.v1.UserService/GetUser, authorization"
    assert compromised.endswith(f" COMPROMISED  {read}")
    assert "SETTINGS" not in out
    assert "a-secret-of-the-test-0123456789" not in out
    assert "a-secret-of-the-test-0123456789" in log.read_text()


def test_proxy_presents_a_chain_of_ones_own(lab: Path) -> None:
    """With the genuine certificate in the attacker's hands, even a careful client is read."""
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, upstream):
        cert = ("--cert", lab / "server.pem", "--key", lab / "server.key")
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, *cert)
        with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
            assert process.stdout
            address = process.stdout.readline().split()[2].rstrip(",")
            assert call(address, "ca-file", "--ca", lab / "ca.pem").code == 0


def proxied(*arguments: str | Path) -> str:
    """What `proxy` says on stderr that has begun to listen and is ended."""
    command = ("proxy", "--listen", "127.0.0.1:0", *arguments)
    with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
        assert process.stdout
        assert process.stdout.readline().startswith("listening on ")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    return str(err).strip()


def test_the_key_may_stand_in_the_file_of_the_chain(lab: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((lab / "server.key").read_bytes() + (lab / "server.pem").read_bytes())
    assert proxied("--cert", both, "--key", both) == ""


def test_a_recipe_may_be_called_anything(tmp_path: Path) -> None:
    recipe = tmp_path / "mine.recipe"
    recipe.write_text("\ufeff---\r\ntitle: T\r\nexpect: reject\r\nchain: [{}]\r\n---\r\nText.\r\n")
    assert proxied("--cert", recipe) == ""


def test_proxy_signs_with_an_authority_of_ones_own(lab: Path, tmp_path: Path) -> None:
    """The client trusts that CA, and is refused or read as the recipe says."""
    ca, key = own_ca(tmp_path)
    signed = ("--authority", ca, "--authority-key", key)
    with serving("--cert", lab / "server.pem", "--key", lab / "server.key") as (_, upstream):
        for cert, code in ((), 0), (("--cert", "expired"), 1):
            command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, *signed, *cert)
            with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
                assert process.stdout
                line = process.stdout.readline()
                assert f"presenting {cert[1] if cert else 'genuine'}" in line
                assert call(line.split()[2].rstrip(","), "ca-file", "--ca", ca).code == code
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=30)
            assert f"signing with the key of {ca}" in err
    # What it has no part in is not said to be signed by it.
    assert proxied(*signed, "--cert", "self-signed") == ""


def test_what_a_library_thinks_of_an_odd_certificate_is_not_told(lab: Path, tmp_path: Path) -> None:
    """A negative serial number brings a warning of `cryptography`."""
    odd = with_serial(ssl.PEM_cert_to_DER_cert((lab / "server.pem").read_text()), b"\xff")
    with pytest.warns(CryptographyDeprecationWarning):
        x509.load_der_x509_certificate(odd)
    (tmp_path / "odd.pem").write_text(ssl.DER_cert_to_PEM_cert(odd))
    assert proxied("--cert", tmp_path / "odd.pem", "--key", lab / "server.key") == ""


def test_serve_hands_over_to_the_server_and_ends_with_it() -> None:
    with running(MITM_DEMO, "serve", "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        address = json.loads(process.stdout.readline())["listening"]
        assert call(address, "insecure").code == 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert err == ""
    (line,) = out.splitlines()
    assert json.loads(line)["status"] == "OK"


def test_a_server_does_not_outlive_serve_however_that_is_ended() -> None:
    with running(MITM_DEMO, "serve", "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        host, _, port = json.loads(process.stdout.readline())["listening"].rpartition(":")
        socket.create_connection((host, int(port))).close()
        process.kill()
        process.communicate(timeout=30)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_serve_listens_on_every_address_of_a_name_or_says_which_is_taken(taken: str) -> None:
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    try:
        other = socket.create_server((taken, 0), family=family)
    except OSError:
        pytest.skip(f"this machine has no {taken}")
    with other:
        port = other.getsockname()[1]
        line = refused(mitm_demo("serve", "--listen", f"localhost:{port}"))
    assert taken in line
    assert f":{port}, which is localhost: the port is taken" in line
    # The twin: now that it is free, clients find the server at that address.
    with running(MITM_DEMO, "serve", "--listen", f"localhost:{port}") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["listening"] == f"localhost:{port}"
        socket.create_connection((taken, port)).close()


@pytest.mark.parametrize("variable", ["https_proxy", "grpc_proxy", "HTTP_PROXY", "all_proxy"])
def test_call_goes_straight_to_this_machine_whatever_proxy_the_environment_names(
    variable: str,
) -> None:
    with serving() as (_, address):
        port = address.rpartition(":")[2]
        command = ("call", "--policy", "insecure", "--target", f"localhost:{port}")
        result = mitm_demo(*command, **{variable: NOWHERE, "no_proxy": "intern.example"})
    assert result.code == 0, result
    assert result.json_lines[0]["user"]["name"] == "Nicolas"


def test_call_goes_by_a_proxy_if_nothing_is_excepted_from_it() -> None:
    with serving() as (_, address):
        port = address.rpartition(":")[2]
        command = ("call", "--policy", "insecure", "--target", f"localhost:{port}")
        result = mitm_demo(*command, "--timeout", "1", https_proxy=NOWHERE, no_proxy="")
    assert result.code == 1


def test_certs_writes_private_files_and_never_overwrites_unasked(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    written = mitm_demo("certs", directory)
    assert written.code == 0
    names = {
        "ca.pem",
        "server.pem",
        "server.key",
        "client.pem",
        "client.key",
        "attacker-ca.pem",
        "attacker.pem",
        "attacker.key",
    }
    assert {path.name for path in directory.iterdir()} == names
    assert {Path(line).name for line in written.out.splitlines()} == names
    assert directory.stat().st_mode & 0o777 == 0o700
    for path in directory.glob("*.key"):
        assert path.stat().st_mode & 0o777 == 0o600
    before = (directory / "ca.pem").read_bytes()
    assert "add --force" in refused(mitm_demo("certs", directory))
    assert (directory / "ca.pem").read_bytes() == before
    assert mitm_demo("certs", "--force", directory).code == 0
    assert (directory / "ca.pem").read_bytes() != before


def test_certs_writes_a_single_certificate_of_the_catalogue(tmp_path: Path) -> None:
    written = mitm_demo("certs", "--only", "attacker-ca", tmp_path)
    assert written.code == 0
    names = {"attacker-ca.pem", "attacker-ca.key", "attacker-ca.ca.pem"}
    assert {path.name for path in tmp_path.iterdir()} == names
    assert {Path(line).name for line in written.out.splitlines()} == names
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    before = (tmp_path / "attacker-ca.pem").read_bytes()
    assert "add --force" in refused(mitm_demo("certs", "--only", "attacker-ca", tmp_path))
    assert (tmp_path / "attacker-ca.pem").read_bytes() == before
    assert mitm_demo("certs", "--only", "attacker-ca", "--force", tmp_path).code == 0
    assert (tmp_path / "attacker-ca.pem").read_bytes() != before


def test_a_single_certificate_is_what_its_recipe_says_beside_its_ca(tmp_path: Path) -> None:
    """A server that presents it is refused with that CA, and the genuine one is not."""
    for name, code in (("genuine", 0), ("wrong-host", 1)):
        assert mitm_demo("certs", "--only", name, tmp_path).code == 0
        cert = ("--cert", tmp_path / f"{name}.pem", "--key", tmp_path / f"{name}.key")
        with serving(*cert) as (_, address):
            assert call(address, "ca-file", "--ca", tmp_path / f"{name}.ca.pem").code == code


def test_a_single_certificate_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    short = mitm_demo("certs", "--only", "parent-domain", tmp_path)
    assert "too few labels" in refused(short)
    name = ("--name", "server.lab.mitm-demo.test")
    assert mitm_demo("certs", "--only", "parent-domain", *name, tmp_path).code == 0
    assert "did you mean 'wrong-host'?" in refused(
        mitm_demo("certs", "--only", "wrong-hots", tmp_path)
    )
    assert "neither a host name" in refused(mitm_demo("certs", "--name", "a b", tmp_path))


def test_certs_says_where_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write to" in refused(mitm_demo("certs", tmp_path / "file" / "below"))


def test_an_upstream_that_is_not_there_is_said_on_the_console(lab: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        upstream = f"127.0.0.1:{closed.getsockname()[1]}"
        command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream)
        with running(MITM_DEMO, *command, PYTHONUNBUFFERED="1") as process:
            assert process.stdout
            address = process.stdout.readline().split()[2].rstrip(",")
            result = call(address, "insecure", "--timeout", "3")
            assert result.code == 1
            assert result.json_lines[0]["error"]["code"] in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=30)
    assert f"cannot reach {upstream}" in out


@pytest.mark.parametrize("server_tls", [True, False])
def test_tls_on_one_leg_alone_takes_an_option_that_the_console_names(
    lab: Path, server_tls: bool
) -> None:
    own = ("--cert", lab / "server.pem", "--key", lab / "server.key") if server_tls else ()
    option = "--upstream-tls" if server_tls else "--upstream-plaintext"
    policy = "insecure" if server_tls else "ca-file"
    said = []
    with serving(*own) as (_, upstream):
        for options in ((), (option,)):
            command = ("proxy", "--listen", "127.0.0.1:0", "--upstream", upstream, *options)
            chain = ("--cert", lab / "attacker.pem", "--key", lab / "attacker.key")
            with running(MITM_DEMO, *command, *chain, PYTHONUNBUFFERED="1") as process:
                assert process.stdout
                address = process.stdout.readline().split()[2].rstrip(",")
                ca = () if server_tls else ("--ca", lab / "attacker-ca.pem")
                result = call(address, policy, *ca, "--timeout", "3")
                process.send_signal(signal.SIGINT)
                said.append(process.communicate(timeout=30)[0])
                assert (result.code == 0) == bool(options), result
    without, with_option = said
    assert f"add {option}" in without
    assert "calls /users.v1.UserService/GetUser" in with_option


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for command in (("proxy", "--listen"), ("serve", "--listen")):
            assert f"cannot listen on {address}" in refused(mitm_demo(*command, address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_a_proxy_before_itself_is_refused(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ("proxy", "--listen", f"127.0.0.1:{port}", "--upstream", f"{host}:{port}")
    line = refused(mitm_demo(*command))
    assert f"--upstream {host}:{port} is where the interceptor itself listens" in line


@pytest.mark.parametrize(
    ("arguments", "host"),
    [
        (("proxy", "--listen", "0.0.0.0:0"), "0.0.0.0"),  # noqa: S104
        (("proxy", "--upstream", "example.com:443"), "example.com"),
        (("serve", "--listen", "[::]:0"), "::"),
        (("call", "--policy", "insecure", "--target", "192.0.2.1:443"), "192.0.2.1"),
        (("call", "--policy", "insecure", "--target", "localhost.example.com:443"), "localhost."),
    ],
)
def test_another_machine_takes_allow_host(arguments: tuple[str, ...], host: str) -> None:
    line = refused(mitm_demo(*arguments))
    assert f"add --allow-host {host}" in line


def test_a_host_that_was_allowed_is_listened_on() -> None:
    """The twin of the refusals: the same address, allowed by name."""
    command = ("serve", "--listen", "0.0.0.0:0", "--allow-host", "0.0.0.0")  # noqa: S104
    with running(MITM_DEMO, *command) as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["listening"].startswith("0.0.0.0:")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("proxy", "--cert", "atacker-ca"), "did you mean 'attacker-ca'?"),
        (("proxy", "--cert", "{lab}/none.pem", "--key", "{lab}/server.key"), "cannot read"),
        (("proxy", "--cert", "{lab}/server.key", "--key", "{lab}/server.key"), "holds no PEM cert"),
        (("proxy", "--cert", "{lab}/server.pem", "--key", "{lab}/server.pem"), "holds no PEM priv"),
        (("proxy", "--cert", "{lab}/server.pem", "--key", "{lab}/attacker.key"), "does not fit"),
        (("proxy", "--impersonate", "--upstream-tls"), "leave out --upstream-tls"),
        (("proxy", "--cert", "{lab}/server.pem"), "name the key to it with --key"),
        (("proxy", "--cert", "{lab}/server.crt"), "name the key to it with --key"),
        (("proxy", "--cert", "{lab}/server"), "name the key to it with --key"),
        (("proxy", "--cert", "{lab}/server.der"), "it is DER; write it as PEM"),
        (("proxy", "--cert", "nowhere.crt"), "cannot read nowhere.crt"),
        (("proxy", "--key", "{lab}/server.key"), "'attacker-ca' is a certificate of the catalogue"),
        (("proxy", "--authority", "{lab}/ca.pem"), "--authority and --authority-key go together"),
        (
            ("proxy", "--authority", "{lab}/ca.pem", "--authority-key", "{lab}/server.key"),
            "does not fit the authority",
        ),
        (
            ("proxy", "--authority", "{lab}/server.pem", "--authority-key", "{lab}/server.key"),
            "is not a CA's certificate",
        ),
        (("proxy", "--cert", "expired"), "or give it your own with --authority"),
        (("proxy", "--listen", "50051"), "write HOST:PORT"),
        (("proxy", "--upstream", "localhost:99999"), "write HOST:PORT"),
        (("serve", "--cert", "{lab}/none.pem", "--key", "{lab}/server.key"), "cannot read"),
        (("serve", "--cert", "{lab}/server.pem", "--key", "{lab}/attacker.key"), "does not fit"),
        (("serve", "--cert", "{lab}/server.pem", "--key", "{lab}/ca.pem"), "not a PEM file of"),
        (("serve", "--cert", "{lab}/server.pem"), "--cert and --key go together"),
        (("call", "--policy", "ca-file", "--target", "localhost:1"), "needs --ca FILE"),
        (("call", "--policy", "trusting", "--target", "localhost:1"), "trusting"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    lab: Path, arguments: tuple[str, ...], said: str
) -> None:
    filled = [word.replace("{lab}", str(lab)) for word in arguments]
    if "--listen" not in filled and filled[0] != "call":
        filled += ["--listen", "127.0.0.1:0"]
    assert said in refused(mitm_demo(*filled))


def test_the_server_stops_cleanly_when_it_is_told_to() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        with serving() as (process, _):
            process.send_signal(number)
            _, err = process.communicate(timeout=30)
        assert process.returncode == 0
        assert err == ""
