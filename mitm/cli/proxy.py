"""`mitm-demo proxy`: the interceptor alone, until Ctrl-C."""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import click

from mitm import content, pki
from mitm.address import LOCALHOST, Address, guard, is_ip, normal, parse
from mitm.cli import completion
from mitm.cli.decoding import Descriptors, decoding_options
from mitm.cli.identity import client_certificate_options, own_identity
from mitm.cli.live import Live, quiet_option, verbose_option
from mitm.cli.loop import in_loop
from mitm.cli.modes import Position, allow_host_option, mode_options, position
from mitm.cli.recording import Recording, recording_options
from mitm.cli.signing import authority_options, own_authority
from mitm.cli.streams import tell
from mitm.errors import UserError
from mitm.events import Event
from mitm.messages import Schema
from mitm.messages.rules import Rules
from mitm.proxy import Interceptor, Mode
from mitm.tls import Hello

# Chains that are kept for names that clients have for the hosts under test: making one takes some
# milliseconds, and the names are the clients' to choose.
MAX_CALLED = 64

_FILE = click.Path(path_type=Path, dir_okay=False)

# What files of certificates are called.
_CERTIFICATE_FILES = {".pem", ".crt", ".cer", ".der", ".p12", ".pfx"}


@click.command()
@click.option("--listen", default="127.0.0.1:50052", show_default=True, metavar="HOST:PORT")
@mode_options
@click.option(
    "--cert",
    metavar="NAME|FILE",
    help="A certificate of the catalogue, a recipe or a PEM chain of your own.  [default: "
    "attacker-ca; with --authority: genuine]",
    shell_complete=completion.certificate_names,
)
@click.option("--key", type=_FILE, help="The key to a PEM chain of your own.")
@authority_options
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
@client_certificate_options
@click.option(
    "--ask-client",
    is_flag=True,
    help="Ask clients for a certificate, whether the server does or not.",
)
@verbose_option
@quiet_option
@decoding_options
@recording_options
@allow_host_option
def proxy(
    listen: str,
    mode: Mode,
    intercept: tuple[str, ...],
    upstream: str | None,
    upstream_tls: bool | None,
    cert: str | None,
    key: Path | None,
    authority: Path | None,
    authority_key: Path | None,
    rewrites: tuple[str, ...],
    impersonate: bool,
    client_cert: Path | None,
    client_key: Path | None,
    ask_client: bool,
    verbose: bool,
    quiet: bool,
    events: Path | None,
    pcap: Path | None,
    keylog: Path | None,
    allow_host: tuple[str, ...],
    **descriptors: Any,
) -> None:
    """Intercept between any client and its server, and log what is read, until Ctrl-C.

    Each connection gets a verdict when it ends.

    \b
    mitm-demo proxy
    mitm-demo proxy --quiet
    mitm-demo proxy --upstream localhost:50051 --cert self-signed
    mitm-demo proxy --cert lab/attacker.pem --key lab/attacker.key
    mitm-demo proxy --authority ca.pem --authority-key ca.key --cert expired
    mitm-demo proxy --pcap calls.pcapng --keylog calls.keys
    mitm-demo proxy --rewrite users.v1.User.name=Mallory
    mitm-demo proxy --rewrite metadata:x-role=admin --rewrite "status=NOT_FOUND:no such user"
    mitm-demo proxy --impersonate --rewrite users.v1.User.name=Mallory
    mitm-demo proxy --client-cert stolen.pem --client-key stolen.key
    mitm-demo proxy --reflection
    mitm-demo proxy --proto shop.proto --proto-path protos
    mitm-demo proxy --mode connect --intercept localhost
    mitm-demo proxy --mode transparent --intercept api.example --allow-host 192.0.2.7
    """
    if verbose and quiet:
        raise UserError("--verbose shows more, and --quiet less: give one of them")
    where = position(mode, upstream, intercept, allow_host)
    here = guard(parse(listen), allow_host)
    if impersonate and mode == "transparent":
        raise UserError(
            "--impersonate is not for --mode transparent: there the server is dialled before it is "
            "known whether it is under test"
        )
    if impersonate and upstream_tls is not None:
        raise UserError(
            "--impersonate dials no server: leave out --upstream-tls, --upstream-plaintext"
        )
    identity = own_identity(client_cert, client_key)
    if impersonate and identity:
        raise UserError("--impersonate dials no server: leave out --client-cert")
    if upstream_tls is False and identity:
        raise UserError("--upstream-plaintext asks for no certificate: leave out --client-cert")
    if key and (authority or authority_key):
        raise UserError("--authority signs what is made here: with --key there is nothing to sign")
    cert = cert or ("genuine" if authority else "attacker-ca")
    choose = _choice(cert, key, where, (authority, authority_key))
    present = partial(pki.load_chain, chain=identity) if identity else None
    schema = Descriptors(**descriptors).schema(where.upstream, present)
    rules = Rules(rewrites, schema)
    attack = Attack(rules, impersonate, upstream_tls, identity, ask_client or None)
    accepted = not key and pki.load_recipe(cert).expect == "accept"
    with (
        Recording(events, pcap, keylog) as recording,
        Live(
            verbose=verbose,
            quiet=quiet,
            recorded=events is not None,
            accepted=lambda certificate: accepted,
        ) as live,
    ):
        _intercept(here, where, cert, choose, schema, attack, recording, live)


class Attack(NamedTuple):
    """What is done beyond watching, and otherwise than the client does it."""

    rules: Rules
    impersonate: bool
    upstream_tls: bool | None
    identity: pki.Chain | None
    ask_client: bool | None


def _choice(
    cert: str, key: Path | None, where: Position, authority: tuple[Path | None, Path | None]
) -> Callable[[Hello], pki.Presentation]:
    """The chains to present, by name: made from a recipe; or the one read from files."""
    if key:
        _must_be_a_file(cert)
        own = pki.chain_from_files(Path(cert), key)
        return _always(_presented(cert, lambda: pki.Presentation(own)))
    _must_be_a_recipe(cert)
    recipe = pki.load_recipe(cert)
    names = where.intercept or _names_of_reverse(where)
    lab = own_authority(*authority, names, signs=recipe.needs_lab_ca)
    if recipe.needs_lab_ca and not lab:
        raise UserError(
            f"certificate {cert!r} is signed by the CA that the client trusts, and this command "
            f"has none: write the files with 'mitm-demo certs --only {cert} lab', then use --cert "
            "and --key; or give it your own with --authority"
        )
    if where.intercept:
        return _Forged(cert, recipe, where.intercept, lab)
    authorities = pki.Authorities(names, lab)
    return _always(_presented(cert, lambda: pki.present(recipe, names[0], authorities)))


class _Forged:
    """The chains of a recipe, one for each name under test.

    A host that is under test by its address may be called by a name, which its client expects in
    the certificate: for such a name a chain is made when it is first asked for.
    """

    def __init__(
        self, cert: str, recipe: pki.Recipe, names: Sequence[str], lab: pki.Authority | None
    ) -> None:
        self._recipe = recipe
        self._names = names
        self._lab = lab
        authorities = pki.Authorities(names, lab)
        self._presented = {
            name: _presented(cert, partial(pki.present, recipe, name, authorities))
            for name in names
        }
        self._called: dict[str, pki.Presentation] = {}

    def __call__(self, hello: Hello) -> pki.Presentation:
        name = normal(hello.server_name or "")
        if name in self._presented:
            return self._presented[name]
        if self._lab:
            # Its owner has been told for which names it signs.
            return self._presented[self._names[0]]
        if name not in self._called:
            if len(self._called) >= MAX_CALLED:
                self._called.clear()
            # Constrained to the names under test, of which this is one by now.
            authorities = pki.Authorities([*self._names, name])
            self._called[name] = pki.present(self._recipe, name, authorities)
        return self._called[name]


def _must_be_a_file(cert: str) -> None:
    if cert in content.markdown_files(content.CERTS) and not Path(cert).exists():
        raise UserError(
            f"--key is for a chain of your own: {cert!r} is a certificate of the catalogue, which "
            "has its own key; name your file with --cert"
        )


def _must_be_a_recipe(cert: str) -> None:
    """See that a file of certificates is not taken for one.

    Raises:
        UserError: it is one, or would be one by its name.
    """
    path = Path(cert)
    recipe = cert in content.markdown_files(content.CERTS) or path.suffix == ".md"
    if recipe or not (path.is_file() or path.suffix.lower() in _CERTIFICATE_FILES):
        return
    # A recipe may be called anything, but it begins with a fence.
    if path.is_file() and re.match(rb"(\xef\xbb\xbf)?---\s*\n", path.read_bytes()):
        return
    pki.certificates_from_file(path)
    raise UserError(f"--cert {cert} is a file of certificates: name the key to it with --key")


def _presented(cert: str, present: Callable[[], pki.Presentation]) -> pki.Presentation:
    try:
        return present()
    except pki.Unsupported as error:
        raise UserError(f"certificate {cert!r} cannot be presented here: {error}") from None


def _always(presented: pki.Presentation) -> Callable[[Hello], pki.Presentation]:
    return lambda hello: presented


def _names_of_reverse(where: Position) -> list[str]:
    """What clients may know the server as that dial this machine instead of it."""
    assert where.upstream
    host = where.upstream.host
    names = [host, *(name for name in (LOCALHOST, "127.0.0.1", "::1") if name != host)]
    if is_ip(host):
        names.remove(LOCALHOST)
        names.insert(0, LOCALHOST)
    return names


def _intercept(
    listen: Address,
    where: Position,
    cert: str,
    choose: Callable[[Hello], pki.Presentation],
    schema: Schema,
    attack: Attack,
    recording: Recording,
    live: Live,
) -> None:
    def on_event(event: Event) -> None:
        recording(event)
        live(event)

    interceptor = Interceptor(
        listen=listen,
        upstream=where.upstream,
        upstream_tls=attack.upstream_tls,
        choose=choose,
        schema=schema,
        on_event=on_event,
        wanted=recording.wanted | live.wanted,
        tap=recording.tap,
        mode=where.mode,
        intercept=where.intercept,
        allow_hosts=where.allowed,
        rules=attack.rules,
        impersonate=attack.impersonate,
        client_certificate=attack.identity,
        ask_client=attack.ask_client,
        on_loss=tell,
    )

    async def go_on() -> None:
        async with interceptor:
            how = ", answering in its place" if attack.impersonate else ""
            live.say(
                f"listening on {interceptor.address}, presenting {cert}, {where}{how}; "
                "Ctrl-C ends it"
            )
            await asyncio.Event().wait()

    in_loop(go_on())
