"""The parts by themselves, for a live class: `certs`, `serve`, `proxy` and `call`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import click

from mitm import content, pki
from mitm.address import Address, guard, is_ip, normal, parse
from mitm.audit.case import must_be_a_name
from mitm.capture import EventPrinter
from mitm.cli import report
from mitm.cli.decoding import Descriptors, decoding_options
from mitm.cli.modes import Position, mode_options, position
from mitm.cli.recording import Recording, recording_options
from mitm.cli.run import in_loop
from mitm.errors import UserError
from mitm.events import Event
from mitm.lab import load_client
from mitm.lab.play import NAME
from mitm.proxy import Interceptor, Mode
from mitm.tls import Hello
from mitm.wire import Schema
from mitm.wire.rewrite import Rules

_ALLOW_HOST = click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A host that is not this machine, but is yours to test. May be repeated.",
)
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--only", metavar="NAME", help="One certificate of the catalogue, or a file.")
@click.option("--name", default=NAME, show_default=True, help="The name to make them for.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def certs(directory: Path, only: str | None, name: str, force: bool) -> None:
    """Write the lab's PKI as PEM files, for use by hand.

    \b
    mitm-demo certs lab
    openssl x509 -in lab/attacker.pem -noout -text
    mitm-demo certs --only self-signed lab

    ca.pem is what clients trust; server.pem and server.key are the server's; attacker-ca.pem,
    attacker.pem and attacker.key the attacker's. All are valid for a day, and the keys of both CAs
    are gone when this ends. Nothing is installed anywhere.

    With --only, NAME.pem is the chain to present, NAME.key the key to it, and NAME.ca.pem what a
    client under test is to trust.
    """
    must_be_a_name(name)
    authorities = pki.Authorities(list(dict.fromkeys((name, NAME, "127.0.0.1", "::1"))))
    if only:
        recipe = pki.load_recipe(only)
        try:
            chain = pki.forge(recipe, recipe.dialled(name), authorities, datetime.now(UTC))
        except pki.Unsupported as error:
            raise UserError(f"certificate {only!r} cannot be made here: {error}") from None
        written = pki.write_chain(directory, chain, overwrite=force)
    else:
        written = pki.write_lab(directory, authorities, overwrite=force)
    for path in written:
        click.echo(path)


@click.command()
@click.option("--listen", default="127.0.0.1:50051", show_default=True, metavar="HOST:PORT")
@click.option("--cert", type=_FILE, help="Its certificate chain, PEM. Without it: no TLS.")
@click.option("--key", type=_FILE, help="The key to it, PEM.")
@_ALLOW_HOST
def serve(listen: str, cert: Path | None, key: Path | None, allow_host: tuple[str, ...]) -> int:
    """Start the victim server, until Ctrl-C.

    \b
    mitm-demo serve
    mitm-demo serve --cert lab/server.pem --key lab/server.key

    It prints a JSON line when it listens, and one for each call.
    """
    command = [
        sys.executable,
        str(content.SERVER),
        "--listen",
        str(guard(parse(listen), allow_host)),
    ]
    if cert:
        command += ["--cert", str(cert)]
    if key:
        command += ["--key", str(key)]
    return _hand_over(command)


@click.command()
@click.option("--target", required=True, metavar="HOST:PORT", help="What to dial.")
@click.option("--policy", required=True, metavar="POLICY", help="How to decide whom to trust.")
@click.option("--ca", type=_FILE, help="For ca-file: the CA, PEM.")
@click.option("--pin", type=_FILE, help="For pinned: the server's own certificate, PEM.")
@click.option("--server-name", metavar="NAME", help="The name to check, if not the target's.")
@click.option("--id", "id_", type=int, metavar="N", help="The user to ask for.")
@click.option("--token", help="Sent as `authorization: Bearer TOKEN`.")
@click.option("--timeout", type=float, metavar="SECONDS")
@click.option("--client", default="python", metavar="NAME", help="Client program, or its folder.")
@_ALLOW_HOST
def call(
    target: str,
    policy: str,
    client: str,
    id_: int | None,
    allow_host: tuple[str, ...],
    **options: object,
) -> int:
    """Call the server once, as a client of some policy.

    \b
    mitm-demo call --policy insecure --target localhost:50051
    mitm-demo call --policy ca-file --ca lab/ca.pem --target localhost:50052
    """
    chosen = load_client(client)
    chosen.must_know(policy)
    address = guard(parse(target), allow_host)
    command = [*chosen.command, "--target", str(address), "--policy", policy]
    for name, value in (options | {"id": id_}).items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", str(value)]
    return _hand_over(command)


@click.command()
@click.option("--listen", default="127.0.0.1:50052", show_default=True, metavar="HOST:PORT")
@mode_options
@click.option(
    "--cert",
    default="attacker-ca",
    show_default=True,
    metavar="NAME|FILE",
    help="A certificate of the catalogue, or a PEM chain of your own.",
)
@click.option("--key", type=_FILE, help="The key to a PEM chain of your own.")
@click.option(
    "--rewrite",
    "rewrites",
    multiple=True,
    metavar="WHAT=VALUE",
    help="Change what passes: a field, metadata:NAME, response-metadata:NAME, status. "
    "May be repeated.",
)
@click.option(
    "--impersonate",
    is_flag=True,
    help="Answer in the server's place, which is not dialled and need not be there.",
)
@decoding_options
@recording_options
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes to share the connections among.",
)
@_ALLOW_HOST
def proxy(
    listen: str,
    mode: Mode,
    intercept: tuple[str, ...],
    upstream: str | None,
    cert: str,
    key: Path | None,
    rewrites: tuple[str, ...],
    impersonate: bool,
    events: Path | None,
    pcap: Path | None,
    keylog: Path | None,
    workers: int,
    allow_host: tuple[str, ...],
    **descriptors: Any,
) -> None:
    """Intercept between any client and its server, and log what is read, until Ctrl-C.

    \b
    mitm-demo proxy
    mitm-demo proxy --upstream localhost:50051 --cert self-signed
    mitm-demo proxy --cert lab/attacker.pem --key lab/attacker.key
    mitm-demo proxy --pcap calls.pcapng --keylog calls.keys
    mitm-demo proxy --rewrite users.v1.User.name=Mallory
    mitm-demo proxy --rewrite metadata:x-role=admin --rewrite "status=NOT_FOUND:no such user"
    mitm-demo proxy --impersonate --rewrite users.v1.User.name=Mallory
    mitm-demo proxy --reflection
    mitm-demo proxy --proto shop.proto --proto-path protos
    mitm-demo proxy --mode connect --intercept localhost
    mitm-demo proxy --mode transparent --intercept api.example --allow-host 192.0.2.7
    mitm-demo proxy --workers 4
    """
    where = position(mode, upstream, intercept, allow_host)
    here = guard(parse(listen), allow_host)
    if impersonate and mode == "transparent":
        raise UserError(
            "--impersonate is not for --mode transparent: there the server is dialled before it is "
            "known whether it is under test"
        )
    if workers > 1 and (pcap or keylog):
        raise UserError("--pcap and --keylog are written by one process: leave out --workers")
    choose = _choice(cert, key, where)
    schema = Descriptors(**descriptors).schema(where.upstream)
    attack = Attack(Rules(rewrites, schema), impersonate)
    with Recording(events, pcap, keylog) as recording:
        _intercept(here, where, cert, choose, schema, attack, recording, workers)


class Attack(NamedTuple):
    """What is done beyond watching."""

    rules: Rules
    impersonate: bool


def _choice(cert: str, key: Path | None, where: Position) -> Callable[[Hello], pki.Chain]:
    """The chains to present, by name: made from a recipe; or the one read from files."""
    if key:
        chain = pki.chain_from_files(Path(cert), key)
        return lambda _: chain
    if Path(cert).suffix == ".pem":
        raise UserError(f"--cert {cert} is a file: name the key to it with --key")
    recipe = pki.load_recipe(cert)
    if recipe.needs_lab_ca:
        raise UserError(
            f"certificate {cert!r} is signed by the CA that the client trusts, and this command "
            "has none: write the files with 'mitm-demo certs lab', then use --cert and --key"
        )
    names = where.intercept or _names_of_reverse(where)
    authorities = pki.Authorities(names)
    chains = {}
    for name in where.intercept or names[:1]:
        try:
            chains[name] = pki.forge(recipe, name, authorities, datetime.now(UTC))
            pki.ssl_context(chains[name])
        except pki.Unsupported as error:
            raise UserError(f"certificate {cert!r} cannot be made here: {error}") from None
    if not where.intercept:
        (chain,) = chains.values()
        return lambda _: chain
    return lambda hello: chains[normal(hello.server_name or "")]


def _names_of_reverse(where: Position) -> list[str]:
    """What clients may know the server as that dial this machine instead of it."""
    assert where.upstream
    host = where.upstream.host
    names = [host, *(name for name in (NAME, "127.0.0.1", "::1") if name != host)]
    if is_ip(host):
        names.remove(NAME)
        names.insert(0, NAME)
    return names


def _intercept(
    listen: Address,
    where: Position,
    cert: str,
    choose: Callable[[Hello], pki.Chain],
    schema: Schema,
    attack: Attack,
    recording: Recording,
    workers: int,
) -> None:
    console = report.console()
    printer = EventPrinter(console, frames=True)

    def on_event(event: Event) -> None:
        recording(event)
        printer(event)

    interceptor = Interceptor(
        listen=listen,
        upstream=where.upstream,
        choose=choose,
        schema=schema,
        on_event=on_event,
        tap=recording.tap,
        mode=where.mode,
        intercept=where.intercept,
        allow_hosts=where.allowed,
        rules=attack.rules,
        impersonate=attack.impersonate,
    )

    async def go_on(wait: Callable[[], Awaitable[object]]) -> None:
        async with interceptor:
            how = ", answering in its place" if attack.impersonate else ""
            console.print(
                f"listening on {interceptor.address}, presenting {cert}, {where}{how}; "
                "Ctrl-C ends it",
                soft_wrap=True,
            )
            await wait()

    if workers == 1:
        in_loop(go_on(asyncio.Event().wait))
    else:
        _go_on_in_workers(interceptor, workers, on_event, go_on)


def _go_on_in_workers(
    interceptor: Interceptor,
    count: int,
    on_event: Callable[[Event], None],
    go_on: Callable[[Callable[[], Awaitable[object]]], Coroutine[Any, Any, None]],
) -> None:
    # Nobody else pays for what this imports.
    from mitm.proxy.workers import Workers

    workers = Workers(
        interceptor,
        count,
        on_event=on_event,
        on_loss=lambda line: click.echo(f"mitm-demo: {line}", err=True),
        run=in_loop,
    )

    async def with_them() -> None:
        async with workers:
            await go_on(workers.wait)

    in_loop(with_them())


def _hand_over(command: list[str]) -> int:
    """Run a program in this one's place: same terminal, same exit code."""
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            # Ctrl-C has reached the program as well, unless the signal was sent to this one alone.
            if process.poll() is None:
                os.kill(process.pid, signal.SIGINT)
