"""Several processes behind one port, and their events as one ordered log.

The first process listens, hands each client to a worker in turn, and puts together what they tell.
Clients of gRPC are few and stay: who accepts first would be left with most of them, so it is the
first process that accepts (as in Node's cluster module), and not the kernel that distributes.
"""

import asyncio
import contextlib
import multiprocessing
import multiprocessing.context
import signal
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from mitm import events
from mitm.address import Address
from mitm.errors import UserError
from mitm.events import AnyEvent, Event
from mitm.proxy.interceptor import Interceptor
from mitm.proxy.ordered_log import OrderedLog

# Seconds between the signs of life of a worker that has nothing to tell: so much later than it
# happened is an event shown, at the most.
BEAT = 0.05

# Seconds that workers have to end; their connections are cut off at once.
END_LIMIT = 10.0

# Seconds until a client is offered again that no worker had room for in its queue.
_RETRY = 0.01

# With the client's socket goes its number, its port and its host: an IPv6 address with a zone is 60
# characters at the most (INET6_ADDRSTRLEN and IFNAMSIZ).
_CLIENT = struct.Struct("!QH62s")
_LENGTH = struct.Struct("!I")
_READ_SIZE = 2**20

Phase = Literal["hello", "handshake", "established", "tunnelled"]
# What begins with these events; None: nothing more, it is over.
_TURNS: dict[type[Event], Phase | None] = {
    events.CertificatePresented: "handshake",
    events.HandshakeCompleted: "established",
    events.Plaintext: "established",
    events.Tunnelled: "tunnelled",
    events.Closed: None,
}

# A time before which the worker will tell of nothing any more, and what it has to tell.
_Told = tuple[float, list[AnyEvent]]


class _Worker:
    """A worker, as the first process sees it."""

    def __init__(
        self, index: int, process: multiprocessing.context.ForkProcess, channel: socket.socket
    ) -> None:
        self.index = index
        self.process = process
        self.channel = channel
        self.unread = bytearray()
        self.ended = False


class _Open:
    """A connection that a worker has."""

    def __init__(self, worker: _Worker) -> None:
        self.worker = worker
        self.phase: Phase = "hello"


class Workers:
    """The processes that see an interceptor's connections through, for `async with`.

    They are forked here and now, which must be before there is an event loop. They end with the
    block, and with the process that has started them, however it ends.

    Args:
        interceptor: whose connections; it must not have been entered yet. All workers present the
            chains that it has.
        count: how many.
        on_event: is told of the events of all, ordered by time.
        on_loss: is told in a line of each worker that has died.
        run: runs a coroutine in a worker, as `asyncio.run` does.
    """

    def __init__(
        self,
        interceptor: Interceptor,
        count: int,
        *,
        on_event: Callable[[Event], None],
        on_loss: Callable[[str], None],
        run: Callable[[Coroutine[Any, Any, None]], None] = asyncio.run,
    ) -> None:
        self._on_loss = on_loss
        self._log = OrderedLog(count, on_event)
        self._open: dict[int, _Open] = {}
        self._decode = msgspec.msgpack.Decoder(_Told).decode
        self._waiting: deque[tuple[int, socket.socket, Address]] = deque()
        self._ending = False
        self._turn = 0
        self._workers: list[_Worker] = []
        interceptor.hand_over = self._hand_over
        # A signal in the middle of this would find a worker that does not know yet what to do.
        blocked = signal.pthread_sigmask(
            signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        )
        try:
            for index in range(count):
                ours, theirs = socket.socketpair()
                # A worker ends when nobody holds the other end of its channel any more.
                not_its = [ours, *(worker.channel for worker in self._workers)]
                process = multiprocessing.get_context("fork").Process(
                    target=_work, args=(interceptor, theirs, not_its, blocked, run), daemon=True
                )
                process.start()
                theirs.close()
                self._workers.append(_Worker(index, process, ours))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    async def __aenter__(self) -> Self:
        """Begin to listen to the workers."""
        loop = asyncio.get_running_loop()
        self._gone = loop.create_future()
        for worker in self._workers:
            loop.add_reader(worker.channel, self._read, worker)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending = True
        for _, client, _ in self._waiting:
            client.close()
        self._waiting.clear()
        for worker in self._alive:
            with contextlib.suppress(OSError):
                worker.channel.shutdown(socket.SHUT_WR)
        try:
            await asyncio.wait([self._gone], timeout=END_LIMIT)
        finally:
            for worker in self._alive:
                worker.process.kill()
                self._end(worker)

    async def wait(self) -> None:
        """Wait, for as long as there is a worker.

        Raises:
            UserError: the last one has died.
        """
        await asyncio.shield(self._gone)
        raise UserError("no worker is left; start the command again")

    @property
    def _alive(self) -> list[_Worker]:
        return [worker for worker in self._workers if not worker.ended]

    def _hand_over(self, number: int, client: socket.socket, address: Address) -> None:
        self._waiting.append((number, client, address))
        if len(self._waiting) == 1:
            self._offer()

    def _offer(self) -> None:
        """Hand the clients that wait to the workers, one after the other in turn."""
        while self._waiting and self._alive:
            number, client, (host, port) = self._waiting[0]
            record = _CLIENT.pack(number, port, host.encode())
            if not any(self._give(worker, number, record, client) for worker in self._in_turn()):
                # They have as much in their queues as the kernel allows.
                asyncio.get_running_loop().call_later(_RETRY, self._offer)
                return
            client.close()
            self._waiting.popleft()

    def _in_turn(self) -> list[_Worker]:
        alive = self._alive
        self._turn += 1
        at = self._turn % len(alive)
        return alive[at:] + alive[:at]

    def _give(self, worker: _Worker, number: int, record: bytes, client: socket.socket) -> bool:
        try:
            socket.send_fds(worker.channel, [record], [client.fileno()], socket.MSG_DONTWAIT)
        except OSError:
            # Full; or the worker has died, which the end of its channel tells.
            return False
        self._open[number] = _Open(worker)
        return True

    def _read(self, worker: _Worker) -> None:
        try:
            data = worker.channel.recv(_READ_SIZE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end(worker)
            return
        worker.unread += data
        at = 0
        while len(worker.unread) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(worker.unread, at)
            end = at + _LENGTH.size + length
            if len(worker.unread) < end:
                break
            mark, told = self._decode(worker.unread[at + _LENGTH.size : end])
            for event in told:
                if type(event) in _TURNS:
                    self._note(event)
            self._log.add(worker.index, mark, told)
            at = end
        del worker.unread[:at]

    def _note(self, event: Event) -> None:
        """Keep in mind how far each connection has come, for the case that its worker dies."""
        if phase := _TURNS[type(event)]:
            self._open[event.connection].phase = phase
        else:
            del self._open[event.connection]

    def _end(self, worker: _Worker) -> None:
        """See to it that a worker is gone; if it was not to go, say so."""
        asyncio.get_running_loop().remove_reader(worker.channel)
        worker.channel.close()
        worker.ended = True
        worker.process.join(END_LIMIT)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        lost = {number: each for number, each in self._open.items() if each.worker is worker}
        now = time.time()
        for number, each in lost.items():
            del self._open[number]
            closed = events.Closed(
                time=now,
                connection=number,
                by="attacker",
                how="error",
                phase=each.phase,
                reason="its worker has died",
            )
            self._log.add(worker.index, now, [closed])
        self._log.end(worker.index)
        if not self._ending:
            code = worker.process.exitcode or 0
            how = f"was killed by signal {-code}" if code < 0 else f"has ended with code {code}"
            left = len(self._alive)
            self._on_loss(
                f"worker process {worker.process.pid} {how}, with {len(lost)} connections; "
                f"{left} of {len(self._workers)} workers are left"
            )
        if not self._alive:
            self._gone.set_result(None)


def _work(
    interceptor: Interceptor,
    channel: socket.socket,
    not_its: list[socket.socket],
    blocked: set[int | signal.Signals],
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    """What a worker does, from its first step to its last."""
    for each in not_its:
        each.close()
    # Ctrl-C reaches the first process as well, which then ends its workers in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    run(_Work(interceptor, channel).do())


class _Work:
    """Takes clients from the first process, and tells it what is seen of them."""

    def __init__(self, interceptor: Interceptor, channel: socket.socket) -> None:
        self._interceptor = interceptor
        self._channel = channel
        self._encode = msgspec.msgpack.Encoder().encode
        self._untold: list[Event] = []
        interceptor.become_a_worker(self._see)

    async def do(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        beating = asyncio.create_task(self._beat())
        async with self._interceptor:
            loop.add_reader(self._channel, self._receive)
            # libuv has made it one that does not block (uv_poll_init): where the first process is
            # slow to read, `_tell` waits for it.
            self._channel.setblocking(True)
            await self._over.wait()
            loop.remove_reader(self._channel)
        beating.cancel()
        self._tell()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT)
            self._tell()

    def _receive(self) -> None:
        try:
            record, sockets, _, _ = socket.recv_fds(
                self._channel, _CLIENT.size, 1, socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return
        except OSError:
            record, sockets = b"", []
        if not record:
            self._over.set()
            return
        number, port, host = _CLIENT.unpack(record)
        address = Address(host.rstrip(b"\0").decode(), port)
        if sockets:
            client = socket.socket(fileno=sockets[0])
            client.setblocking(False)
            self._interceptor.take(number, client, address)
            return
        # The kernel has dropped it: there is no file descriptor left in this process.
        now = time.time()
        self._see(events.Connected(time=now, connection=number, client=str(address)))
        reason = "out of file descriptors: raise the limit (ulimit -n)"
        self._see(
            events.Closed(
                time=now,
                connection=number,
                by="attacker",
                how="error",
                phase="hello",
                reason=reason,
            )
        )

    def _see(self, event: Event) -> None:
        # All that is seen in one step of the loop is told at once, when it is over.
        if not self._untold:
            asyncio.get_running_loop().call_soon(self._tell)
        self._untold.append(event)

    def _tell(self) -> None:
        untold, self._untold = self._untold, []
        told = self._encode((time.time(), untold))
        try:
            self._channel.sendall(_LENGTH.pack(len(told)) + told)
        except OSError:
            # There is nobody left to tell.
            self._over.set()
