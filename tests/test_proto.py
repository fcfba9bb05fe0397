"""The stubs that are checked in are those that the .proto makes."""

import sys
from pathlib import Path

from mitm import content
from tests.programs import run

GENERATED = ("users/v1/users_pb2.py", "users/v1/users_pb2.pyi", "users/v1/users_pb2_grpc.py")


def test_the_stubs_have_not_drifted_from_the_proto(tmp_path: Path) -> None:
    result = run(sys.executable, content.PROTO / "generate.py", tmp_path)
    assert result.code == 0, result.err
    for name in (*GENERATED, "users.binpb"):
        fresh, checked_in = tmp_path / name, content.PROTO / name
        assert fresh.read_bytes() == checked_in.read_bytes(), f"{name}: run `make proto`"
