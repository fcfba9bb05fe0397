"""What is tried and how strictly: command line, ini file, marker, arguments."""

import pytest

from tests.plugin.conftest import Run

EACH = "def test_each(forged_server): ...\n"


def ids(result: pytest.RunResult) -> list[str]:
    """The certificates of the items collected."""
    return [line.split("[")[1].rstrip("]") for line in result.outlines if "::" in line]


def collected(run: Run, tests: str, *options: str) -> list[str]:
    return ids(run(tests, "--collect-only", "-q", *options))


def test_certificates_are_chosen_by_name_severity_or_weakness(run: Run) -> None:
    assert collected(run, EACH, "--mitm-certs=self-signed, attacker-ca") == [
        "genuine",
        "attacker-ca",
        "self-signed",
    ]
    everything = set(collected(run, EACH))
    for word, among, not_among in (
        ("must", "self-signed", "no-san"),
        ("should", "no-san", "self-signed"),
        ("CWE-297", "wrong-host", "expired"),
    ):
        chosen = set(collected(run, EACH, f"--mitm-certs={word}"))
        assert among in chosen
        assert not_among in everything - chosen


MINE = "---\ntitle: Mine\nexpect: reject\nchain: [{}]\n---\n\nA lesson.\n"


def test_a_recipe_of_ones_own_goes_by_its_path(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "mine.md").write_text(MINE)
    assert collected(run, EACH, "--mitm-certs=./mine.md,expired") == ["genuine", "expired", "mine"]
    marked = f"import pytest\n@pytest.mark.mitm(only=['./mine.md', 'must'])\n{EACH}"
    assert collected(run, marked)[-1] == "mine"
    assert collected(run, marked, "--mitm-certs=mine.md") == ["genuine", "mine"]
    assert collected(run, marked, "--mitm-certs=expired") == ["genuine", "expired"]
    whole = "import clients\ndef test_it(mitm_audit):\n"
    told = "    assert [f.case.name for f in report.findings] == ['mine']\n"
    call = "    report = mitm_audit(clients.{}, only='./mine.md')\n"
    run(whole + call.format("checks") + told).assert_outcomes(passed=1)
    run(whole + call.format("checks_nothing") + told).assert_outcomes(failed=1)
    run(EACH, "--mitm-certs=./other.md").stdout.fnmatch_lines(
        ["*no certificate or attack file at ./other.md"]
    )


def test_an_unknown_word_is_refused_with_the_nearest_name(run: Run) -> None:
    result = run(EACH, "--mitm-certs=self-sined")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*'self-sined': did you mean 'self-signed'*"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*settings.py*")


def test_the_ini_file_says_what_the_command_line_does_not(
    run: Run, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nmitm_certs = self-signed CWE-299\n")
    assert {"genuine", "self-signed"} < set(collected(run, EACH))
    assert "expired" not in collected(run, EACH)
    assert collected(run, EACH, "--mitm-certs=expired") == ["genuine", "expired"]


def test_pyproject_is_an_ini_file_as_well(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makepyprojecttoml(
        "[tool.pytest.ini_options]\n"
        'mitm_certs = ["self-signed", "expired"]\n'
        "mitm_strict = true\n"
        'mitm_name = "api.shop.example"\n'
        'mitm_timeout = "30"\n'
    )
    result = run(
        """
        import pytest
        from mitm.pytest_plugin.settings import settings_of

        def test_settings(request):
            settings = settings_of(request.node)
            assert [recipe.name for recipe in settings.recipes()] == ["expired", "self-signed"]
            assert settings.strict
            assert settings.name == "api.shop.example"
            assert settings.timeout == 30

        def test_each(forged_server):
            assert forged_server.name == "api.shop.example"
            pytest.skip("that was all")
        """
    )
    result.assert_outcomes(passed=1, skipped=3)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "-1"])
def test_a_timeout_that_is_no_number_is_refused(
    run: Run, pytester: pytest.Pytester, text: str
) -> None:
    pytester.makeini(f"[pytest]\nmitm_timeout = {text}\n")
    result = run("def test_client(mitm_audit): mitm_audit(print)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"mitm_timeout: '{text}' is not a number of seconds"])


def test_a_marker_chooses_for_its_test(run: Run) -> None:
    tests = """
        import pytest

        @pytest.mark.mitm(only="self-signed,expired,no-san", exclude=["should"])
        def test_each(forged_server): ...
        """
    chosen = ["genuine", "expired", "self-signed"]
    assert collected(run, tests, "--strict-markers") == chosen
    # The command line narrows that down.
    assert collected(run, tests, "--mitm-certs=expired,wrong-host") == ["genuine", "expired"]


def test_the_nearest_marker_counts_most_and_an_argument_more(run: Run) -> None:
    result = run(
        """
        import clients, pytest

        pytestmark = pytest.mark.mitm(only="no-san", strict=True)

        def test_of_the_module(mitm_audit):
            mitm_audit(clients.checks_nothing)

        @pytest.mark.mitm(strict=False)
        def test_of_its_own(mitm_audit):
            report = mitm_audit(clients.checks_nothing)
            assert [finding.case.name for finding in report.findings] == ["no-san"]

        @pytest.mark.mitm(strict=False)
        def test_by_argument(mitm_audit):
            mitm_audit(clients.checks_nothing, strict=True)
        """,
        "-v",
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["*::test_of_its_own PASSED*"])


def test_a_misspelt_marker_is_refused(run: Run) -> None:
    result = run(
        """
        import pytest

        @pytest.mark.mitm(onyl="self-signed")
        def test_client(mitm_audit):
            mitm_audit(print)

        @pytest.mark.mitm("self-signed")
        def test_another(mitm_audit):
            mitm_audit(print)
        """
    )
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*::test_client: the marker takes mitm(only, exclude, *, not (onyl)",
            "*::test_another: the marker takes mitm(only, exclude, *, not ('self-signed')",
        ]
    )
    result.stdout.no_fnmatch_line("*settings.py*")


def test_a_test_of_which_nothing_is_left_is_skipped(run: Run) -> None:
    result = run(
        """
        import pytest

        @pytest.mark.mitm(only="self-signed")
        def test_client(mitm_audit):
            mitm_audit(print)
        """,
        "--mitm-certs=expired",
        "-rs",
    )
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*none of this test's certificates*"])


def test_options_and_marker_are_explained(run: Run) -> None:
    result = run("", "--help")
    result.stdout.fnmatch_lines(
        ["forged certificates (mitm-demo):", "*--mitm-certs=WORDS*", "*--mitm-strict*"]
    )
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.mitm(only, exclude, strict, *"])


def test_a_name_that_is_none_is_refused_once_at_collection(run: Run) -> None:
    result = run(EACH, "-o", "mitm_name=a b")
    result.assert_outcomes(errors=1)
    told = [line for line in result.outlines if line.startswith("'a b' is neither a host name")]
    assert len(told) == 1, told
    whole = "def test_it(mitm_audit):\n    mitm_audit(lambda server: None, {})\n"
    for argument in ("name='a b'", "only='self-sined'"):
        result = run(whole.format(argument))
        result.assert_outcomes(failed=1)
        assert "During handling" not in result.stdout.str()
        assert "Error: " not in result.stdout.str()
    collected_all = collected(run, EACH, "-o", "mitm_name=a.example", "--mitm-certs=expired")
    assert collected_all == ["genuine", "expired"]
