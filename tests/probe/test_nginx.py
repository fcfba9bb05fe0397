"""nginx in front of a server, configured well and badly."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mitm import content
from tests.probe.lab import SERVER, Lab, finding, holes, probed
from tests.probe.test_sound import own_serving
from tests.programs import free_port

pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not here: apt install nginx-light"
)

CONFIGURATION = """
daemon off; master_process off; pid {here}/pid; error_log {here}/log; events {{}}
http {{
  access_log off;
  client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3;
  uwsgi_temp_path {here}/4; scgi_temp_path {here}/5;
  ssl_certificate {lab}/server.pem; ssl_certificate_key {lab}/server.key;
  {others}
  server {{
    listen 127.0.0.1:{port} ssl http2; server_name {name};
    ssl_client_certificate {lab}/clients.pem; ssl_verify_client {verify};
    location / {{ grpc_pass grpc://127.0.0.1:{behind}; }}
  }}
}}
"""

# A name that needs no certificate, and leads to the same service.
OPEN = """
  server {{
    listen 127.0.0.1:{port} ssl http2 default_server; server_name open.example;
    location / {{ grpc_pass grpc://127.0.0.1:{behind}; }}
  }}
"""


@contextmanager
def nginx(lab: Lab, here: Path, verify: str, others: str = "") -> Iterator[int]:
    port = int(free_port())
    with own_serving(content.SERVER) as behind:
        told = {"port": port, "behind": behind}
        text = CONFIGURATION.format(
            here=here,
            lab=lab.folder,
            name=SERVER,
            verify=verify,
            others=others.format(**told),
            **told,
        )
        (here / "nginx.conf").write_text(text)
        command = [
            "nginx",
            "-c",
            str(here / "nginx.conf"),
            "-p",
            str(here),
            "-e",
            str(here / "log"),
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            try:
                listens(process, port)
                yield port
            finally:
                process.kill()


def listens(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until it does: it says nothing when it is ready."""
    while process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return
    assert process.stderr
    pytest.fail(f"nginx does not run: {process.stderr.read().decode()}")


@pytest.mark.parametrize(
    ("verify", "others", "expected"),
    [
        ("on", "", set()),
        ("optional", "", {"no-certificate"}),
        # Who has made a CA is let in as well; dates and purposes are still looked at.
        (
            "optional_no_ca",
            "",
            {
                *("no-certificate", "client-self-signed", "client-unknown-ca"),
                *("client-unknown-ca-named", "client-good-appended", "client-leaf-as-ca"),
            },
        ),
        # The certificate is asked for by one name, and the request goes by another.
        ("on", OPEN, {"other-authority"}),
    ],
)
def test_nginx(verify: str, others: str, expected: set[str], lab: Lab, tmp_path: Path) -> None:
    with nginx(lab, tmp_path, verify, others) as port:
        report = probed(lab, port)
    assert holes(report) == expected | {"wrong-identity"}
    # It completes the handshake with everybody, and says what it thinks of them in HTTP.
    if "no-certificate" not in expected:
        assert "answered HTTP 400" in finding(report, "no-certificate").reason
