"""`mitm-demo doctor`: what is installed, what is missing or in the way, and what comes of it."""

import os
import platform
import shutil
import ssl
from importlib.metadata import PackageNotFoundError, packages_distributions, version

import click
from rich.text import Text

from mitm.cli import report
from mitm.cli.loop import in_loop
from mitm.lab.clients import all_clients
from mitm.lab.tools import tools_of
from mitm.masking import plain
from mitm.surroundings import proxies

_NAME = "mitm-demo"

_NEEDED = {
    "grpcio": "server and Python client",
    "protobuf": "showing messages as JSON",
    "cryptography": "forging certificates",
    "hpack": "reading headers",
    "h2": "changing what passes",
}
_OPTIONAL = {
    "uvloop": "a faster interceptor",
    "grpcio-reflection": "serve: server reflection",
    "grpcio-health-checking": "serve: health checks",
    "grpcio-tools": "proxy --proto",
    "acme": "the scenarios acme and acme-hijack (pip install 'mitm-demo[acme]')",
    "pytest": "mitm_audit and forged_server",
}
_PROGRAMS = {
    "openssl": "looking at certificates by hand",
    "tshark": "looking at captures by hand",
    "h2load": "make bench (apt: nghttp2-client)",
    "nghttpd": "make bench (apt: nghttp2-server)",
    "nghttpx": "make bench (apt: nghttp2-proxy)",
    "haproxy": "make bench (apt: haproxy)",
    "pebble": "the scenarios acme and acme-hijack (apt: pebble)",
    "ip": "scripts/three-hosts.sh",
    "iptables": "transparent mode (apt: iptables)",
}


@click.command()
def doctor() -> int:
    """Tell what is installed, what is missing or in the way, and what comes of it.

    \b
    mitm-demo doctor

    Exit code: 1 if something is missing that every scenario needs, or another distribution is
    imported by the same name.
    """
    _tell("Python", platform.python_version(), "everything")
    _tell("TLS library", " ".join(ssl.OPENSSL_VERSION.split()[:2]), "the interceptor")
    found = [_package(name, purpose, "harm") for name, purpose in _NEEDED.items()]
    for name, purpose in _OPTIONAL.items():
        _package(name, purpose, "caution")
    for name, purpose in _PROGRAMS.items():
        path = shutil.which(name)
        _tell(name, path or "missing", purpose, "" if path else "caution")
    for client in all_clients():
        for tool in in_loop(tools_of(client)):
            purpose = f"the client {client.name}" + (f": {tool.missing}" if tool.missing else "")
            style = "caution" if tool.missing else ""
            _tell(tool.needed.program, tool.found or "missing", purpose, style)
    if named := proxies(os.environ):
        _tell("proxy", ", ".join(named), "clients under test dial past it", "caution")
    others = sorted({*packages_distributions().get("mitm", ())} - {_NAME})
    for other in others:
        beside = f"import mitm is its name, too: pip uninstall {other}, or {_NAME} elsewhere"
        _tell(other, version(other), beside, "harm")
    return 0 if all(found) and not others else 1


def _package(name: str, purpose: str, if_missing: str) -> bool:
    try:
        _tell(name, version(name), purpose)
    except PackageNotFoundError:
        _tell(name, "missing", purpose, if_missing)
        return False
    return True


def _tell(what: str, found: str, purpose: str, style: str = "") -> None:
    """One line each, however long: a terminal wraps what it must."""
    line = Text.assemble(f"{plain(what):<22}  ", (f"{plain(found):<18}", style), f"  {purpose}")
    report.console().print(line, soft_wrap=True)
