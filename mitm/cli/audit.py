"""`mitm-demo audit`: every forged certificate, tried on a client of the user's own."""

import os
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import click

from mitm.address import LOCALHOST, guard, must_be_a_name, parse
from mitm.audit import (
    Command,
    Finding,
    Report,
    Subject,
    Suite,
    catalogue,
    forge_suite,
    run_audit,
    select,
    stand_in,
    status_code,
    with_own,
    with_twins,
)
from mitm.audit.case import Tls, names_under_test
from mitm.audit.command import trust_setting
from mitm.audit.limbo import load_limbo
from mitm.audit.program import program_of
from mitm.audit.reports import source_of_command
from mitm.audit.session import INTERRUPTED, run_session
from mitm.audit.setting import LONG_NAME, NAME_BEHIND_PROXY, ROOTS, WAYS, Roots, Setting, Way
from mitm.audit.slots import WAITING, cores
from mitm.audit.stack import stack_of_command
from mitm.audit.trial import RunClient
from mitm.audit.upstream import own_server, plaintext_server
from mitm.cli import completion
from mitm.cli import session as sessions
from mitm.cli.building import made_ready
from mitm.cli.client_options import clients_option
from mitm.cli.identity import client_certificate_options, own_identity
from mitm.cli.loop import in_loop
from mitm.cli.progress import progress
from mitm.cli.recording import Recording, capture_options
from mitm.cli.report_files import Reporting, report_options
from mitm.cli.seconds import Seconds
from mitm.cli.shard import shard_option
from mitm.cli.signing import authority_options, own_authority
from mitm.cli.words import words_in
from mitm.errors import UserError
from mitm.lab.batch import BatchClient
from mitm.lab.clients import load_client
from mitm.proxy.tap import Tap

_FILE = click.Path(path_type=Path, dir_okay=False)

# For one run of a client.
_SECONDS = 10.0


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument(
    "command",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="-- COMMAND...",
    shell_complete=completion.files,
)
@click.option(
    "--client",
    metavar="NAME",
    help="A client of the lab, or its folder, in place of a command.",
    shell_complete=completion.client_names,
)
@clients_option
@click.option(
    "--policy",
    metavar="POLICY",
    help="How that client is to decide whom to trust.",
    shell_complete=completion.policy_names,
)
@click.option(
    "--session",
    is_flag=True,
    help="Run COMMAND once, your tests: they find all cases by MITM_SESSION (docs/sessions.md).",
)
@click.option(
    "--name",
    metavar="NAME",
    help=f"The name that the client expects.  [{LOCALHOST}, or a long one if it is told {{name}}]",
)
@click.option(
    "--roots",
    type=click.Choice(ROOTS),
    default="given",
    show_default=True,
    help="Where its CA stands: in {ca}, or among those that its machine trusts (system).",
)
@click.option(
    "--mode",
    type=click.Choice(WAYS),
    default="reverse",
    show_default=True,
    help="How it comes: it dials {target}, or asks a proxy for that by CONNECT (connect).",
)
@click.option(
    "--listen", metavar="HOST:PORT", help="Where it dials, if that is compiled in.  [any port]"
)
@click.option("--respond", metavar="STATUS", help="The gRPC status that calls are answered with.")
@click.option("--upstream", metavar="HOST:PORT", help="Your own server, to answer the calls.")
@click.option(
    "--upstream-plaintext", is_flag=True, help="That server speaks no TLS; the client still does."
)
@click.option("--ca", type=_FILE, help="The CA that signed its certificate, PEM.  [the system's]")
@client_certificate_options
@click.option(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A host that is not this machine, but is yours to test.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="WORD",
    help="Certificates to try, by name, severity (must), weakness (CWE-297) or file (./mine.md).",
    shell_complete=completion.words,
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="WORD",
    help="Certificates to leave out.",
    shell_complete=completion.words,
)
@click.option(
    "--tls",
    type=click.Choice(["1.2"]),
    help="Try every certificate once more over this version, as expired:tls-1.2.",
)
@click.option(
    "--limbo", type=_FILE, help="Try test cases of x509-limbo's in their place: docs/limbo.md."
)
@shard_option
@authority_options
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many runs of the client at once.  [the cores]",
)
@click.option(
    "--timeout",
    type=Seconds(),
    metavar="SECONDS",
    help="Time that the client is given for each run.  [10; none with --session]",
)
@report_options
@capture_options
def audit(
    command: tuple[str, ...],
    client: str | None,
    clients: tuple[Path, ...],
    policy: str | None,
    session: bool,
    name: str | None,
    roots: Roots,
    mode: Way,
    listen: str | None,
    respond: str | None,
    upstream: str | None,
    upstream_plaintext: bool,
    ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    allow_host: tuple[str, ...],
    only: tuple[str, ...],
    exclude: tuple[str, ...],
    tls: Tls | None,
    limbo: Path | None,
    shard: tuple[int, int] | None,
    authority: Path | None,
    authority_key: Path | None,
    jobs: int | None,
    timeout: float | None,
    pcap: Path | None,
    keylog: Path | None,
    reporting: Reporting,
) -> int:
    """Try every forged certificate on your own client, in whatever language it is written.

    \b
    mitm-demo audit -- ./my-client --server {target} --ca {ca}
    mitm-demo audit -- ./my-client               which reads MITM_TARGET and MITM_CA
    mitm-demo audit -- curl --cacert {ca} https://{target}/
    mitm-demo audit --only CWE-297,self-signed -- ./my-client {target} {ca}
    mitm-demo audit --respond UNAUTHENTICATED -- ./my-client {target} {ca}
    mitm-demo audit --upstream localhost:50051 --ca my-ca.pem -- ./my-client {target} {ca}
    mitm-demo audit --roots system -- ./my-client {target}    which takes no CA
    mitm-demo audit --mode connect -- ./my-client {target} {ca}
    mitm-demo audit --listen localhost:50051 -- ./my-client {ca}
    mitm-demo audit --junit audit.xml --sarif audit.sarif -- ./my-client {target} {ca}
    mitm-demo audit --json -- ./my-client {target} {ca} > known.json
    mitm-demo audit --baseline known.json -- ./my-client {target} {ca}
    mitm-demo audit --shard 1/3 --json -- ./my-client {target} {ca} > 1.json
    mitm-demo audit --only expired --pcap expired.pcapng -- ./my-client {target} {ca}
    mitm-demo audit --authority ca.pem --authority-key ca.key -- ./my-client {target}
    mitm-demo audit --client python --policy ca-file
    mitm-demo audit --session -- go test ./...

    The client is run once for each certificate; it should connect, make a call, and end. In its
    command these are filled in, and stand in its environment as MITM_TARGET and so on:

    \b
    {target}          where to connect, host:port; {host} and {port} are its parts
    {ca}              file of the CA to trust, PEM
    {name}            the name to expect in the certificate, if it is not {host}
    {url_name}        the same for a URL: an IPv6 address in brackets
    {pin}             file of the genuine certificate, for a client that trusts that alone

    Exit code: 0 nothing found, 1 a forged certificate was accepted, 2 wrong input, 3 inconclusive:
    the client did not get through with the genuine certificate, say.
    """
    if session:
        unfit = {"--client": client, "--jobs": jobs, "--listen": listen, "--limbo": limbo}
        unfit |= {"--mode connect": mode == "connect", "--roots system": roots == "system"}
        sessions.must_fit(command, [option for option, given in unfit.items() if given])
    subject, run_client, words = _client(command, client, clients, policy, timeout or _SECONDS)
    if ca and not upstream:
        raise UserError(
            "--ca is for --upstream; the client's own options stand behind its command: "
            "mitm-demo audit -- ./my-client --ca {ca}"
        )
    if upstream_plaintext and not upstream:
        raise UserError("--upstream-plaintext is for --upstream: name your server with it")
    if upstream_plaintext and ca:
        raise UserError("--upstream-plaintext shows no certificate: leave out --ca")
    identity = own_identity(client_cert, client_key)
    if identity and not upstream:
        raise UserError("--client-cert is for --upstream: name your server with it")
    if upstream_plaintext and identity:
        raise UserError("--upstream-plaintext asks for no certificate: leave out --client-cert")
    if upstream and respond:
        raise UserError("--respond is for the stand-in server: --upstream answers for itself")
    if limbo and name:
        raise UserError("--name is not for --limbo, whose test cases have names of their own")
    if limbo and tls:
        raise UserError("--tls is for the catalogue: leave it out with --limbo")
    if limbo and (authority or authority_key):
        raise UserError("--authority is not for --limbo, whose test cases have CAs of their own")
    if limbo and mode == "connect":
        raise UserError("--mode connect is not for --limbo, whose names are other people's")
    if listen and (jobs or 1) > 1:
        raise UserError(
            "--listen is one port, on which one run follows the other: leave out --jobs"
        )
    here = guard(parse(listen), allow_host) if listen else None
    setting = Setting(roots, mode, here)
    reporting.prepare({"--pcap": pcap, "--keylog": keylog})
    under_test = name or (LOCALHOST if session else _default_name(run_client, mode))
    suite = _suite(
        limbo, under_test, tls, words_in(only), words_in(exclude), (authority, authority_key)
    )
    if not session:
        suite = suite.unfaulted(_untold(run_client, compiled_in=bool(authority)))
        suite = suite.unplanted(_trust_setting(command, policy, suite if authority else None))
        told_host = run_client.told_host if isinstance(run_client, Command) else True
        suite = setting.fitted(suite, told_host=told_host)
    if shard:
        suite = suite.shard(*shard)

    async def play(on_finding: Callable[[Finding], None], tap: Tap | None) -> Report:
        in_session = partial(
            run_session,
            suite,
            command,
            subject=subject,
            fails=reporting.counts,
            tap=tap,
            time_limit=timeout,
            # So that JSON is alone on standard output.
            stdout=2 if reporting.in_json else 1,
        )
        audit_by = (
            in_session
            if session
            else partial(
                run_audit,
                suite,
                run_client,
                subject=subject,
                jobs=jobs or (1 if here else cores()),
                on_finding=on_finding,
                tap=tap,
                setting=setting,
                waiting=0 if jobs or here else WAITING,
            )
        )
        async with AsyncExitStack() as opened:
            if isinstance(run_client, BatchClient):
                await opened.enter_async_context(run_client)
            if upstream:
                address = guard(parse(upstream), allow_host)
                if upstream_plaintext:
                    return await audit_by(await plaintext_server(address))
                return await audit_by(await own_server(address, ca, name, identity))
            code = status_code(respond or "OK")
            return await audit_by(await opened.enter_async_context(stand_in(code)))

    with (
        Recording(None, pcap, keylog) as recording,
        progress("certificates", 0 if session else len(suite.cases) + 2) as on_finding,
    ):
        audited = in_loop(play(on_finding, recording.tap))
    code = recording.exit_code(reporting.tell(audited, source_of_command(words)))
    if audited.problem == INTERRUPTED:
        raise KeyboardInterrupt
    return code


def _client(
    command: Sequence[str],
    name: str | None,
    folders: Sequence[Path],
    policy: str | None,
    timeout: float,
) -> tuple[Subject, RunClient, Sequence[str]]:
    """Who is audited, how it is run, and by which words it is started."""
    if name is None:
        if policy is not None:
            raise UserError("--policy is for a client of the lab: name it with --client")
        if not command:
            raise UserError(
                "name the client's command: mitm-demo audit -- ./my-client {target} {ca}"
            )
        return (
            Subject(program_of(command).name, stack=stack_of_command(command)),
            Command(command, timeout),
            command,
        )
    if command:
        raise UserError("--client takes no command: the client's folder says how it is started")
    described = load_client(name, *folders)
    if policy is None:
        raise UserError(f"name a policy with --policy: {', '.join(described.policies)}")
    described.must_know(policy)
    audited = BatchClient(made_ready(described), policy, timeout)
    return audited.subject, audited, described.command


def _default_name(client: RunClient, mode: Way) -> str:
    """The name under test if the user gives none: a long one, if the client is told it."""
    if mode == "connect":
        return NAME_BEHIND_PROXY
    told = not isinstance(client, Command) or client.told_name
    return LONG_NAME if told else LOCALHOST


def _untold(client: RunClient, *, compiled_in: bool) -> str:
    """Why nothing can be wrong with what tells a client whom to trust; "" if something can.

    Args:
        compiled_in: whether it may know its CA without being told.
    """
    if isinstance(client, BatchClient) and not client.told_trust:
        return "by its policy it is not given a CA"
    # What its environment says it may read, with no word of it in the command.
    if isinstance(client, Command) and compiled_in and not client.told_trust:
        return "it knows its CA by itself (--authority): the command has neither {ca} nor {pin}"
    return ""


def _trust_setting(command: Sequence[str], policy: str | None, known: Suite | None) -> str:
    """Why a client may trust what its machine trusts, "" if it was not told to.

    Args:
        known: the suite, if its CA is one that others may know.
    """
    if policy == "system-roots":
        return "by its policy it trusts what its machine trusts"
    chain = known.control.chain if known else None
    return trust_setting(command, os.environ, chain.anchor_pem if chain else b"")


def _suite(
    limbo: Path | None,
    name: str,
    tls: Tls | None,
    only: Sequence[str],
    exclude: Sequence[str],
    authority: tuple[Path | None, Path | None],
) -> Suite:
    if limbo:
        suite = load_limbo(limbo)
        return Suite(suite.control, tuple(select(suite.cases, only, exclude)))
    known = with_twins(with_own(catalogue(), [*only, *exclude]), tls)
    must_be_a_name(name)
    lab = own_authority(*authority, names_under_test(name))
    return forge_suite(select(known, only, exclude), name, lab)
