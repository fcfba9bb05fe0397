"""The messages of users.v1, made of the descriptors in users.binpb when this is loaded."""

import os
import sys
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

NAME = "users.v1.UserService"

# The lab tells a copy of this, which stands elsewhere, where they are.
_proto = Path(os.environ.get("MITM_PROTO") or Path(__file__).resolve().parents[2] / "proto")
try:
    _binpb = (_proto / "users.binpb").read_bytes()
except OSError as error:
    print(f"client: {error}; set MITM_PROTO to the folder proto of mitm-demo", file=sys.stderr)
    sys.exit(2)

_pool = descriptor_pool.DescriptorPool()
for _file in descriptor_pb2.FileDescriptorSet.FromString(_binpb).file:
    _pool.Add(_file)


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_pool.FindMessageTypeByName(f"users.v1.{name}"))


GetUserRequest = _message("GetUserRequest")
User = _message("User")
