"""`mitm-demo probe`: the audit turned round: does a server check its clients?"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from mitm.address import guard, must_be_a_name, parse
from mitm.audit import Finding, Report, select
from mitm.audit.reports import Source
from mitm.audit.servers.credentials import Credentials, credentials_from_files
from mitm.audit.servers.judge import CONTROL
from mitm.audit.servers.probe import JOBS, run_probe
from mitm.audit.servers.target import HEALTH, Target
from mitm.audit.servers.way import with_own_ways
from mitm.cli import completion
from mitm.cli.decoding import Descriptors
from mitm.cli.loop import in_loop
from mitm.cli.modes import allow_host_option
from mitm.cli.progress import progress
from mitm.cli.report_files import Reporting, report_options
from mitm.cli.seconds import Seconds
from mitm.cli.words import words_in
from mitm.errors import UserError
from mitm.masking import plain
from mitm.messages.request import encoded

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)

# gRPC over HTTP/2: "/" Service-Name "/" {method name}
_METHOD = re.compile(r"/[\w.]+/\w+", re.ASCII)
# Names of metadata, as gRPC has them; HTTP's own are not the user's to set.
_NAME = re.compile(r"[a-z0-9_.-]+")

_SECONDS = 5.0


@click.command()
@click.argument("server", metavar="HOST:PORT")
@click.option("--client-cert", type=_FILE, required=True, help="A certificate that gets in, PEM.")
@click.option("--client-key", type=_FILE, required=True, help="The key to it, PEM.")
@click.option("--ca", type=_FILE, help="The CA of the server's certificate, PEM.  [the system's]")
@click.option(
    "--client-ca-cert",
    type=_FILE,
    help="The CA that signs clients, PEM: without its key, half of the ways are not tried.",
)
@click.option("--client-ca-key", type=_FILE, help="The key to it, PEM; it stays in memory.")
@click.option(
    "--method",
    metavar="/PKG.SERVICE/METHOD",
    default=HEALTH,
    show_default=True,
    help="What is called, with whatever certificate: take one that does no harm.",
)
@click.option("--message", metavar="JSON", help="The request, by --proto.  [an empty one]")
@click.option(
    "--proto", "protos", type=_FILE, multiple=True, help="The .proto file of that. May be repeated."
)
@click.option(
    "--proto-path",
    "proto_paths",
    type=_FOLDER,
    multiple=True,
    metavar="DIR",
    help="Where the imports of --proto start from. May be repeated.",
)
@click.option(
    "--descriptor-set",
    "descriptor_sets",
    type=_FILE,
    multiple=True,
    help="A set that protoc has written, in place of --proto. May be repeated.",
)
@click.option(
    "--metadata",
    multiple=True,
    metavar="NAME=VALUE",
    help="What else the server wants to be told, authorization=… say. May be repeated.",
)
@click.option("--server-name", metavar="NAME", help="The server's name, for SNI.  [the host]")
@allow_host_option
@click.option(
    "--only",
    multiple=True,
    metavar="WORD",
    help="Ways to try, by name, severity (must), weakness (CWE-287) or file (./mine.md).",
    shell_complete=completion.ways,
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="WORD",
    help="Ways to leave out.",
    shell_complete=completion.ways,
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=JOBS,
    show_default=True,
    metavar="N",
    help="How many clients come at once.",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="Time that the server is given for each answer.",
)
@report_options
def probe(
    server: str,
    client_cert: Path,
    client_key: Path,
    ca: Path | None,
    client_ca_cert: Path | None,
    client_ca_key: Path | None,
    method: str,
    message: str | None,
    protos: tuple[Path, ...],
    proto_paths: tuple[Path, ...],
    descriptor_sets: tuple[Path, ...],
    metadata: tuple[str, ...],
    server_name: str | None,
    allow_host: tuple[str, ...],
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    jobs: int,
    timeout: float,
    reporting: Reporting,
) -> int:
    """Try on your own server whom it lets in: clients without a certificate, or with a bad one.

    \b
    mitm-demo probe localhost:50051 --ca ca.pem --client-cert me.pem --client-key me.key
    mitm-demo probe localhost:50051 --ca ca.pem --client-cert me.pem --client-key me.key \\
        --client-ca-cert clients.pem --client-ca-key clients.key
    mitm-demo probe … --method /shop.v1.Shop/GetOrder --metadata authorization=…
    mitm-demo probe … --only CWE-287,client-expired
    mitm-demo probe … --json > known.json
    mitm-demo probe … --baseline known.json --sarif probe.sarif
    mitm-demo list ways
    mitm-demo show no-certificate

    The client of --client-cert must get in, first and last. Between that others come, some forty of
    them: who gets as far as an answer to a call, got in. What they show is made for the names in
    --client-cert, lives for a day at the most, and is gone when this ends.

    Exit code: 0 nothing found, 1 somebody got in who must not, 2 wrong input, 3 inconclusive: the
    certificate that should get in did not, say.
    """
    address = guard(parse(server), allow_host)
    must_be_a_name(server_name or address.host)
    if not _METHOD.fullmatch(method):
        raise UserError(f"--method {method}: write /package.Service/Method")
    request = b""
    if protos or descriptor_sets:
        known = Descriptors(protos, proto_paths, descriptor_sets, reflection=False).schema(None)
        request = encoded(known, method, message or "")
    elif message:
        raise UserError("--message takes the descriptors of it: add --proto or --descriptor-set")
    words = words_in(only)
    ways = select(with_own_ways([*words, *words_in(exclude)]), words, words_in(exclude))
    given = credentials_from_files(client_cert, client_key, client_ca_cert, client_ca_key)
    target = Target(
        address,
        server_name or address.host,
        server_name or str(address),
        method,
        request,
        tuple(map(_metadata, metadata)),
        _read(ca) if ca else None,
        timeout,
    )
    reporting.prepare({})
    with progress("ways", len(ways) + 2) as advance:

        def on_finding(finding: Finding) -> None:
            if finding.case is CONTROL and finding.outcome == "pass" and not told:
                # Until now nothing was signed.
                told.append(finding)
                _tell_of_the_key(given, client_ca_key)
            advance(finding)

        told: list[Finding] = []
        probed = partial(run_probe, target, given, ways, jobs=jobs, on_finding=on_finding)
        report: Report = in_loop(probed())
    return reporting.tell(report, Source(str(address)))


def _metadata(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.strip().lower()
    if not equals or not _NAME.fullmatch(name) or not value.isascii() or not value.isprintable():
        # The value may be a credential, and is not repeated.
        raise UserError("--metadata: write NAME=VALUE, with a name and a value of printable ASCII")
    return name, value


def _read(ca: Path) -> str:
    from mitm.pki import certificates_from_file, der

    return b"".join(der.pem("CERTIFICATE", each) for each in certificates_from_file(ca)).decode()


def _tell_of_the_key(given: Credentials, path: Path | None) -> None:
    """Tell the owner of a CA's key what becomes of it."""
    if given.authority and path:
        subject = plain(given.authority.certificate.subject.rfc4514_string())
        names: Sequence[str] = given.identity.under_test or [given.identity.name]
        click.echo(
            f"mitm-demo: signing clients with the key in {path} ({subject}), for "
            f"{plain(', '.join(names))} and names of nobody's; what is signed lives for a day at "
            "the most, and the key stays in memory",
            err=True,
        )
