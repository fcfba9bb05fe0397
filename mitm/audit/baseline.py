"""What an earlier audit found, so that only what is new fails a build."""

from pathlib import Path

import msgspec

from mitm.audit.finding import Finding, Outcome
from mitm.errors import UserError


class _Known(msgspec.Struct, frozen=True):
    certificate: str
    outcome: Outcome


class Baseline(msgspec.Struct, frozen=True):
    """The JSON report of an earlier audit, as far as it matters here."""

    findings: tuple[_Known, ...]

    def knows(self, finding: Finding) -> bool:
        """Whether the same certificate had come to the same outcome."""
        return _Known(finding.case.name, finding.outcome) in self.findings

    def fixed(self, finding: Finding) -> bool:
        """Whether a finding of then is none any more."""
        return finding.outcome == "pass" and any(
            known.certificate == finding.case.name and known.outcome in ("vulnerable", "too-strict")
            for known in self.findings
        )


def load_baseline(path: Path) -> Baseline:
    """Read the JSON report of an earlier audit.

    Raises:
        UserError: it cannot be read, or is no such report; file and reason are named.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise UserError(f"--baseline: cannot read {path}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(
            f"--baseline: {path} is no report of 'mitm-demo audit --json': {error}"
        ) from None
