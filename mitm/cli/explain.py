"""`mitm-demo explain`: what an error of a TLS client means."""

import sys
import textwrap
from collections.abc import Iterable, Iterator

import click

from mitm.cli.loading import loading
from mitm.errors import UserError

with loading():
    from mitm import content
    from mitm.explain import MEANINGS, Known, Reading, load, own_remedy, read
    from mitm.masking import plain, shortened

_STDIN = "-"
_WIDTH = 98
# Bytes that are read at once: a line of any length is read in parts.
_PART = 65_536

# Errors of a log that are shown, and causes of each.
_SHOWN = 5
_CAUSES = 3
_NAMES = 6

# The plainest certificate of its kind is the one to look at.
_PLAINEST = (
    *("attacker-ca", "self-signed", "incomplete-chain", "wrong-host", "ip-mismatch"),
    *("expired", "not-yet-valid", "bad-signature", "other-key", "leaf-as-ca", "name-excluded"),
    *("eku-client-auth", "rsa-1024", "sha1-signature", "tls-1.0", "no-alpn", "plaintext-http2"),
    *("ca-missing", "ca-empty"),
)


@click.command()
@click.argument("text", nargs=-1, required=True, metavar="TEXT...")
def explain(text: tuple[str, ...]) -> int:
    """Say what an error of a TLS client means: the likely causes, and what to do in its stack.

    \b
    mitm-demo explain "x509: certificate signed by unknown authority"
    mitm-demo explain - < client.log
    kubectl logs my-pod | mitm-demo explain -

    TEXT is the error, with whatever a log has put around it; - reads a log from standard input, of
    any length. What it is compared with has been said by real clients, of certificates and attacks
    of the catalogue: docs/errors.md has them all.

    Exit code: 0 it is known, 1 no such error is known.
    """
    given = " ".join(text)
    if given != _STDIN and not given.strip():
        raise UserError('the text is empty: mitm-demo explain "ERROR", or - for a log')
    lines = _lines() if given == _STDIN else given.splitlines()
    reading = read(lines, load(content.ERRORS))
    click.echo("\n".join(_told(reading)))
    return 0 if reading.errors else 1


def _lines() -> Iterator[str]:
    source = sys.stdin.buffer
    try:
        while part := source.readline(_PART):
            yield part.decode(errors="replace")
    except OSError as error:
        raise UserError(f"cannot read standard input: {error.strerror}") from None


def _told(reading: Reading) -> Iterator[str]:
    if not reading.errors:
        yield "No such error known: no client has said this of any certificate or attack here."
        yield "What is known: docs/errors.md. What a client accepts: mitm-demo audit."
    for number, (known, times) in enumerate(reading.errors[:_SHOWN]):
        if number:
            yield ""
        yield from _error(known, times)
    if len(reading.errors) > _SHOWN:
        yield f"\n{len(reading.errors) - _SHOWN} more kinds of errors are known in it."
    if reading.cut:
        yield "\nThere were too many different lines for all of them to be looked at."


def _error(known: Known, times: int) -> Iterator[str]:
    said = plain(shortened(" … ".join(known.says)))
    yield f"“{said}”" + (f" ({times} times)" if times > 1 else "")
    part = "" if known.whole else "recognised in part; "
    who = ", ".join(known.stacks[:_CAUSES]) + (", …" if len(known.stacks) > _CAUSES else "")
    causes = len(known.cases)
    shared = f", for {causes} causes: the likeliest first" if causes > 1 else ""
    cases = f"{known.count} cases" if known.count != 1 else "1 case"
    yield f"  {part}so says {who}" + (f" of {cases}{shared}" if known.count else "")
    for number, (name, names) in enumerate(known.cases[:_CAUSES], 1):
        says = MEANINGS[name].says
        yield from _row(f"{number}", f"{says[:1].upper()}{says[1:]}")
        if names:
            ordered = sorted(names, key=_plainest)
            more = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
            listed = ", ".join(ordered[:_NAMES])
            yield from _row("", f"shown by {listed}{more}: mitm-demo show {ordered[0]}")
        yield from _row("", f"fix: {MEANINGS[name].remedy}")
        for stack in known.stacks[:_CAUSES]:
            if own := own_remedy(name, stack):
                yield from _row("", f"in {stack}: {own}")
    if causes > _CAUSES:
        rest = ", ".join(MEANINGS[name].says for name, _ in known.cases[_CAUSES:])
        yield from _row("", f"or: {rest}")


def _plainest(name: str) -> tuple[int, str]:
    return (_PLAINEST.index(name) if name in _PLAINEST else len(_PLAINEST), name)


def _row(label: str, text: str) -> Iterable[str]:
    return textwrap.wrap(
        plain(text),
        _WIDTH,
        initial_indent=f"  {label:<3}",
        subsequent_indent=" " * 5,
        break_on_hyphens=False,
        break_long_words=False,
    )
