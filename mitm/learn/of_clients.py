"""Clients graded: by what they do with a genuine certificate, and with forged ones."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from mitm import pki
from mitm.address import LOCALHOST
from mitm.audit import Entry, Finding, Report, Subject, Suite, Upstream, forge_suite, run_audit
from mitm.audit.case import names_under_test
from mitm.audit.slots import WAITING, cores
from mitm.evidence import Call, Evidence
from mitm.lab.server import running_server
from mitm.learn.exercise import ClientRules, Exercise, entries
from mitm.learn.grade import Grade, Tried
from mitm.learn.program import Client, LearnersProgram
from mitm.masking import as_text, plain, shortened

# Of a client that makes several connections, each is attacked by itself: the first that it leaves
# would say nothing of the others. One that makes a single connection has nothing to do with it.
_EACH_CONNECTION = "../each-connection.md"

# Lines of what was read that are shown.
_READ_LINES = 8

# What every gRPC call has.
_ROUTINE = {
    *("user-agent", "te", "content-type", "grpc-accept-encoding", "accept-encoding"),
    "grpc-timeout",
}


async def grade_client(
    exercise: Exercise,
    rules: ClientRules,
    program: LearnersProgram,
    on_step: Callable[[str], None],
) -> Grade:
    """Grade a client: the genuine server must get its call, and nobody else anything.

    Args:
        exercise: which.
        rules: how it is graded.
        program: ready to be run.
        on_step: told what is being done.

    Raises:
        UserError: it cannot be started.
    """
    rules = replace(rules, refuse=tuple(dict.fromkeys((*rules.refuse, _EACH_CONNECTION))))
    shown = entries(exercise, (*rules.refuse, *rules.accept))
    # A client that does what it must on some of its runs alone is not to know which these are.
    lab = pki.Authorities(names_under_test(LOCALHOST))
    suite = forge_suite(shown.values(), LOCALHOST, lab.lab)
    with TemporaryDirectory(prefix="mitm-demo-") as name:
        folder = Path(name)
        async with _server(suite, lab, folder, mutual=rules.mutual) as (upstream, identity):
            files = _files(suite, shown, rules, folder)
            client = Client(program, files | identity, exercise.seconds)
            on_step("playing the genuine server, and the attacks")
            report = await run_audit(
                suite,
                client,
                upstream,
                subject=Subject(exercise.name),
                jobs=cores(),
                waiting=WAITING,
            )
    return judged(rules, shown, report, client)


@asynccontextmanager
async def _server(
    suite: Suite, lab: pki.Authorities, folder: Path, *, mutual: bool
) -> AsyncIterator[tuple[Upstream, dict[str, str]]]:
    """The genuine server, and what a client is given to be known by it."""
    if not mutual:
        async with running_server(None, None) as server:
            yield Upstream(server.address, tls=False), {}
        return
    assert suite.control.chain
    # What the attacker shows the server in the client's place.
    presented = pki.forge(pki.load_recipe("genuine"), pki.CLIENT_IDENTITY, lab, purpose="client")
    files = {
        "server.pem": suite.control.chain.pem,
        "server.key": suite.control.chain.key_pem,
        "clients.pem": lab.lab.pem,
        "cert": presented.pem,
        "key": presented.key_pem,
    }
    for name, pem in files.items():
        pki.write_private(folder / name, pem)
    identity = {name: str(folder / name) for name in ("cert", "key")}
    served = folder / "server.pem", folder / "server.key"
    async with running_server(*served, client_ca=folder / "clients.pem") as server:
        yield Upstream(server.address, tls=True, client_certificate=presented), identity


def _files(
    suite: Suite, shown: Mapping[str, Entry], rules: ClientRules, folder: Path
) -> dict[str, str]:
    """The files that the client is told beside its CA, by their placeholders."""
    chains = {case.name: case.chain for case in suite.cases}
    told = {}
    for placeholder, word in rules.files.items():
        chain = chains[shown[word].name]
        assert chain
        path = folder / f"{placeholder}.pem"
        pki.write_private(path, chain.leaf_pem)
        told[placeholder] = str(path)
    return told


def judged(rules: ClientRules, shown: Mapping[str, Entry], report: Report, client: Client) -> Grade:
    """What the findings come to. The control first: without it, nothing is proved.

    Args:
        rules: how it is graded.
        shown: what stands behind the words of the rules.
        report: of the audit.
        client: has been run for it; the control first.
    """
    first = report.controls[0]
    if first.outcome != "pass":
        return Grade("unproved", _not_through(first), said=first.last_lines)
    if problem := _not_as_before(rules, first, client):
        return Grade("red", problem, said=first.last_lines)
    names = {word: entry.name for word, entry in shown.items()}
    found = {finding.case.name: finding for finding in reversed(report.findings)}
    refused = [found[names[word]] for word in rules.refuse]
    accepted = [found[names[word]] for word in rules.accept]
    tried = tuple(_tried(each) for each in (*refused, *accepted) if not _is_beside(each))
    for finding in refused:
        if finding.outcome == "vulnerable":
            # What was read is shown apart.
            how = finding.reason.partition("; read: ")[0]
            reason = f"it took {finding.case.name} ({finding.case.title}): {how}"
            return Grade("red", _line(reason), _read(finding.evidence), tried)
    for finding in accepted:
        if finding.outcome == "too-strict":
            reason = (
                f"it turned away {finding.case.name} ({finding.case.title}), which is its own "
                f"server's: {finding.reason}"
            )
            return Grade("red", _line(reason), (), tried, finding.last_lines)
    for finding in (*refused, *accepted):
        if not _is_good(finding):
            reason = f"nothing is proved of {finding.case.name}: {finding.reason}"
            return Grade("unproved", _line(reason), (), tried, finding.last_lines)
    last = report.controls[-1]
    if last.outcome != "pass":
        return Grade("unproved", f"at the end {_not_through(last)}", (), tried, last.last_lines)
    reason = "its own server gets the call, and nobody else does"
    return Grade("green", reason, (), tried)


def _is_beside(finding: Finding) -> bool:
    """Whether this client has nothing to do with it, or it cannot be played here.

    An attack over several connections is nothing to one that makes one: all else attacks that.
    """
    attack = finding.outcome == "not-exercised" and finding.case.attack is not None
    return attack or finding.outcome == "unsupported"


def _is_good(finding: Finding) -> bool:
    return finding.outcome == "pass" or _is_beside(finding)


def _tried(finding: Finding) -> Tried:
    return Tried(finding.case.name, finding.case.title, _is_good(finding), _line(finding.reason))


def _not_through(control: Finding) -> str:
    """Why it did not get through to its own server, in a sentence."""
    evidence = control.evidence
    if evidence is None or not evidence.connections:
        return _line(f"it never came to its own server: {control.reason}")
    return _line(f"it does not get through to its own server: {control.reason}")


def _not_as_before(rules: ClientRules, control: Finding, client: Client) -> str:
    """What a client does not do any more that it is there for; "" if it does all."""
    assert control.evidence
    if not control.evidence.credentials:
        return "its own server gets a call without the token: send it as before"
    if rules.mutual:
        shown = control.evidence.client_certificate
        if not shown or not shown.proved:
            return "it does not show its own certificate any more, which its server asks for"
    run = client.runs[0]
    if run.end == "ended" and run.failed:
        return _line(f"its own server answers, and it fails all the same: {control.said}")
    return ""


def _read(evidence: Evidence | None) -> tuple[str, ...]:
    """What was read of a client, line by line; foreign text is made harmless."""
    if evidence is None:
        return ()
    lines = [line for call in evidence.calls[:1] for line in _of_call(call)]
    return tuple(_line(line) for line in lines[:_READ_LINES])


def _of_call(call: Call) -> list[str]:
    lines = [call.method]
    lines += [f"{n}: {v}" for n, v in call.metadata.items() if n not in _ROUTINE]
    lines += [f"asked: {_values(message)}" for message in call.requests]
    return lines + [f"answered: {_values(message)}" for message in call.responses]


def _values(message: object) -> str:
    """What a message says: its fields have numbers alone, where nobody has a schema of them."""
    if isinstance(message, dict):
        return ", ".join(_values(value) for value in message.values())
    return message if isinstance(message, str) else as_text(message)


def _line(text: str) -> str:
    return plain(shortened(text))
