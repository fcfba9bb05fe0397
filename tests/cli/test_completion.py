"""Names are completed by the shell, by click's own mechanism."""

import os
from pathlib import Path

import pytest

from mitm import content
from mitm.cli.group import COMMANDS
from mitm.lab.clients import clients
from mitm.lab.policies import POLICIES
from mitm.lab.scenario import scenarios
from tests.programs import MITM_DEMO, mitm_demo, run


def completed(line: str) -> list[str]:
    """What bash is given for a line, the last word of which is being typed."""
    words = line.split(" ")
    result = mitm_demo(
        _MITM_DEMO_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    assert result.err == ""
    return result.out.split()


def names(line: str) -> set[str]:
    return {each.removeprefix("plain,") for each in completed(line)}


CERTS = {*content.markdown_files(content.CERTS)}


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("mitm-demo ", {*COMMANDS}),
        ("mitm-demo run ", {*scenarios()}),
        ("mitm-demo run insecure ", {*scenarios()}),
        ("mitm-demo run --client ", {*clients()}),
        ("mitm-demo audit --client ", {*clients()}),
        ("mitm-demo call --client ", {*clients()}),
        ("mitm-demo audit --policy ", {*POLICIES}),
        ("mitm-demo call --policy ", {*POLICIES}),
        ("mitm-demo proxy --cert ", CERTS),
        ("mitm-demo certs --only ", CERTS),
        ("mitm-demo learn check ", {*content.exercise_folders()}),
        ("mitm-demo learn start --stack ", {*content.markdown_files(content.STACKS)}),
        (
            "mitm-demo show ",
            {*content.to_try(), *content.ways(), *scenarios(), *content.session_files()},
        ),
        ("mitm-demo list ", {"scenarios", "certs", "attacks", "offers", "ways", "clients"}),
    ],
)
def test_an_empty_word_is_completed_by_every_name(line: str, known: set[str]) -> None:
    assert names(line) == known


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("mitm-demo ca", {"call"}),
        ("mitm-demo run ski", {"skip-verify"}),
        ("mitm-demo show skip-v", {"skip-verify"}),
        ("mitm-demo show session/r", {"session/rust"}),
        ("mitm-demo call --policy ca", {"ca-file"}),
        ("mitm-demo run ./skip", {"file,./skip"}),
        ("mitm-demo run --client ./my", {"dir,./my"}),
        ("mitm-demo audit -- ./my", {"file,./my"}),
        ("mitm-demo run xyzzy", set()),
        # A folder of clients that is not there, or not yet.
        ("mitm-demo run --clients /nowhere --client rus", {"rust"}),
        ("mitm-demo clients --clients /nowhere build rus", {"rust"}),
        ("mitm-demo matrix --clients rus", {"rust"}),
        ("mitm-demo matrix --clients go --clients rus", {"rust"}),
        ("mitm-demo matrix --clients go,rus", {"go,rust"}),
        ("mitm-demo probe --only no-c", {"no-certificate", "no-certificate-tls-1.2"}),
        ("mitm-demo probe --exclude must,CWE-64", set()),
        ("mitm-demo probe --only must,CWE-63", {"must,CWE-636"}),
        ("mitm-demo matrix --policies insecure,ca", {"insecure,ca-file"}),
    ],
)
def test_a_word_that_was_begun_is_completed(line: str, known: set[str]) -> None:
    assert names(line) == known


def test_a_list_with_commas_is_completed_at_its_end() -> None:
    only = "mitm-demo audit --only "
    assert CERTS | {"must", "should", "info", "CWE-297"} <= names(only)
    assert names(f"{only}must,wrong-s") == {"must,wrong-san"}
    assert "must,CWE-297" in names(f"{only}must,CWE-29")
    assert names("mitm-demo audit --exclude expi") == {
        name for name in CERTS if name.startswith("expi")
    }


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_what_switches_it_on(shell: str) -> None:
    source = mitm_demo(_MITM_DEMO_COMPLETE=f"{shell}_source")
    assert source.code == 0, source.err
    assert f"_MITM_DEMO_COMPLETE={shell}_complete" in source.out


def test_bash_completes_once_it_is_switched_on_as_its_page_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "install.md").read_text()
    line = 'eval "$(_MITM_DEMO_COMPLETE=bash_source mitm-demo)"'
    assert line in page
    script = f"""
{line}
COMP_WORDS=(mitm-demo run ski) COMP_CWORD=2
$(complete -p mitm-demo | sed 's/.*-F \\([^ ]*\\).*/\\1/') mitm-demo
echo "${{COMPREPLY[@]}}"
"""
    path = f"{Path(MITM_DEMO).parent}{os.pathsep}{os.environ['PATH']}"
    result = run("bash", "-c", script, PATH=path)
    assert result.out.split() == ["skip-verify"], result
