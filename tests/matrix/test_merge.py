"""Several hosts share a matrix."""

import itertools
import json
from pathlib import Path

import pytest
from msgspec import structs

from mitm.errors import UserError
from mitm.matrix.conclusion import conclude
from mitm.matrix.merge import merge
from mitm.matrix.record import Matrix, Share, load_matrix
from tests.matrix.made import cell, matrix, row
from tests.programs import client_folder, mitm_demo, refused

ROWS = [row(cell("x", "kept"), client=name) for name in ("a", "b", "c")]


def shard(number: int, of: int = 3) -> Matrix:
    share = Share((number,), of, len(ROWS))
    return structs.replace(matrix(*ROWS[number - 1 :: of]), share=share)


def merged(*parts: Matrix) -> Matrix:
    return merge([(Path(f"{number}.json"), part) for number, part in enumerate(parts, 1)])


def test_all_shards_are_the_whole() -> None:
    for order in itertools.permutations([1, 2, 3]):
        whole = merged(*map(shard, order))
        assert [each.client for each in whole.rows] == ["a", "b", "c"]
        assert conclude(whole, whole=True) == conclude(matrix(*ROWS))


def test_a_missing_shard_is_never_clean() -> None:
    for some in itertools.combinations([1, 2, 3], 2):
        conclusion = conclude(merged(*map(shard, some)), whole=True)
        assert conclusion.exit_code == 3
        assert "missing: shard" in conclusion.reason
    broken = structs.replace(shard(1), rows=(row(cell("x", "broken"), client="a"),))
    assert conclude(merged(broken, shard(2)), whole=True).exit_code == 1
    assert conclude(shard(1)).exit_code == 0


def test_hosts_with_other_clients_are_merged_and_a_missing_one_is_taken_where_it_is() -> None:
    here = matrix(ROWS[0], row(client="b", state="missing"))
    there = matrix(row(client="a", state="missing"), ROWS[1])
    for parts in ((here, structs.replace(there, cases=here.cases)),):
        for order in (parts, parts[::-1]):
            states = {each.client: each.state for each in merged(*order).rows}
            assert states == {"a": "tried", "b": "tried"}


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (shard(1), r"shard 1 of 3 stands in both 1\.json and 2\.json"),
        (structs.replace(shard(2), name="other.example"), "another name under test"),
        (structs.replace(shard(2), tool={"name": "x"}), "another version"),
        (structs.replace(shard(2), cases=()), "another choice of certificates"),
        (structs.replace(shard(2), share=None), "another number of shards"),
        (structs.replace(shard(2), share=Share((2,), 2, 3)), "another number of shards"),
        (structs.replace(shard(2), share=Share((4,), 3, 3)), "there are none such"),
        (structs.replace(shard(2), rows=()), "is not whole: it has 0 of 1 rows"),
        (structs.replace(shard(2), rows=(ROWS[0],)), "a with policy ca-file stands in both"),
        (structs.replace(shard(2), made_of="other files"), "another choice of certificates"),
    ],
)
def test_what_does_not_belong_together_is_refused(second: Matrix, said: str) -> None:
    with pytest.raises(UserError, match=said):
        merged(shard(1), second)


def test_one_that_was_interrupted_is_refused() -> None:
    begun = structs.replace(matrix(ROWS[0]), to_try=2)
    with pytest.raises(UserError, match=r"1\.json is not whole: it has 1 of 3 rows"):
        merged(begun)
    assert merged(structs.replace(begun, to_try=0)).rows == (ROWS[0],)


def test_two_versions_of_one_client_are_not_one_client() -> None:
    here = matrix(row(cell("x", "kept"), version="go 1"))
    there = matrix(row(cell("x", "kept"), version="go 2", policy="pinned"))
    with pytest.raises(UserError, match="another version of go: go 2 and go 1"):
        merged(here, there)
    absent = row(state="missing", policy="pinned")
    assert len(merged(here, structs.replace(here, rows=(absent,))).rows) == 2


def test_two_hosts_share_a_matrix(tmp_path: Path) -> None:
    names = [client_folder(tmp_path / name, "raise SystemExit(1)\n") for name in ("a", "b")]
    chosen = ("--clients", ",".join(map(str, names)), "--policies", "insecure")
    words = ("matrix", *chosen, "--certs", "attacker-ca")
    paths = [tmp_path / f"{number}.json" for number in (1, 2)]
    for number, path in enumerate(paths, 1):
        mitm_demo(*words, "--shard", f"{number}/2", "--json", path)
        assert len(load_matrix("--json", path).rows) == 1
    page = tmp_path / "matrix.html"
    both = mitm_demo("merge", "--json", "--html", page, *paths)
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert '"client": "b"' in page.read_text()
    assert len(json.loads(both.out)["rows"]) == 2
    assert json.loads(both.out)["share"] is None
    assert "missing: shard 2 of 2" in mitm_demo("merge", paths[0]).out
    assert "--junit is for the reports of an audit" in refused(
        mitm_demo("merge", "--junit", tmp_path / "x.xml", *paths)
    )
    assert "only 2 rows" in refused(mitm_demo(*words, "--shard", "1/3"))
