"""What stands beside the .proto is what it makes, and what Python makes of that fits."""

import sys
from pathlib import Path

from mitm import content
from mitm.descriptors import load_descriptor_set
from tests.programs import run

sys.path.insert(0, str(content.PROTO))

import user_service

GENERATED = ("users/v1/users_pb2.pyi", "users.binpb")


def test_what_is_generated_has_not_drifted_from_the_proto(tmp_path: Path) -> None:
    result = run(sys.executable, content.PROTO / "generate.py", tmp_path)
    assert result.code == 0, result.err
    for name in GENERATED:
        fresh, checked_in = tmp_path / name, content.PROTO / name
        assert fresh.read_bytes() == checked_in.read_bytes(), f"{name}: run `make proto`"


def test_the_methods_for_python_are_those_of_the_proto() -> None:
    (file,) = load_descriptor_set(content.PROTO / "users.binpb").file
    (service,) = file.service
    assert f"{file.package}.{service.name}" == user_service.NAME
    told = {
        name: (kind, *(f".{each.DESCRIPTOR.full_name}" for each in types))
        for name, (kind, *types) in user_service.METHODS.items()
    }
    words = {False: "unary", True: "stream"}
    assert told == {
        method.name: (
            f"{words[method.client_streaming]}_{words[method.server_streaming]}",
            method.input_type,
            method.output_type,
        )
        for method in service.method
    }


def test_nothing_that_runs_was_generated() -> None:
    """Generated stubs refuse a protobuf or grpcio that is older than their generator."""
    assert not list(content.PROTO.rglob("*_pb2*.py"))
