"""`.proto` files to descriptors, by the compiler that grpcio-tools bring."""

import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mitm.errors import UserError

_PLACED = re.compile(r"\S+?:\d+:\d+: ")  # FILE:LINE:COLUMN, as gcc writes it
_NOT_FOUND = re.compile(r'Import "(.+)" was not found')


def compile_protos(files: Sequence[Path], folders: Sequence[Path]) -> FileDescriptorSet:
    """Compile files, and all that they import.

    Args:
        files: the `.proto` files.
        folders: where imports start from. A file that lies in none of them has its own folder
            added to them.

    Raises:
        UserError: there is no compiler, or it rejects a file; file and line are named.
    """
    if importlib.util.find_spec("grpc_tools") is None:
        raise UserError(
            "--proto takes the compiler of grpcio-tools: pip install grpcio-tools; "
            "or compile elsewhere (protoc --include_imports -o FILE) and use --descriptor-set FILE"
        )
    for path in [*files, *folders]:
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    roots = [folder.resolve() for folder in folders]
    names = []
    for file in (file.resolve() for file in files):
        if not any(file.is_relative_to(root) for root in roots):
            roots.append(file.parent)
        names.append(str(file))
    with tempfile.TemporaryDirectory(prefix="mitm-demo-") as folder:
        out = Path(folder) / "set.binpb"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "grpc_tools.protoc",
                *(f"--proto_path={root}" for root in roots),
                f"--descriptor_set_out={out}",
                "--include_imports",
                *names,
            ],
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
        )
        if done.returncode or not out.exists():
            raise UserError(_explain(done.stderr))
        return FileDescriptorSet.FromString(out.read_bytes())


def _explain(said: str) -> str:
    """The line of the compiler's output that says where the mistake is."""
    lines = [line for line in said.splitlines() if ": warning: " not in line]
    placed = [line for line in lines if _PLACED.match(line)]
    line = (placed or lines[-1:] or ["the compiler has failed without a word"])[0]
    hint = ": name the folder that it starts from with --proto-path"
    return f"--proto: {line.strip()}{hint if _NOT_FOUND.search(line) else ''}"
