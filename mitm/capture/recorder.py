"""What passed on the sockets, as a capture for Wireshark and as a key log."""

import time
from collections import deque
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from mitm.address import Address
from mitm.capture import pcapng
from mitm.capture.key_log import KeyLogPipe
from mitm.capture.private_file import PrivateFile
from mitm.capture.tcp import TcpConnection
from mitm.events import Direction

# Bytes that wait for the secrets of handshakes, which a client may make long. A chain of
# certificates is 100 KiB at the most (OpenSSL's SSL_MAX_CERT_LIST_DEFAULT); beyond ten of those,
# what has passed is worth more in the file than that the oldest handshake can be read.
MAX_HELD = 1024 * 1024

# What a capture begins with: interface 0 is where clients connect, 1 where the server is dialled.
_HEADER = (
    pcapng.section_header(f"mitm-demo {version('mitm-demo')}")
    + pcapng.interface("client-attacker", "between the client and the interceptor")
    + pcapng.interface("attacker-server", "between the interceptor and the server")
)


class Recorder:
    """The tap for an `Interceptor` that records its sockets.

    Both files are readable by their owner alone: with them, all that was encrypted can be read.
    What cannot be written (disk full, say) is counted, and the relay goes on without it.

    Args:
        pcap: the capture to be written, in pcapng with the secrets of the TLS in it.
        key_log: the key log to be written, in the format of NSS (SSLKEYLOGFILE).
        limit: bytes that each of them may have; None for any number.

    Raises:
        UserError: a file cannot be made.

    Attributes:
        key_log: where `ssl` is to append secrets.
    """

    def __init__(self, pcap: Path | None, key_log: Path | None, limit: int | None = None) -> None:
        self._pcap = PrivateFile(pcap, "blocks of the capture", limit) if pcap else None
        self._log = PrivateFile(key_log, "TLS secrets", limit) if key_log else None
        self._pipe = KeyLogPipe()
        self.key_log = self._pipe.path
        self._header = _HEADER
        self._held: _Passed | None = None
        # Those that go on, oldest first, and how much had ever waited when each began.
        self._handshakes: dict[Flow, int] = {}
        self._passed_by = 0
        self._waiting: deque[_Passed] = deque()
        self._size = 0
        self._append(b"")

    def close(self) -> None:
        """Write what waits, and close the files."""
        self._handshakes.clear()
        self._release()
        self.settle()
        self._take_secrets()
        self._pipe.close()
        for file in filter(None, (self._pcap, self._log)):
            file.close()

    @property
    def losses(self) -> list[str]:
        """What was lost and why, a line for each file; complete once the files are closed."""
        return [file.loss for file in (self._pcap, self._log) if file and file.loss]

    def opened(self, local: Address, remote: Address, *, dialled: bool) -> "Flow":
        """Begin to record a connection; see `mitm.proxy.tap`."""
        flow = Flow(self, local, remote, dialled=dialled)
        self.passed(flow.opening())
        return flow

    # A viewer reads from front to back, so secrets have to stand before the packets that need them.
    # Those for what was received are known only when it was looked at, which it has been before
    # anything else can happen: until then it waits. In a handshake that is too early: OpenSSL tells
    # of a server's TLS 1.2 with its own Finished, and of what a client of TLS 1.3 sends when that
    # is sent. What has passed since it began waits for its end, with all that came in between, to
    # stay in order.

    def received(self, passed: "_Passed") -> None:
        """Record what a flow has received, once it has been looked at."""
        self.settle()
        if not self._waits(passed):
            self._held = passed

    def passed(self, passed: "_Passed") -> None:
        """Record anything else."""
        self.settle()
        if not self._waits(passed):
            self._write(passed)

    def settle(self) -> None:
        """What was received so far has been looked at; see `mitm.proxy.tap`."""
        if self._held:
            held, self._held = self._held, None
            self._write(held)

    def hold(self, flow: "Flow") -> None:
        """Wait for a handshake with what passes from now on."""
        self.settle()
        self._handshakes[flow] = self._passed_by

    def release(self, flow: "Flow") -> None:
        """Wait for it no longer."""
        if self._handshakes.pop(flow, None) is not None:
            self._release()

    def _waits(self, passed: "_Passed") -> bool:
        if not self._handshakes:
            return False
        # OpenSSL would wait for room in the pipe.
        self._take_secrets()
        self._waiting.append(passed)
        self._passed_by += 1
        self._size += passed.size
        while self._size > MAX_HELD:
            self._handshakes.pop(next(iter(self._handshakes)))
            self._release()
        return True

    def _release(self) -> None:
        """Write what came before the oldest of the handshakes that go on."""
        oldest = min(self._handshakes.values(), default=self._passed_by)
        while self._waiting and self._passed_by - len(self._waiting) < oldest:
            passed = self._waiting.popleft()
            self._size -= passed.size
            self._write(passed)

    def _write(self, passed: "_Passed") -> None:
        self._take_secrets()
        if self._pcap:
            for packet in passed.packets:
                self._append(pcapng.packet(passed.interface, passed.time, packet))

    def _take_secrets(self) -> None:
        if secrets := self._pipe.take():
            self._append(pcapng.tls_secrets(secrets))
            if self._log:
                for line in secrets.splitlines(keepends=True):
                    self._log.append(line)

    def _append(self, block: bytes) -> None:
        # On a full disk that has room again, the capture begins when it can begin.
        if self._pcap and self._pcap.append(self._header + block):
            self._header = b""


class _Passed(NamedTuple):
    """Packets of one moment.

    Attributes:
        interface: by its number.
        time: nanoseconds since the epoch.
        packets: made only when they are written.
        size: bytes of content.
    """

    interface: int
    time: int
    packets: Iterator[bytes]
    size: int


class Flow:
    """Records one socket; see `mitm.proxy.tap`."""

    def __init__(
        self, recorder: Recorder, local: Address, remote: Address, *, dialled: bool
    ) -> None:
        self._recorder = recorder
        self._interface = 1 if dialled else 0
        self._here: Direction = "client" if dialled else "server"
        self._there: Direction = "server" if dialled else "client"
        self._tcp = TcpConnection(*((local, remote) if dialled else (remote, local)))

    def opening(self) -> _Passed:
        """How the connection came about."""
        return self._now(self._tcp.handshake())

    def received(self, data: bytes) -> None:
        """The peer has sent bytes."""
        self._recorder.received(self._now(self._tcp.data(self._there, data), len(data)))

    def sent(self, data: bytes) -> None:
        """This side has sent bytes."""
        self._recorder.passed(self._now(self._tcp.data(self._here, data), len(data)))

    def received_end(self, *, reset: bool) -> None:
        """The peer has ended its direction, or the connection."""
        self._recorder.passed(self._now(self._tcp.end(self._there, reset=reset)))

    def sent_end(self, *, reset: bool) -> None:
        """This side has."""
        self._recorder.passed(self._now(self._tcp.end(self._here, reset=reset)))

    def secrets_awaited(self) -> None:
        """What passes from now on may need secrets that are still to come."""
        self._recorder.hold(self)

    def secrets_told(self) -> None:
        """They have come, or never will."""
        self._recorder.release(self)

    def _now(self, packets: Iterator[bytes], size: int = 0) -> _Passed:
        return _Passed(self._interface, time.time_ns(), packets, size)
