"""Generates the descriptor set, and types for mypy, from the .proto file.

Usage: python proto/generate.py [DIRECTORY]    (default: the folder of this script)
"""

import sys
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent


def main() -> int:
    out = sys.argv[1] if len(sys.argv) > 1 else str(PROTO)
    return int(
        protoc.main(
            [
                "protoc",
                f"--proto_path={PROTO}",
                f"--pyi_out={out}",
                f"--descriptor_set_out={out}/users.binpb",
                "--include_imports",
                "users/v1/users.proto",
            ]
        )
    )


if __name__ == "__main__":
    sys.exit(main())
