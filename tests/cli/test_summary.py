"""`--summary`, and the summary of a job on GitHub, by itself."""

from pathlib import Path

import pytest

from tests.programs import mitm_demo, refused

WORDS = ("audit", "--only", "attacker-ca", "--client", "python", "--policy")


@pytest.mark.parametrize(("policy", "code"), [("ca-file", 0), ("skip-verify", 1)])
def test_a_summary_is_added_to_a_file(tmp_path: Path, policy: str, code: int) -> None:
    path = tmp_path / "summary.md"
    path.write_text("# Before\n")
    assert mitm_demo(*WORDS, policy, "--summary", path).code == code
    told = path.read_text()
    assert told.startswith("# Before\n")
    assert f"**Exit code {code}, " in told
    assert ("takes any issuer" in told) is bool(code)


def test_on_github_it_is_added_to_that_of_the_job_by_itself(tmp_path: Path) -> None:
    job, own = tmp_path / "job.md", tmp_path / "own.md"
    job.write_text("# Before\n")
    assert mitm_demo(*WORDS, "ca-file", GITHUB_STEP_SUMMARY=str(job)).code == 0
    assert job.read_text().count("## mitm-demo audit") == 1
    # Named as well, it is written once; another file is written besides.
    words = (*WORDS, "ca-file", "--summary")
    mitm_demo(*words, job, GITHUB_STEP_SUMMARY=str(job))
    assert job.read_text().count("## mitm-demo audit") == 2
    mitm_demo(*words, own, GITHUB_STEP_SUMMARY=str(job))
    assert job.read_text().count("## mitm-demo audit") == 3
    assert own.read_text().count("## mitm-demo audit") == 1


def test_a_job_without_room_for_it_is_told_and_nothing_else_changes(tmp_path: Path) -> None:
    """Nobody has asked for it, and in a container that file is not there."""
    result = mitm_demo(*WORDS, "ca-file", GITHUB_STEP_SUMMARY=str(tmp_path / "not" / "there"))
    assert result.code == 0
    assert "the job is without a summary" in result.err
    asked = mitm_demo(*WORDS, "ca-file", "--summary", tmp_path / "not" / "there")
    assert "--summary: cannot write" in refused(asked)


@pytest.mark.parametrize("option", ["--summary", "--junit", "--sarif"])
def test_what_a_link_leads_to_is_written_if_that_is_anything(tmp_path: Path, option: str) -> None:
    link = tmp_path / "link"
    link.symlink_to("file")
    words = (*WORDS, "ca-file", option)
    assert mitm_demo(*words, link).code == 0
    assert link.is_symlink()
    assert "attacker-ca" in (tmp_path / "file").read_text()
    # Standard output is a pipe here.
    assert "attacker-ca" in mitm_demo(*words, "/dev/stdout").out
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    in_a_job = mitm_demo(*words, tmp_path / "other", GITHUB_STEP_SUMMARY=str(loop))
    assert in_a_job.code == 0
    assert "the job is without a summary" in in_a_job.err
    to_itself = mitm_demo(*words, loop)
    if option == "--summary":
        assert f"{option}: cannot write {loop}" in refused(to_itself)
    else:
        # A report takes the place of what is there.
        assert to_itself.code == 0
        assert "attacker-ca" in loop.read_text()


def test_a_job_whose_summary_is_full_is_left_as_it_is(tmp_path: Path) -> None:
    job = tmp_path / "job.md"
    job.write_bytes(b"x" * (1024 * 1024 - 5))
    assert mitm_demo(*WORDS, "ca-file", GITHUB_STEP_SUMMARY=str(job)).code == 0
    assert job.stat().st_size == 1024 * 1024 - 5
