"""The benchmark of the audit: its client is a client, and its page says what was reached."""

import sys

import pytest

from bench import audit as bench
from bench import stacks
from bench.audit import Results
from mitm import audit, content


def test_the_client_verifies_and_takes_its_time() -> None:
    command = [sys.executable, "-c", bench.CLIENT]
    report = audit.run(command, only=["attacker-ca", "mixed-case"], jobs=1)
    assert report.conclusive
    assert [finding.outcome for finding in report.findings] == ["pass", "pass"]


def test_a_chain_is_forged_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "FORGINGS", 3)
    assert bench.forge() > 0


def test_the_section_compares_with_the_clients_own_time() -> None:
    # 100 runs of 0.3 s, two at once: 15 s.
    fast = Results([0.5, 0.7, 0.6], 100, 2, [18.0, 21.0, 16.5], [3.0, 2.0, 4.0])
    text = "\n".join(bench.section(fast))
    assert "0.60 (0.50 to 0.70) ms | at most 1 ms: reached" in text
    assert "18.0 (16.5 to 21.0) s, 1.20 (1.10 to 1.40) x the client's own 15.0 s" in text
    assert "at most 1.3 x: reached" in text
    assert "3.00 (2.00 to 4.00) s | at most 3 s on 2 cores: reached" in text
    assert "not reached" not in text
    slow = Results([1.1], 100, 2, [19.6], [4.1])
    assert "\n".join(bench.section(slow)).count("not reached") == 3


def test_a_client_of_each_stack_that_is_here_is_audited() -> None:
    """Two certificates each."""
    several = stacks.measure(share=len(content.markdown_files(content.CERTS)) // 2 + 1)
    text = "\n".join(stacks.lines(several))
    for each in several:
        assert each.absent or (each.certificates and each.seconds), each
        assert ("Left out: " if each.absent else "| ") + each.name in text
    assert not several[0].absent
