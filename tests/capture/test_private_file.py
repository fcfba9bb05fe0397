"""Whole records for the owner alone, and every loss counted."""

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import threading
from pathlib import Path

import pytest

from mitm.capture import private_file
from mitm.capture.private_file import WAITING_LIMIT, PrivateFile
from mitm.errors import UserError


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


def test_beyond_its_limit_there_are_whole_records_without_a_gap(tmp_path: Path) -> None:
    file = PrivateFile(tmp_path / "a", "records", limit=6)
    assert file.append(b"one")
    assert file.append(b"two")
    assert not file.append(b"three")
    assert not file.append(b"")
    file.close()
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    told = f"2 records could not be written to {tmp_path / 'a'}: it may have 6 bytes"
    assert file.loss == told


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


class Pipe:
    """A pipe of a page, and a file that is its end for writing."""

    def __init__(self, folder: Path) -> None:
        path = folder / "fifo"
        os.mkfifo(path)
        self.reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(self.reader, fcntl.F_SETPIPE_SZ, 4096)
        self.file = PrivateFile(path, "records")

    def read(self) -> bytes:
        """All that is there."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.reader, 10_000_000)
        return b""

    def read_all(self) -> bytes:
        """Until it is closed, which takes somebody who reads."""
        os.set_blocking(self.reader, True)
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.extend(iter(self.read, b"")))
        thread.start()
        self.file.close()
        thread.join()
        return b"".join(read)


def test_a_reader_that_is_slow_gets_whole_records_and_holds_up_nobody(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    record = b"x" * 100_000 + b"\n"
    taken = sum(pipe.file.append(record) for _ in range(100))
    assert 0 < taken * len(record) <= WAITING_LIMIT + 4096
    assert pipe.read_all() == record * taken
    assert pipe.file.lost == 100 - taken
    assert pipe.file.loss.endswith("fifo: its reader is too slow")


def test_there_is_room_again_once_it_has_read(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    assert pipe.file.append(b"x" * WAITING_LIMIT)
    assert not pipe.file.append(b"lost" * 2000)
    read = b""
    while len(read) < WAITING_LIMIT:
        read += pipe.read()
        pipe.file.append(b"")
    assert pipe.file.append(b"after")
    assert pipe.read_all() == b"after"
    assert pipe.file.lost == 1


def test_a_reader_that_stops_for_good_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(private_file, "READER_SECONDS", 0.01)
    pipe = Pipe(tmp_path)
    assert pipe.file.append(b"x" * 100_000)
    pipe.file.close()
    assert pipe.file.lost == 1
    assert "its reader has stopped" in pipe.file.loss
    os.close(pipe.reader)


def test_a_reader_that_leaves_is_a_loss(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    assert pipe.file.append(b"x" * 100_000)
    os.close(pipe.reader)
    assert not pipe.file.append(b"after")
    pipe.file.close()
    assert pipe.file.lost == 2
    assert "Broken pipe" in pipe.file.loss


def test_what_waits_is_written_though_nothing_comes(tmp_path: Path) -> None:
    """In an event loop, as of a command."""

    async def play() -> bytes:
        pipe = Pipe(tmp_path)
        assert pipe.file.append(b"x" * 20_000)
        read = b""
        while len(read) < 20_000:
            read += pipe.read()
            await asyncio.sleep(0)
        pipe.file.close()
        os.close(pipe.reader)
        return read

    assert asyncio.run(play()) == b"x" * 20_000


def test_a_pipe_that_nobody_reads_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(UserError, match="nobody reads from it"):
        PrivateFile(tmp_path / "fifo", "records")
