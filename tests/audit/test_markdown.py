"""The summary in Markdown: read on a page of other people's, so that nothing in it is obeyed."""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from msgspec import structs

from mitm.audit import Finding, Report
from mitm.audit.conclusion import conclude
from mitm.audit.reports import AddedTo, as_markdown
from mitm.errors import UserError
from mitm.masking import as_code, in_markdown, plain
from tests.audit.findings import MIXED, SECRET, catalogued, finding, report

# What a reader of Markdown would make something of.
MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- a --> </details> </td></table>",
    "[text](javascript:alert(1)) ![x](http://e/x.png) <http://e/>",
    "[a]: http://e/ 'b'",
    "a | b \\| c \\\\| d",
    "`code` ``` **bold** _it_ ~~no~~ $x$ $$y$$",
    "&lt;b&gt; &#60;script&#62; &amp;",
    "# head\n\n- item\n1. one\n> quote\n---\n    code",
    "@somebody #12 :smile: https://evil.example www.evil.example me@evil.example",
    "`",
    "\\",
    "|",
    "` | <b> | `` | ```",
    "::error::x",
    "ends with \\",
    " ",
)
TEXT = st.one_of(
    st.sampled_from(MARKUP),
    st.text(alphabet="`|\\<>&*_[]()!#$~:@ ab\n\r", max_size=30),
    st.text(max_size=30),
)

# As GitHub renders it: CommonMark with tables, and HTML as it is.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")

OURS = {"<details>", "<summary>The rest</summary>", "</details>"}
INLINE = {"<code>", "</code>"}
STRUCTURE = {"heading", "paragraph", "table", "thead", "tbody", "tr", "th", "td", "strong", "em"}
STRUCTURE |= {"bullet_list", "list_item", "inline", "text", "html_inline", "html_block"}


def tokens(text: str) -> Iterator[Token]:
    for token in RENDERER.parse(text):
        yield token
        yield from token.children or ()


def assert_nothing_is_obeyed(text: str) -> None:
    # Whoever reads it: what looks like an element is ours.
    rest = text
    for word in (*OURS, *INLINE):
        rest = rest.replace(word, "")
    assert "<" not in rest
    for token in tokens(text):
        kind = re.sub("_(open|close)$", "", token.type)
        assert kind in STRUCTURE, (token, text)
        if kind == "html_block":
            assert set(token.content.split("\n")) <= {*OURS, ""}, token
        if kind == "html_inline":
            assert token.content in INLINE, token
        if kind == "em":
            # Of ours alone: what is left out.
            assert "for want of room" in text


@given(TEXT)
def test_foreign_text_is_shown_in_a_cell_as_it_is(text: str) -> None:
    for written in (as_code(text), in_markdown(text)):
        table = f"| a | b |\n| --- | --- |\n| x {written} | end |\n"
        rows = [t for t in RENDERER.parse(table) if t.type == "inline"]
        assert [row.content for row in rows][-1] == "end", table
        assert len(rows) == 4, table
        assert_nothing_is_obeyed(table)


@pytest.mark.parametrize("write", [as_code, in_markdown])
@pytest.mark.parametrize("text", [each for each in MARKUP if each.strip() and "\n" not in each])
def test_it_is_shown_as_it_was(write: Callable[[str], str], text: str) -> None:
    table = f"| a |\n| --- |\n| x {write(text)} |\n"
    shown = "".join(token.content for token in tokens(table) if token.type == "text")
    # What a build server would obey is spelled out.
    assert shown == f"ax {plain(text)}".rstrip()


def hostile(audited: Report, text: str) -> Report:
    def changed(each: Finding) -> Finding:
        case = structs.replace(each.case, name=text, title=text, rule=text, fix=text)
        return structs.replace(
            each, case=case, reason=text, said=f"{text} said", last_lines=(text, text)
        )

    return structs.replace(
        audited,
        controls=tuple(map(changed, audited.controls)),
        findings=tuple(map(changed, audited.findings)),
        subject=structs.replace(audited.subject, title=text, stack=text, policy=text),
        doubts=(text,),
    )


@given(TEXT, st.booleans())
def test_nothing_in_a_summary_is_obeyed(text: str, broken: bool) -> None:
    audited = report(first="too-strict", last=None) if broken else MIXED
    audited = hostile(audited, text)
    for strict in (False, True):
        told = as_markdown(audited, conclude(audited, strict=strict))
        assert_nothing_is_obeyed(told)
        assert told.count("<details>") == told.count("</details>") <= 1


def test_the_verdict_comes_first_then_what_fails_and_how_to_mend_it() -> None:
    told = as_markdown(MIXED, conclude(MIXED))
    places = [
        told.index(part)
        for part in (
            "Some language 1.0, policy ca-file",
            "**Exit code 1, a build fails**",
            "1 pass, 4 vulnerable",
            "### What fails (2)",
            "Switch verification on for attacker-ca",
            "### Undecided (1)",
            "expired",
            "<summary>The rest</summary>",
            "passed (1): wrong-host",
        )
    ]
    assert places == sorted(places)
    assert SECRET not in told


def test_a_sound_client_has_nothing_that_fails() -> None:
    sound = report(catalogued("attacker-ca", "pass"), catalogued("wrong-host", "pass"))
    told = as_markdown(sound, conclude(sound))
    assert "**Exit code 0, a build passes**" in told
    assert "What fails" not in told
    assert "Undecided" not in told
    careless = report(catalogued("attacker-ca", "vulnerable"), catalogued("wrong-host", "pass"))
    assert "What fails (1)" in as_markdown(careless, conclude(careless))


def test_a_control_that_failed_is_told_with_what_to_look_at() -> None:
    audited = report(first="too-strict", last=None)
    told = as_markdown(audited, conclude(audited))
    assert "**Exit code 3, nothing is proved**" in told
    assert "The genuine certificate was not accepted" in told
    assert "It completed the handshake and sent nothing." in told


def test_of_two_controls_the_one_that_failed_is_told() -> None:
    """In a session the second one may get through all the same."""
    for first, last in (("too-strict", "pass"), ("pass", "too-strict")):
        audited = report(first=first, last=last)  # type: ignore[arg-type]
        told = as_markdown(audited, conclude(audited))
        assert "because of too-strict" in told
        assert "because of pass" not in told


@pytest.mark.parametrize("room", [10, 500, 5_000, 1024 * 1024])
def test_a_summary_takes_no_more_room_than_there_is(room: int) -> None:
    """GitHub refuses one that is too long, and shows nothing."""
    many = [
        finding(f"{'ü|<' * 100}-{number}", outcome)
        for number in range(3000)
        for outcome in ("vulnerable", "inconclusive", "too-strict")
    ]
    audited = report(*many)
    told = as_markdown(audited, conclude(audited), room)
    assert len(told.encode()) <= room
    if room >= 5000:
        assert "Exit code 1" in told
        assert "more" in told
    assert_nothing_is_obeyed(told)


def test_a_summary_is_added_and_takes_nobodys_place(tmp_path: Path) -> None:
    path = tmp_path / "summary.md"
    file = AddedTo("--summary", path)
    assert not path.exists()
    file.write("one\n")
    AddedTo("--summary", path).write("two\n")
    assert path.read_text() == "one\ntwo\n"
    with pytest.raises(UserError, match="--summary: cannot write"):
        AddedTo("--summary", tmp_path / "nowhere" / "summary.md")
    with pytest.raises(UserError, match="--summary: cannot write"):
        AddedTo("--summary", tmp_path)


def test_a_summary_goes_into_a_pipe_as_well(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        AddedTo("--summary", path).write("report")
        assert os.read(reader, 100) == b"report"
    finally:
        os.close(reader)
