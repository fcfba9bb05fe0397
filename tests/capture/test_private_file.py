"""Whole records for the owner alone, and every loss counted."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from mitm.capture.private_file import PrivateFile


def test_nothing_lost_is_nothing_to_tell(tmp_path: Path) -> None:
    file = PrivateFile(tmp_path / "a", "records")
    assert file.append(b"one")
    file.close()
    assert (file.lost, file.loss) == (0, "")


def test_a_full_disk_is_told_once_with_number_file_and_reason() -> None:
    file = PrivateFile(Path("/dev/full"), "records")
    assert not file.append(b"one")
    assert not file.append(b"two")
    file.close()
    full = os.strerror(errno.ENOSPC)
    assert file.loss == f"2 records could not be written to /dev/full: {full}"


@pytest.mark.parametrize("whole_directory", [False, True])
def test_what_went_into_a_file_that_was_removed_is_lost(
    tmp_path: Path, whole_directory: bool
) -> None:
    path = tmp_path / "folder" / "a"
    path.parent.mkdir()
    file = PrivateFile(path, "records")
    file.append(b"one")
    if whole_directory:
        shutil.rmtree(path.parent)
    else:
        path.unlink()
    file.append(b"two")
    file.close()
    assert file.loss == f"2 records could not be written to {path}: the file was removed"


def test_after_half_a_record_that_cannot_be_taken_back_nothing_is_written() -> None:
    """What a pipe has taken, it has taken: what came after half a record could not be read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    file = PrivateFile(Path(f"/dev/fd/{writer}"), "records")
    os.set_blocking(file._descriptor, False)
    assert file.append(b"whole")
    assert not file.append(bytes(10_000_000))
    os.read(reader, 10_000_000)  # there is room again
    assert not file.append(b"after")
    assert file.lost == 2
    file.close()
    os.close(writer)
    os.close(reader)
