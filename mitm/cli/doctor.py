"""`mitm-demo doctor`: what is installed, what is missing, and what that would enable."""

import platform
import shutil
import ssl
from importlib.metadata import PackageNotFoundError, version

import click
from rich.table import Table
from rich.text import Text

from mitm.cli import report
from mitm.lab import clients, load_client

_PACKAGES = {
    "grpcio": "server and Python client",
    "cryptography": "forging certificates",
    "protobuf": "showing messages as JSON",
    "hpack": "reading headers",
    "uvloop": "a faster interceptor; it works without",
}
_PROGRAMS = {
    "openssl": "looking at certificates by hand",
    "tshark": "looking at captures by hand; Wireshark does as well",
    "h2load": "make bench (Debian: nghttp2-client)",
    "nghttpd": "make bench (Debian: nghttp2-server)",
    "nghttpx": "make bench (Debian: nghttp2-proxy)",
    "ip": "three hosts in network namespaces (Debian: iproute2)",
    "iptables": "proxy --mode transparent (Debian: iptables)",
}
_OPTIONAL = {"uvloop"}


@click.command()
def doctor() -> int:
    """Tell what is installed, what is missing and what it would enable.

    \b
    mitm-demo doctor

    Exit code: 1 if something is missing that every scenario needs.
    """
    table = Table("what", "found", "for")
    table.add_row("Python", platform.python_version(), "everything")
    table.add_row("TLS library", ssl.OPENSSL_VERSION, "the interceptor")
    broken = False
    for name, purpose in _PACKAGES.items():
        try:
            found = Text(version(name))
        except PackageNotFoundError:
            found = Text("missing", style="red")
            broken = broken or name not in _OPTIONAL
        table.add_row(name, found, purpose)
    programs = dict(_PROGRAMS)
    for client in map(load_client, clients()):
        programs |= dict.fromkeys(client.requires, f"the client {client.name}")
    for name, purpose in programs.items():
        path = shutil.which(name)
        table.add_row(name, Text(path) if path else Text("missing", style="yellow"), purpose)
    report.console().print(table)
    return 1 if broken else 0
