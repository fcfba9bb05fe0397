"""Audits of clients in several stacks, programs that verify as their stack does."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import peers
from mitm import audit, content
from mitm.errors import UserError

_CLIENTS = Path(__file__).parent / "clients"

# One certificate of so many: a JVM takes a second for each.
_SHARE = 6

_GRPCIO = """
import os, grpc
with open(os.environ["MITM_CA"], "rb") as ca:
    credentials = grpc.ssl_channel_credentials(ca.read())
with grpc.secure_channel(os.environ["MITM_TARGET"], credentials) as channel:
    channel.unary_unary("/users.v1.UserService/GetUser")(b"", timeout=10)
"""

# What a JVM of a second's life is best started with.
_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class Stack(NamedTuple):
    """The audit of a client in a stack.

    Attributes:
        name: of the stack.
        certificates: how many were tried.
        seconds: of wall time, in all.
        cpu_ms: of the process that audits, for each certificate.
        accepted: how many forged ones the client accepted.
        absent: why it was not audited; "" if it was.
    """

    name: str
    certificates: int = 0
    seconds: float = 0.0
    cpu_ms: float = 0.0
    accepted: int = 0
    absent: str = ""


def measure(share: int = _SHARE) -> list[Stack]:
    """Audit a client in each stack that is here.

    Args:
        share: one certificate of so many is tried.
    """
    return [_audited(name, command, share) for name, command in _COMMANDS.items()]


def _audited(name: str, command: Callable[[], list[str]], share: int) -> Stack:
    only = sorted(content.markdown_files(content.CERTS))[::share]
    jobs = len(os.sched_getaffinity(0))
    try:
        client = command()
        began, before = time.monotonic(), time.process_time()
        report = audit.run(client, only=only, jobs=jobs)
        seconds, cpu = time.monotonic() - began, time.process_time() - before
    except UserError as error:
        return Stack(name, absent=str(error))
    if not report.conclusive:
        return Stack(name, absent="whose client did not get through with the genuine certificate")
    count = len(report.findings)
    print(f"audit of {name}: {seconds:.1f} s for {count} certificates", file=sys.stderr, flush=True)
    return Stack(name, count, seconds, 1000 * cpu / count, report.count("vulnerable"))


def _node() -> list[str]:
    return [_tool("node", "nodejs"), str(_CLIENTS / "node.js"), "{ca}", "{target}"]


def _java() -> list[str]:
    java, javac = _tool("java", "default-jdk"), _tool("javac", "default-jdk")
    classes = peers.cache() / "classes"
    done = subprocess.run(
        [javac, "-d", str(classes), str(_CLIENTS / "Client.java")], capture_output=True, text=True
    )
    if done.returncode:
        raise UserError("whose client could not be compiled")
    return [java, *_JVM, "-cp", str(classes), "Client", "{ca}", "{target}"]


def _tool(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise UserError(f"which is not installed: apt install {package}")
    return path


_COMMANDS: dict[str, Callable[[], list[str]]] = {
    "Python, grpcio": lambda: [sys.executable, "-c", _GRPCIO],
    "Go, net/http": lambda: [peers.built(_CLIENTS / "go.go", "go-client"), "{ca}", "{target}"],
    "Node.js, http2": _node,
    "Java, HttpClient": _java,
}


def lines(stacks: Sequence[Stack]) -> list[str]:
    """The lines of the page, in Markdown."""
    rows = [
        f"| {each.name} | {each.certificates} | {each.seconds:.1f} "
        f"| {1000 * each.seconds / each.certificates:,.0f} | {each.cpu_ms:.1f} | {each.accepted} |"
        for each in stacks
        if not each.absent
    ]
    return [
        "A client of each stack, started anew for each certificate. *CPU* is that of the process",
        "that audits: the client's own is not in it.",
        "",
        "| client | certificates | s | ms for each | CPU ms for each | accepted |",
        "| --- | --- | --- | --- | --- | --- |",
        *rows,
        *(
            line
            for each in stacks
            if each.absent
            for line in ("", f"Left out: {each.name}, {each.absent}.")
        ),
    ]
