"""Makes the dictionary of errors, and its page, of what clients have said.

    python -m docs.errors FROM.json…             certs/errors.json, and the tables in docs/errors.md
    python -m docs.errors --refusals             the same, with nothing new but docs/refusals.json
    python -m docs.errors --measure OTHER.json…  how well it explains what it was not made of

FROM is what `mitm-demo matrix --json` or `mitm-demo audit --json` has printed; STACK=FROM calls the
stack in it so, `grpcio-1.66` say. For the measurement take another name, other ports, another day,
other versions. What is said of a client's certificate stands in docs/refusals.json
(python -m docs.refusals), and is put to it.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from docs.marked import filled
from docs.refusals import PAGE as REFUSALS
from docs.refusals import Said
from docs.stacks import STACKS_OF_CLIENTS
from mitm import content
from mitm.audit import catalogue
from mitm.audit.case import TWIN, plain_name
from mitm.audit.stack import kind_of_stack
from mitm.explain import MEANINGS, Dictionary, load
from mitm.explain.dictionary import Pattern, said
from mitm.explain.meaning import NAMES, Name
from mitm.masking import as_json
from mitm.pki.recipe import Family

PAGE = Path(__file__).with_name("errors.md")

# What it is about, where the family of the catalogue does not tell.
_BY_NAME: dict[str, Name] = {
    **dict.fromkeys(("plaintext-http1", "plaintext-http2", "no-tls-today"), "plaintext"),
    **dict.fromkeys(("forged-intermediate", "imitated-ca", "replaced-key"), "signature"),
    **dict.fromkeys(("no-alpn", "alpn-http1"), "alpn"),
    "handshake-reset": "interrupted",
}
_BY_FAMILY: dict[Family, Name] = {
    "trust": "issuer",
    "name": "name",
    "time": "dates",
    "authority": "ca-limits",
    "purpose": "purpose",
    "configuration": "ca-file",
    "sequence": "issuer",
    "protocol": "protocol",
    "accepted": "unusual",
    "effort": "unusual",
}
_ENTITY, _SIGNATURE, _REVOCATION, _WEAK = 322, 347, 299, {326, 327, 328}

# These trust one certificate, or none that is shown: whatever the case is about, they say that they
# do not know its issuer.
_KNOW_NO_CA = {"pinned", "pinned-key", "no-ca"}

# Said where there is no certificate at all, by the same clients: to a port on which nobody listens,
# a name that has no address (RFC 2606), and a server that takes connections and says nothing.
_SITUATIONS: dict[Name, dict[str, tuple[str, ...]]] = {
    "nobody-there": {
        "grpcio": (
            "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to "
            "connect to remote host: connect: Connection refused (111)",
        ),
        "grpc-go": (
            'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:1: '
            'connect: connection refused"',
        ),
        "grpc-js": ("Error: connect ECONNREFUSED 127.0.0.1:1",),
        "grpclib": ("ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 1)",),
        "grpc-java": (
            "io.grpc.netty.shaded.io.netty.channel.AbstractChannel$AnnotatedConnectException: "
            "Connection refused: localhost/127.0.0.1:1",
        ),
        "tonic": ("tcp connect error: Connection refused (os error 111)",),
        "curl": ("Failed to connect to localhost port 1 after 0 ms: Couldn't connect to server",),
    },
    "no-such-host": {
        "grpcio": (
            "DNS resolution failed for no.invalid:1: C-ares status is not ARES_SUCCESS "
            "qtype=A name=no.invalid is_balancer=0: Domain name not found",
        ),
        "grpc-go": (
            "name resolver error: produced zero addresses",
            "lookup no.invalid: no such host",
        ),
        "grpc-js": (
            "Name resolution failed for target dns:no.invalid:1",
            "getaddrinfo ENOTFOUND no.invalid",
        ),
        "grpclib": ("gaierror: [Errno -2] Name or service not known",),
        "grpc-java": ("Unable to resolve host no.invalid", "UnknownHostException: no.invalid"),
        "curl": ("curl: (6) Could not resolve host: no.invalid",),
    },
    "no-answer": {
        "grpcio": ("Deadline Exceeded",),
        "grpc-go": ("context deadline exceeded",),
        "grpc-js": ("Deadline exceeded after 5.003s",),
        "grpc-java": ("deadline exceeded after 4.999s",),
    },
}  # fmt: skip

# Node has a name for each of OpenSSL's texts, which stands as `code` beside it, or alone (its
# documentation: TLS, X509 certificate error codes). The texts are as in a pattern.
_CODES = {
    "self signed certificate": "DEPTH_ZERO_SELF_SIGNED_CERT",
    "self signed certificate in certificate chain": "SELF_SIGNED_CERT_IN_CHAIN",
    "unable to get local issuer certificate": "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
    "unable to verify the first certificate": "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "certificate has expired": "CERT_HAS_EXPIRED",
    "certificate is not yet valid": "CERT_NOT_YET_VALID",
    "certificate signature failure": "CERT_SIGNATURE_FAILURE",
    "invalid ca certificate": "INVALID_CA",
    "path length constraint exceeded": "PATH_LENGTH_EXCEEDED",
    "unsuitable certificate purpose": "INVALID_PURPOSE",
}


Stacks = dict[str, list[Pattern]]


class Heard(NamedTuple):
    """What a client has said of a case."""

    stack: str
    message: str
    case: str
    means: tuple[Name, ...]


def heard_in(path: Path, called: str = "") -> Iterator[Heard]:
    """What the clients of a matrix, or of an audit, have said of all that they refused.

    Args:
        path: of its JSON.
        called: the stack, if it is not to have the name that it says.
    """
    report = json.loads(path.read_text())
    meanings = _meanings()
    for stack, policy, case, message in _refusals(report):
        if (name := meanings.get(plain_name(case.removesuffix(":crash")))) and message:
            means = (name,)
            if policy in _KNOW_NO_CA:
                means = tuple(dict.fromkeys(("issuer", name)))
            yield Heard(called or stack, message, case.removesuffix(TWIN), means)


def _refusals(report: dict[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    if "rows" in report:
        for row in report["rows"]:
            stack = _stack_of(row)
            for cell in row["cells"]:
                if cell["did"] == "refused":
                    yield stack, row["policy"], cell["case"], _own(cell["message"])
        return
    subject = report["subject"]
    stack = _stack_of(_as_row(subject))
    for finding in report["findings"]:
        refused = (finding["outcome"] == "pass") == (finding["expect"] == "reject")
        if refused and finding["outcome"] in ("pass", "too-strict"):
            yield stack, subject["policy"], finding["certificate"], _own(finding["client_said"])


def _as_row(subject: dict[str, Any]) -> dict[str, Any]:
    """The subject of an audit, told as a row of a matrix is."""
    return {"client": subject["name"], **subject}


def _stack_of(row: dict[str, Any]) -> str:
    client: str = row["client"]
    return STACKS_OF_CLIENTS.get(client.partition(" ")[0]) or kind_of_stack(row["stack"]) or client


def _own(text: str) -> str:
    """The words of the stack: not those of the contract, or of the client around it."""
    match = re.match(
        r"(?:exit code (\d+)|still running|stopped|ended by \w+): (.*)", text, re.DOTALL
    )
    code, text = (match[1], match[2]) if match else ("", text)
    if text.startswith("{"):
        try:
            answer = json.loads(text)
        except ValueError:
            # Cut in its middle.
            return text.partition('"message"')[2]
        return str(answer["error"]["message"]) if "error" in answer else ""
    return (
        ""
        if text.startswith(("client: ", "wrong usage"))
        or code == "0"
        or text.startswith("exit code")
        else text
    )


def _meanings() -> dict[str, Name]:
    """What is wrong with each case of the catalogue."""
    found: dict[str, Name] = {}
    for entry in catalogue():
        weaknesses = set(entry.cwe)
        family = getattr(entry, "family", "sequence")
        name: Name | None = _BY_NAME.get(entry.name) or _BY_FAMILY.get(family)
        if family == "trust" and _ENTITY in weaknesses:
            name = "key"
        elif family == "cryptography":
            name = _of_cryptography(weaknesses)
        elif getattr(entry, "ca", None):
            name = "ca-file"
        if name and family != "offer":
            found[entry.name] = name
    return found


def _of_cryptography(weaknesses: set[int]) -> Name:
    if _SIGNATURE in weaknesses:
        return "signature"
    if _WEAK & weaknesses:
        return "weak"
    return "revocation" if _REVOCATION in weaknesses else "unreadable"


# An alert about a certificate, or the one that OpenSSL and Go send in TLS 1.2 to who presents none
# (RFC 8446 section 6.2, in the words of each stack). The text tells that somebody else has sent it.
_ALERT = re.compile(r"alert|remote error", re.IGNORECASE)
_OF_CERTIFICATE = re.compile(
    r"(bad|unknown|expired)[ _]?certificate|certificate[ _]?(required|unknown|expired)"
    r"|unknown[ _]?ca\b",
    re.IGNORECASE,
)
_FAILURE = re.compile(r"handshake[ _]?failure", re.IGNORECASE)
# A client never sends this one.
_REQUIRED = re.compile(r"certificate[ _]?required", re.IGNORECASE)

# A server says so of a client that presents nothing, and Go's log begins each line with the other.
_MISSED = re.compile(
    r"not[ _]return[ _]a[ _]certificate|didn't provide a certificate|empty client certificate",
    re.IGNORECASE,
)
_LOG_OF_SERVER = "tls handshake error from"

# The words of any connection, whatever is spoken on it.
_OF_ANYTHING = {
    "write tcp",
    "getpeername",
    "send failure",
    "socketexception",
    "connectionreseterror",
}


def of_refusals(recorded: Sequence[Said], stacks: Stacks) -> Stacks:
    """The patterns with what is said of a client's certificate.

    Args:
        recorded: what was said.
        stacks: the patterns of what clients refuse.
    """
    known = {stack: {p.says: p for p in patterns} for stack, patterns in stacks.items()}
    for each in recorded:
        own = known.setdefault(each.stack, {})
        for says, names in _of_refusal(each):
            before = own.get(says)
            if before is None:
                own[says] = Pattern(says, dict.fromkeys(names, ()), entire=True)
            elif not before.cases.keys() & {"no-answer", "nobody-there"}:
                cases = {**before.cases, **dict.fromkeys(names - before.cases.keys(), ())}
                own[says] = Pattern(says, cases, before.entire)
    return {
        stack: [own[says] for says in sorted(own)] for stack, own in sorted(known.items()) if own
    }


def _of_refusal(each: Said) -> Iterator[tuple[tuple[str, ...], Set[Name]]]:
    """The patterns of a text that was recorded, none if it is of no use, and what they mean."""
    says = said(each.text)
    in_log = _LOG_OF_SERVER in says
    if each.by == "server" and each.refused == "client":
        if in_log and "certificate" in each.text:
            yield says, {"client-certificate"}
        elif _MISSED.search(each.text):
            yield tuple(run for run in says if _MISSED.search(run)), {"client-certificate"}
        return
    alert = any(map(_ALERT.search, says))
    if alert and any(map(_OF_CERTIFICATE.search, says)):
        yield from _of_alert(says, in_log=in_log, node=each.stack in ("grpc-js", "node"))
    elif each.by == "server":
        return
    elif alert and any(map(_FAILURE.search, says)):
        yield says, {"protocol", "client-certificate"}
    elif _OF_ANYTHING.isdisjoint(says) and "verif" not in each.text and not _ends_short(each.text):
        yield says, {"interrupted", "client-certificate"}


def _of_alert(
    says: tuple[str, ...], *, in_log: bool, node: bool
) -> Iterator[tuple[tuple[str, ...], Set[Name]]]:
    """What an alert about a certificate means: the same words are said on both sides."""
    kept = tuple(
        run
        for run in says
        if run == _LOG_OF_SERVER or _ALERT.search(run) or _OF_CERTIFICATE.search(run)
    )
    required = any(map(_REQUIRED.search, kept))
    names: set[Name] = (
        {"client-certificate"} if required else {"client-certificate", "client-refused"}
    )
    if in_log:
        yield kept, {"client-refused"}
        return
    yield kept, names
    for run in kept:
        if "remote error" in kept and _OF_CERTIFICATE.search(run):
            # As Go's `tls.AlertError` says it by itself.
            yield ("tls", run), names
        elif "alert" in run and _OF_CERTIFICATE.search(run):
            yield (run,), names
            if node:
                # The code that stands beside it, or alone.
                yield (f"err_ssl_{run.replace(' ', '_')}",), names
        elif run == "certificaterequired":
            yield (run,), names


def _ends_short(text: str) -> bool:
    """Whether it ends with a word that is too short for a pattern, and so is known by the rest."""
    return bool(re.search(r": EOF\W*$", text))


def without_refusals(stacks: Mapping[str, Sequence[Pattern]]) -> Stacks:
    """The patterns that `of_refusals` was given."""
    found = {
        stack: [
            Pattern(tuple(run for run in p.says if run != "ssl alert number"), cases)
            for p in patterns
            if not p.entire
            and (cases := {n: names for n, names in p.cases.items() if n in _SITUATIONS or names})
        ]
        for stack, patterns in stacks.items()
    }
    return {stack: patterns for stack, patterns in found.items() if patterns}


def patterns_of(heard: Sequence[Heard]) -> dict[str, list[Pattern]]:
    """What each stack says, and of what."""
    stacks: dict[str, dict[tuple[str, ...], dict[Name, list[str]]]] = {}
    situations = [
        Heard(stack, text, "", (name,))
        for name, texts in _SITUATIONS.items()
        for stack, each in texts.items()
        for text in each
    ]
    # Those who know a CA first: what they say is about the case, and not about that they know none.
    by_ca: set[tuple[str, tuple[str, ...]]] = set()
    for each in sorted([*heard, *situations], key=lambda h: len(h.means)):
        says = tuple(
            run for run in said(each.message) if not re.search(r"\b(lab|mitm|attacker)\b", run)
        )
        if len(each.means) == 1:
            by_ca.add((each.stack, says))
        elif (each.stack, says) in by_ca:
            continue
        if says:
            known = stacks.setdefault(each.stack, {}).setdefault(says, {})
            cases = known.setdefault(each.means[0], [])
            if not any(each.case in names for names in known.values()) and each.case:
                cases.append(each.case)
    node = stacks.get("grpc-js", {})
    for says, by_name in list(node.items()):
        for code in (code for text, code in _CODES.items() if text in says):
            node[said(code)] = by_name
    return {
        stack: [
            Pattern(
                says,
                {
                    n: tuple(sorted(cases))
                    for n, cases in by_name.items()
                    if cases or n in _SITUATIONS
                },
            )
            for says, by_name in sorted(known.items())
        ]
        for stack, known in sorted(stacks.items())
    }


class Measured(NamedTuple):
    """How well messages are explained."""

    right: int
    first: int
    total: int
    missed: list[Heard]


def measure(heard: Sequence[Heard], dictionary: Dictionary) -> dict[str, Measured]:
    """Of how many messages the right cause is among the first three, by stack."""
    measured: dict[str, Measured] = {}
    for each in heard:
        known = dictionary.look_up(each.message)
        ranked = [name for name, _ in known.cases][:3] if known else []
        before = measured.get(each.stack, Measured(0, 0, 0, []))
        right = not set(ranked).isdisjoint(each.means)
        first = bool(ranked) and ranked[0] in each.means
        missed = before.missed if right else [*before.missed, each]
        measured[each.stack] = Measured(
            before.right + right, before.first + first, before.total + 1, missed
        )
    return measured


def _versions(paths: Sequence[tuple[Path, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, called in paths:
        report = json.loads(path.read_text())
        for row in report["rows"] if "rows" in report else [_as_row(report["subject"])]:
            stack = called or _stack_of(row)
            version = row.get("version") or row["stack"]
            if version and version not in found.setdefault(stack, []):
                found[stack].append(version)
    return {stack: sorted(versions) for stack, versions in sorted(found.items())}


def _as_data(pattern: Pattern) -> dict[str, object]:
    entire = {"entire": True} if pattern.entire else {}
    return {"says": pattern.says, "cases": pattern.cases, **entire}


def tables(stacks: dict[str, list[Pattern]], versions: dict[str, list[str]]) -> dict[str, str]:
    """What the page says, by the name of the place where it stands."""
    counted = [
        [
            stack,
            ", ".join(versions.get(stack, [])),
            str(len(known)),
            str(len(_causes(known))),
            str(len(_cases(known))),
        ]
        for stack, known in stacks.items()
    ]
    rows = [
        [stack, f"`{' … '.join(pattern.says)}`".replace("|", "\\|"), _told(pattern)]
        for stack, known in stacks.items()
        for pattern in known
    ]
    return {
        "count": _table(["stack", "versions", "messages", "causes", "cases"], counted),
        "patterns": _table(["stack", "it says", "of"], rows),
    }


def _causes(known: Sequence[Pattern]) -> set[Name]:
    return {name for pattern in known for name in pattern.cases}


def _cases(known: Sequence[Pattern]) -> set[str]:
    return {case for pattern in known for names in pattern.cases.values() for case in names}


def _told(pattern: Pattern) -> str:
    ordered = sorted(pattern.cases.items(), key=lambda each: -len(each[1]))
    return "; ".join(
        f"**{name}**{': ' if cases else ''}{', '.join(cases)}" for name, cases in ordered
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(["", *(f"| {' | '.join(line)} |" for line in lines), ""])


def _shown(measured: dict[str, Measured]) -> str:
    rows = [
        [stack, str(m.total), f"{m.right / m.total:.1%}", f"{m.first / m.total:.1%}"]
        for stack, m in sorted(measured.items())
    ]
    total = [
        sum(m.total for m in measured.values()),
        sum(m.right for m in measured.values()),
        sum(m.first for m in measured.values()),
    ]
    rows.append(
        ["**all**", str(total[0]), f"{total[1] / total[0]:.1%}", f"{total[2] / total[0]:.1%}"]
    )
    return _table(["stack", "messages", "right among the first three", "right at once"], rows)


def main() -> int:
    words = sys.argv[1:]
    measuring = words[:1] == ["--measure"]
    again = words == ["--refusals"]
    named = [word.rpartition("=") for word in words[measuring or again :]]
    paths = [(Path(path), called) for called, _, path in named]
    if not paths and not again:
        print(__doc__, file=sys.stderr)
        return 2
    heard = [each for path, called in paths for each in heard_in(path, called)]
    if measuring:
        measured = measure(heard, load(content.ERRORS))
        for stack, each in measured.items():
            for (message, means), count in Counter(
                (m.message[:300], m.means) for m in each.missed
            ).most_common(20):
                print(f"missed {count}: {stack}: {'/'.join(means)}: {message}", file=sys.stderr)
        table = _shown(measured)
        print(table)
        page = re.sub(
            r"(<!-- measured -->\n).*?(\n<!-- end -->)",
            lambda m: m[1] + table + m[2],
            PAGE.read_text(),
            flags=re.DOTALL,
        )
        PAGE.write_text(page)
        return 0
    if again:
        versions = json.loads(content.ERRORS.read_text())["versions"]
        stacks = without_refusals(load(content.ERRORS).stacks)
    else:
        versions, stacks = _versions(paths), patterns_of(heard)
    stacks = of_refusals(msgspec.json.decode(REFUSALS.read_bytes(), type=list[Said]), stacks)
    data = {
        "versions": versions,
        "stacks": {s: [_as_data(p) for p in known] for s, known in stacks.items()},
    }
    content.ERRORS.write_text(as_json(data, indent=1) + "\n")
    parts = tables(stacks, versions)
    old = re.search(r"<!-- measured -->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.DOTALL)
    parts["measured"] = old[1] if old else ""
    meanings = [[f"`{name}`", MEANINGS[name].says, MEANINGS[name].remedy] for name in NAMES]
    parts["meanings"] = _table(["cause", "says that", "what to do"], meanings)
    PAGE.write_text(filled(PAGE.read_text(), parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
