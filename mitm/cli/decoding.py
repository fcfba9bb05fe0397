"""How a command is told what the messages that pass are made of."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from mitm import content
from mitm.address import Address
from mitm.cli.loop import in_loop
from mitm.cli.streams import tell
from mitm.descriptors import load_descriptor_set
from mitm.descriptors.protoc import compile_protos
from mitm.errors import UserError
from mitm.messages import Schema

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(path_type=Path, dir_okay=False)
_FOLDER = click.Path(path_type=Path, file_okay=False)


def decoding_options(command: F) -> F:
    """Give a command `--proto`, `--proto-path`, `--descriptor-set` and `--reflection`."""
    for option in (
        click.option("--reflection", is_flag=True, help=_REFLECTION),
        click.option(
            "--descriptor-set", "descriptor_sets", type=_FILE, multiple=True, help=_DESCRIPTOR_SET
        ),
        click.option(
            "--proto-path",
            "proto_paths",
            type=_FOLDER,
            multiple=True,
            metavar="DIR",
            help="Where the imports of --proto start from. May be repeated.",
        ),
        click.option("--proto", "protos", type=_FILE, multiple=True, help=_PROTO),
    ):
        command = option(command)
    return command


_PROTO = "Decode messages by a .proto file; takes grpcio-tools. May be repeated."
_DESCRIPTOR_SET = "Decode messages by a set that protoc has written. May be repeated."
_REFLECTION = "Decode messages by what the upstream's reflection service tells."


class Descriptors(NamedTuple):
    """What the user has named; where two know the same method, the first one's word counts."""

    protos: tuple[Path, ...]
    proto_paths: tuple[Path, ...]
    descriptor_sets: tuple[Path, ...]
    reflection: bool

    def schema(
        self, upstream: Address | None, present: Callable[[ssl.SSLContext], None] | None = None
    ) -> Schema:
        """All of it, and the lab's own service; what is missing is told in a line on stderr.

        Args:
            upstream: the server to ask, if it is to be asked; None if it is not known yet.
            present: has TLS present a client certificate to it; None for none.

        Raises:
            UserError: a file cannot be used at all, or there is nobody to ask.
        """
        schema = Schema()
        if self.protos:
            schema.add(compile_protos(self.protos, self.proto_paths), "proto")
        elif self.proto_paths:
            raise UserError("--proto-path is for the imports of --proto: name a file with --proto")
        for path in self.descriptor_sets:
            schema.add(load_descriptor_set(path), "descriptor-set")
        if self.reflection:
            if upstream is None:
                raise UserError("--reflection needs to know whom to ask: add --upstream HOST:PORT")
            self._reflect(upstream, schema, present)
        for reason in schema.unusable:
            tell(f"descriptors left out: {reason}; messages of its types are guessed")
        schema.add(load_descriptor_set(content.PROTO / "users.binpb"), "descriptors")
        return schema

    @staticmethod
    def _reflect(
        upstream: Address, schema: Schema, present: Callable[[ssl.SSLContext], None] | None
    ) -> None:
        # It brings the h2 library, which nobody else needs here.
        from mitm.descriptors.reflection import reflect

        try:
            schema.add(in_loop(reflect(upstream, present)), "reflection")
        except UserError as error:
            tell(f"--reflection: {error}; messages are guessed where nothing else is known")
