"""The command that a report tells to type again, and what a shell makes of its words."""

import subprocess
from collections.abc import Sequence

import pytest
from msgspec import structs

from mitm.cli.again import Invocation, quoted
from mitm.cli.group import load
from tests.audit.findings import catalogued


def called(command: str, *words: str) -> Invocation:
    """How a command of ours was called."""
    context = load(command).make_context(command, [*words])
    return Invocation(context)


def read_by_bash(words: Sequence[str]) -> list[str]:
    line = "printf '%s\\0' " + " ".join(words)
    told = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=20)
    return told.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize(
    "word",
    [
        "plain",
        "it's",
        '$(touch /tmp/x) `id` ; rm -rf ~ & | > < \\ " !',
        "",
        "two\nlines\tand\x1b[2J",
        "\u202egnp\u2066",
        "back\\slash\n'quote'",
        "::error::x",
        "{target}",
        "-n",
        "*",
        "ü €",
    ],
)
def test_a_shell_takes_a_word_for_what_it_was(word: str) -> None:
    assert quoted(word).isprintable()
    assert read_by_bash([quoted(word)]) == [word]


def test_only_what_is_asked_for_is_tried_again() -> None:
    words = ["--only", "must", "--timeout", "0.5", "--tls", "1.2", "--html", "a.html", "--json"]
    again = called("audit", *words, "--", "./my client", "{target}", "-v")
    rest = ["--tls", "1.2", "--timeout", "0.5", "--", "./my client", "{target}", "-v"]
    assert read_by_bash(again.whole) == ["mitm-demo", "audit", "--only", "must", *rest]
    found = [catalogued("expired", "vulnerable"), catalogued("wrong-host", "vulnerable")]
    alone = read_by_bash(again.of(found))
    assert alone == ["mitm-demo", "audit", "--only", "expired,wrong-host", *rest]
    # It is a command: another makes the same of it.
    load("audit").make_context("audit", alone[2:])
    assert not again.left_out


def test_a_file_of_ones_own_is_named_again() -> None:
    again = called("audit", "--only", "must,./certs/mine.md", "--", "./client")
    found = catalogued("expired", "vulnerable")
    mine = structs.replace(found, case=structs.replace(found.case, name="mine"))
    assert "./certs/mine.md" in again.of([mine])


def test_what_was_not_said_is_not_said() -> None:
    assert called("audit", "--", "./client").whole == ("mitm-demo", "audit", "--", "./client")
    words = ("localhost:1", "--client-cert", "a.pem", "--client-key", "a.key")
    assert called("probe", *words).whole == (
        *("mitm-demo", "probe", "--client-cert", "a.pem", "--client-key", "a.key"),
        "localhost:1",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--token", "it's s3cr3t"],
        ["--token=it's s3cr3t"],
        ["env", "API_KEY=a s3cr3t", "./client"],
        ["-H", "Authorization: Bearer s3cr3t-of-mine"],
        ["https://me:s3cr3t@localhost/"],
        ["--password", "s3cr3t"],
        ["https://localhost/?api_key=s3cr3t"],
    ],
)
def test_a_credential_is_left_out(words: list[str]) -> None:
    again = called("audit", "--", "./client", *words)
    assert again.left_out
    assert "s3cr3t" not in " ".join(again.whole)
    assert "s3cr3t" not in " ".join(again.of([catalogued("expired", "vulnerable")]))
    assert "…" in " ".join(again.whole)


def test_a_credential_of_a_probe_is_left_out() -> None:
    words = ("localhost:1", "--client-cert", "a.pem", "--client-key", "a.key")
    again = called("probe", *words, "--metadata", "authorization=Bearer s3cr3t")
    assert again.left_out
    assert "s3cr3t" not in " ".join(again.whole)
