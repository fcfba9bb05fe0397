"""Asking a server for its descriptors: with grpcio's own service, and with servers gone wrong."""

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha import reflection_pb2

from mitm import content, pki
from mitm.address import Address
from mitm.descriptors import reflection
from mitm.descriptors.reflection import reflect
from mitm.errors import UserError
from mitm.messages import Schema
from tests.programs import run

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"

Response = reflection_pb2.ServerReflectionResponse
Answer = Callable[[reflection_pb2.ServerReflectionRequest], Any]

USERS = FileDescriptorSet.FromString((content.PROTO / "users.binpb").read_bytes()).file[0]


def _file(name: str, *imports: str) -> FileDescriptorProto:
    file = FileDescriptorProto(name=f"{name}.proto", package=name, syntax="proto3")
    file.dependency.extend(f"{each}.proto" for each in imports)
    file.message_type.add(name="Note")
    return file


def _service(name: str, *imports: str) -> FileDescriptorProto:
    file = _file(name, *imports)
    used = imports[0] if imports else name
    method = file.service.add(name="Service").method.add(name="Do")
    method.input_type = method.output_type = f".{used}.Note"
    return file


def _tells(*files: FileDescriptorProto, together: bool) -> Answer:
    """A reflection service for these files.

    Args:
        together: whether it sends the imports of a file along with it.
    """
    by_name = {file.name: file for file in files}
    homes = {f"{file.package}.{each.name}": file for file in files for each in file.service}

    def answer(request: reflection_pb2.ServerReflectionRequest) -> Any:
        response = Response()
        if request.list_services:
            for name in homes:
                response.list_services_response.service.add(name=name)
            return response
        asked = request.file_containing_symbol
        file = homes.get(asked) if asked else by_name.get(request.file_by_filename)
        if file is None:
            response.error_response.error_code = 5
            return response
        sent = [file] + ([by_name[n] for n in file.dependency if n in by_name] if together else [])
        for each in sent:
            response.file_descriptor_response.file_descriptor_proto.append(each.SerializeToString())
        return response

    return answer


@contextlib.contextmanager
def _serving(
    answer: Answer, *services: str, credentials: grpc.ServerCredentials | None = None
) -> Iterator[Address]:
    """A server of grpcio's that has only these services."""

    def answers(requests: Iterator[Any], _: object) -> Iterator[Any]:
        return map(answer, requests)

    def serialize(answer: Any) -> bytes:
        return answer if isinstance(answer, bytes) else answer.SerializeToString()

    handler = grpc.stream_stream_rpc_method_handler(
        answers, reflection_pb2.ServerReflectionRequest.FromString, serialize
    )
    server = grpc.server(ThreadPoolExecutor(2))
    for service in services:
        methods = {"ServerReflectionInfo": handler}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
    address = "127.0.0.1:0"
    port = (
        server.add_secure_port(address, credentials)
        if credentials
        else server.add_insecure_port(address)
    )
    server.start()
    try:
        yield Address("127.0.0.1", port)
    finally:
        server.stop(0).wait()


def _schema(address: Address) -> Schema:
    return Schema(asyncio.run(reflect(address)), "reflection")


@pytest.mark.parametrize("services", [(V1,), (V1ALPHA,), (V1, V1ALPHA)])
def test_either_version_of_the_service_is_asked(services: tuple[str, ...]) -> None:
    with _serving(_tells(USERS, together=False), *services) as address:
        assert _schema(address).services() == ["users.v1.UserService"]


@pytest.mark.parametrize("together", [True, False])
def test_what_a_file_imports_is_asked_for_as_well(together: bool) -> None:
    files = [
        _service("a", "b", "c"),
        _file("b", "d"),
        _file("c", "d"),
        _file("d", "e"),
        _file("e"),
        _service("f"),
    ]
    with _serving(_tells(*files, together=together), V1) as address:
        schema = _schema(address)
    assert schema.services() == ["a.Service", "f.Service"]
    assert schema.unusable == []


def test_what_the_server_cannot_tell_is_left_out() -> None:
    with _serving(_tells(_service("a", "b"), _service("f"), together=False), V1) as address:
        schema = _schema(address)
    # All that the service of `a` takes and gives is in it.
    assert schema.services() == ["f.Service"]
    assert schema.unusable == ["a.proto: b.proto is missing"]


def test_a_file_of_nothing_but_options_is_not_missed() -> None:
    shop = _service("shop")
    shop.dependency.append("opts.proto")
    with _serving(_tells(shop, together=False), V1) as address:
        schema = _schema(address)
    assert schema.services() == ["shop.Service"]
    assert schema.unusable == []


@pytest.mark.parametrize("how", ["status", "rubbish"])
def test_a_file_that_the_server_does_not_tell_costs_no_other(how: str) -> None:
    """However it says so: by ending the call, or with bytes that are no descriptor."""
    shop, other = _service("shop"), _service("other")
    shop.dependency.append("opts.proto")
    told = _tells(shop, other, together=False)
    files = Response()
    files.file_descriptor_response.file_descriptor_proto.append(b"\xff")

    def answer(request: reflection_pb2.ServerReflectionRequest) -> Any:
        if request.file_by_filename:
            if how == "rubbish":
                return files
            raise LookupError("no such file")
        return told(request)

    with _serving(answer, V1) as address:
        schema = _schema(address)
    assert schema.services() == ["other.Service", "shop.Service"]
    assert schema.unusable == []


def test_names_that_are_not_text_cost_their_file_alone() -> None:
    odd = _service("oddity").SerializeToString().replace(b"oddity", b"\xff\xfedity")
    told = _tells(_service("shop"), together=False)

    def answer(request: reflection_pb2.ServerReflectionRequest) -> Any:
        response = told(request)
        if request.list_services:
            response.list_services_response.service.add(name="odd.Service")
        if request.file_containing_symbol == "odd.Service":
            response.Clear()
            response.file_descriptor_response.file_descriptor_proto.append(odd)
        return response

    with _serving(answer, V1) as address:
        schema = _schema(address)
    assert schema.services() == ["shop.Service"]
    assert len(schema.unusable) == 1


def test_no_stubs_are_needed_for_it() -> None:
    program = (
        "import sys, mitm.descriptors.reflection as r\n"
        "sys.exit('grpc_reflection' in sys.modules or 'grpc' in sys.modules)\n"
    )
    assert run(sys.executable, "-c", program).code == 0


@pytest.mark.parametrize("certificate", ["expired", "wrong-host", "self-signed"])
def test_whatever_certificate_the_server_shows_is_taken(certificate: str) -> None:
    authorities = pki.Authorities(["localhost", "127.0.0.1"])
    recipe = pki.load_recipe(certificate)
    chain = pki.forge(recipe, recipe.dialled("localhost"), authorities, datetime.now(UTC))
    credentials = grpc.ssl_server_credentials([(chain.key_pem, chain.pem)])
    answer = _tells(USERS, together=False)
    with _serving(answer, V1, credentials=credentials) as address:
        assert _schema(address).services() == ["users.v1.UserService"]


def _refusal(address: Address) -> str:
    with pytest.raises(UserError) as refusal:
        asyncio.run(reflect(address))
    assert "\n" not in str(refusal.value)
    assert str(address) in str(refusal.value)
    return str(refusal.value)


def test_a_server_that_insists_on_a_client_certificate_is_given_one_or_said_to() -> None:
    authorities = pki.Authorities(["localhost", "client.example"])
    chain = pki.forge(pki.load_recipe("genuine"), "localhost", authorities)
    own, others = (
        pki.forge(pki.load_recipe(recipe), "client.example", authorities, purpose="client")
        for recipe in ("genuine", "attacker-ca")
    )
    insisting = grpc.ssl_server_credentials(
        [(chain.key_pem, chain.pem)], authorities.lab.pem, require_client_auth=True
    )
    with _serving(_tells(USERS, together=False), V1, credentials=insisting) as address:
        assert "add --client-cert FILE and --client-key FILE" in _refusal(address)
        with pytest.raises(UserError, match="the server refused the client certificate: no alert"):
            asyncio.run(reflect(address, partial(pki.load_chain, chain=others)))
        told = asyncio.run(reflect(address, partial(pki.load_chain, chain=own)))
        assert Schema(told, "reflection").services() == ["users.v1.UserService"]


def test_a_server_without_the_service_is_said_to_be_one() -> None:
    with _serving(_tells(together=False)) as address:
        assert "does not tell its services by reflection: UNIMPLEMENTED" in _refusal(address)


def test_a_server_that_names_no_service_is_said_to() -> None:
    with _serving(_tells(together=False), V1) as address:
        assert "names no file of any service" in _refusal(address)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"\xff\xff", "not one of the reflection service"),
        (b"", "names no file"),
        (
            Response(
                list_services_response=reflection_pb2.ListServiceResponse(
                    service=[reflection_pb2.ServiceResponse(name="a.B")]
                ),
                file_descriptor_response=reflection_pb2.FileDescriptorResponse(
                    file_descriptor_proto=[b"\xff"]
                ),
            ).SerializeToString(),
            "names no file",  # the two are a oneof: the last one counts, and it lists nothing
        ),
    ],
)
def test_an_answer_that_is_none_is_said_to_be_none(answer: bytes, said: str) -> None:
    with _serving(lambda _: answer, V1) as address:
        assert said in _refusal(address)


def test_what_is_no_descriptor_is_said_to_be_none() -> None:
    def answer(request: reflection_pb2.ServerReflectionRequest) -> Any:
        response = Response()
        if request.list_services:
            response.list_services_response.service.add(name="a.B")
        else:
            response.file_descriptor_response.file_descriptor_proto.append(b"\xff")
        return response

    with _serving(answer, V1) as address:
        assert "no descriptor" in _refusal(address)


def test_files_without_end_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "MAX_FILES", 20)

    def answer(request: reflection_pb2.ServerReflectionRequest) -> Any:
        response = Response()
        if request.list_services:
            response.list_services_response.service.add(name="a.B")
            return response
        number = request.file_by_filename.removeprefix("n").removesuffix(".proto") or "0"
        file = _file(f"n{number}", f"n{int(number) + 1}")
        response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
        return response

    with _serving(answer, V1) as address:
        assert "more than 20 files" in _refusal(address)


@contextlib.contextmanager
def _speaking(said: bytes) -> Iterator[Address]:
    """A server that says this to everybody, whatever it is told, and closes; b"" says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            kept = []
            while not done.is_set():
                with contextlib.suppress(OSError):
                    client, _ = listener.accept()
                    kept.append(client)
                    if said:
                        client.sendall(said)
                        client.shutdown(socket.SHUT_WR)
            for client in kept:
                client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Address(*listener.getsockname()[:2])
        finally:
            done.set()
            with contextlib.suppress(OSError):
                socket.create_connection(listener.getsockname()).close()
            thread.join()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "has closed the connection"),
        (b"\0\0\1\4\0\0\0\0\0x", "does not speak gRPC"),  # SETTINGS of one byte
        (b"\0\0\0\4\0\0\0\0\0", "has closed the connection"),  # SETTINGS alone
        (b"\0\0\0\4\0\0\0\0\0" + b"\0\0\x08\7\0\0\0\0\0" + 8 * b"\0", "GOAWAY"),
    ],
)
def test_a_server_of_another_kind_is_said_to_be_one(said: bytes, reason: str) -> None:
    with _speaking(said) as address:
        assert reason in _refusal(address)


def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reflection, "REFLECTION_SECONDS", 0.3)
    with _speaking(b"") as address:
        assert "has not told its services within 0.3 s" in _refusal(address)


def test_a_server_that_is_not_there_is_said_not_to_be() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert "Connection refused" in _refusal(Address(*closed.getsockname()))
