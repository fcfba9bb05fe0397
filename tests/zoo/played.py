"""What an audit of an animal must come to, whatever language it is written in."""

from collections.abc import Callable, Sequence

from mitm import audit
from mitm.audit.conclusion import conclude
from tests.zoo.animals import Animal

# What the sound ones are tried with, and what no client may refuse.
SOUND_CERTIFICATES = ("root-included", "matching-wildcard", "several-names")

# A client that makes several connections and leaves at the first has proved nothing of the others.
EACH_CONNECTION = "at-position"

# Plays an animal: with its flaw or mended, with these certificates and attacks.
Play = Callable[[Animal, bool, Sequence[str]], audit.Report]


def told(finding: audit.Finding) -> str:
    """What came of a certificate or an attack, in a line."""
    return f"{finding.case.name}: {finding.outcome}: {finding.reason}"


def assert_caught(animal: Animal, play: Play) -> None:
    """What is wrong with an animal is found, and nothing that is not."""
    report = play(animal, False, [*animal.caught_by, *animal.rejects, EACH_CONNECTION])
    assert report.conclusive, list(map(told, report.controls))
    found = {finding.case.name: finding for finding in report.findings}
    missed = [told(found[n]) for n in animal.caught_by if found[n].outcome != "vulnerable"]
    assert not missed, f"{animal.id} has {', '.join(animal.flaw)}, and these missed it"
    others = [told(found[n]) for n in animal.rejects if found[n].outcome != "pass"]
    assert not others, f"{animal.id} has {', '.join(animal.flaw)}, and nothing else"
    # What sound clients do as well is told, and fails nobody.
    weighs = any(found[name].case.severity != "info" for name in animal.caught_by)
    assert conclude(report, strict=True).exit_code == int(weighs)


def assert_left_alone(animal: Animal, play: Play, *, mended: bool = False) -> None:
    """An animal that is sound, or has been mended, is accused of nothing.

    Args:
        animal: which.
        play: plays it.
        mended: whether it has a flaw otherwise: it is tried with what that was caught by.
    """
    names = [*animal.caught_by, EACH_CONNECTION] if mended else ["must"]
    report = play(animal, mended, names)
    assert report.conclusive, list(map(told, report.controls))
    conclusion = conclude(report)
    accused = [told(f) for f in report.findings if f.outcome not in ("pass", "unsupported")]
    assert conclusion.exit_code == 0, accused
