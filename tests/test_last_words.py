"""What a client was given as a secret is not repeated in a report."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mitm.masking import without_secrets
from mitm.programs import last_line, secrets_of

SECRET = "hunter2-hunter2"  # noqa: S105


@pytest.mark.parametrize(
    "words",
    [
        ["./client", "--token", SECRET],
        ["./client", f"--api-key={SECRET}"],
        ["curl", "-H", f"authorization: Bearer {SECRET}"],
        ["curl", "-H", f"Cookie: session={SECRET}"],
        ["env", f"API_TOKEN={SECRET}", "./client"],
    ],
)
def test_secrets_of_the_command_line_are_left_out(words: list[str]) -> None:
    assert without_secrets(f"refused: {SECRET}!", secrets_of(words, {})) == "refused: …!"


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "DB_PASSWORD", "AWS_SECRET", "MY_API_KEY"])
def test_secrets_of_the_environment_are_left_out(name: str) -> None:
    assert without_secrets(f"got {SECRET}", secrets_of(["./client"], {name: SECRET})) == "got …"


@pytest.mark.parametrize(
    ("words", "environment"),
    [(["./client", "--region", SECRET], {}), (["./client"], {"REGION": SECRET})],
)
def test_what_goes_by_another_name_is_quoted(words: list[str], environment: dict[str, str]) -> None:
    """The twin: or else nothing that a client says could be read."""
    assert without_secrets(f"got {SECRET}", secrets_of(words, environment)) == f"got {SECRET}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("sent Bearer abcdefghijkl and left", "sent Bearer … and left"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic …"),
        ("no answer from https://user:pass@host/x", "no answer from https://…@host/x"),
        ("bearer of bad news", "bearer of bad news"),
        ("no answer from https://host/x@y", "no answer from https://host/x@y"),
    ],
)
def test_what_looks_like_a_credential_is_left_out_wherever_it_comes_from(
    text: str, shown: str
) -> None:
    assert without_secrets(text, ()) == shown


@given(st.text(min_size=6), st.text(), st.text())
def test_no_secret_survives(secret: str, before: str, after: str) -> None:
    assume("…" not in secret)
    assert secret not in without_secrets(before + secret + after, {secret})


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"Traceback\n  File\nKeyError: 1\n\n", "KeyError: 1"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 200),
    ],
)
def test_the_last_line_is_what_is_quoted(output: bytes, line: str) -> None:
    assert last_line(output) == line
