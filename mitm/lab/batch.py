"""A client of the lab under audit whose processes are kept, and asked one thing after the other.

A JVM takes a second to start, and hundreds of certificates hundreds of them.
"""

import asyncio
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from mitm import pki
from mitm.audit import Endpoint
from mitm.evidence import ClientRun
from mitm.lab.audited import AuditedClient, asked_of
from mitm.lab.client_run import HANG_SECONDS, answered, understood
from mitm.lab.clients import Client, surroundings
from mitm.lab.policies import Trust, environment, options
from mitm.last_words import last_lines
from mitm.programs import GRACE_SECONDS, PARTING_SECONDS, Ended, Program, secrets_of, started

# Seconds that a process has to come up, before it is asked for the first time.
_START_SECONDS = 15.0

_Environment = tuple[tuple[str, str], ...]


class BatchClient(AuditedClient):
    """Asks a client of the lab once about each certificate.

    A process answers one question after the other, and there are as many as there are questions at
    once. One that must be interrupted, or that dies, is given up, and another one started for the
    next question. What a case plants in the environment is for a process of its own. A client whose
    manifest does not say `batch` is started for each question.

        async with BatchClient(await ready(load_client("java")), "ca-file", 10) as client:
            report = await run_audit(suite, client, upstream, subject=client.subject)

    Args:
        client: which one, ready to be run.
        policy: how it is to decide whom to trust.
        time_limit: seconds that one question may take.

    Raises:
        UserError: the client does not know the policy.
    """

    def __init__(self, client: Client, policy: str, time_limit: float) -> None:
        super().__init__(client, policy, time_limit)
        self._idle: defaultdict[_Environment, list[_Process]] = defaultdict(list)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        processes = [process for kept in self._idle.values() for process in kept]
        self._idle.clear()
        try:
            await asyncio.gather(*(process.end() for process in processes))
        finally:
            await super().__aexit__(exc_type, exc, traceback)

    async def _run(self, endpoint: Endpoint, enough: asyncio.Event) -> ClientRun:
        if not self._client.batch:
            return await super()._run(endpoint, enough)
        asked = asked_of(endpoint)
        trust = self._presenting(self._kept(asked.trust))
        environ = endpoint.surroundings(surroundings(environment(self._policy, trust)))
        # Of what is planted, every case has another path.
        kept = not endpoint.system_ca_file and not endpoint.proxy
        question: dict[str, object] = {
            "target": str(asked.target),
            **options(self._policy, trust),
            **asked.more,
            "timeout": self._time_limit,
        }
        process = await self._taken(environ)
        try:
            run = await process.ask(question, self._time_limit, enough)
        except BaseException:
            await process.end()
            raise
        if kept and run.end == "returned":
            self._idle[process.environment].append(process)
        else:
            await process.end()
        words = [str(word) for pair in question.items() for word in pair]
        return run.without_secrets(secrets_of(words, environ))

    def _kept(self, trust: Trust) -> Trust:
        """The same CA by a path that does not change from case to case.

        It stands in the environment of a client that is to take it for the system's roots.
        """
        try:
            pem = trust.ca.read_bytes()
        except OSError:
            return trust
        if self._policy != "system-roots":
            return trust
        path = self._folder / f"{hashlib.sha256(pem).hexdigest()}.pem"
        if not path.exists():
            pki.write_private(path, pem)
        return trust._replace(ca=path)

    async def _taken(self, environ: Mapping[str, str]) -> "_Process":
        """A process that has nothing to do."""
        idle = self._idle[tuple(sorted(environ.items()))]
        while idle:
            process = idle.pop()
            if process.is_sound():
                return process
            await process.end()
        return await _Process.start([*self._client.command, "--batch"], environ)


class _Process:
    """One process of a client, which answers line by line.

    Attributes:
        environment: that it was started in.
    """

    def __init__(self, program: Program, environ: Mapping[str, str], stack: AsyncExitStack) -> None:
        self.environment: _Environment = tuple(sorted(environ.items()))
        self._program = program
        self._stack = stack
        self._starts = True

    @classmethod
    async def start(cls, command: list[str], environ: Mapping[str, str]) -> Self:
        """Start one.

        Raises:
            UserError: it cannot be started.
        """
        async with AsyncExitStack() as stack:
            program = await stack.enter_async_context(started(command, environ, asked=True))
            return cls(program, environ, stack.pop_all())

    async def end(self) -> None:
        """End it, with its children."""
        await self._stack.aclose()

    def is_sound(self) -> bool:
        """Whether it may be asked: it runs, and has said nothing that it was not asked for."""
        return self._program.code is None and not self._program.stdout.take()

    async def ask(
        self, question: Mapping[str, object], seconds: float, enough: asyncio.Event
    ) -> ClientRun:
        """Ask it for a call, and wait for its answer.

        Args:
            question: options of client/README.md, by their names.
            seconds: that it is given.
            enough: when this is set, it need not go on.
        """
        program = self._program
        assert program.stdin
        # It waits for nothing else: what it does not take, it has not lived to read.
        program.stdin.write(json.dumps(question).encode() + b"\n")
        patience = seconds + HANG_SECONDS + (_START_SECONDS if self._starts else 0)
        self._starts = False
        answering = asyncio.ensure_future(program.stdout.first_line())
        ending = asyncio.ensure_future(program.wait())
        stopping = asyncio.ensure_future(enough.wait())
        try:
            await asyncio.wait(
                (answering, ending, stopping),
                timeout=patience,
                return_when=asyncio.FIRST_COMPLETED,
            )
            stopped = stopping.done()
            if stopped and not answering.done():
                await asyncio.wait((answering,), timeout=PARTING_SECONDS)
            at = time.time()
            if ending.done() and not answering.done():
                # Its last words may still be in the pipe.
                await asyncio.wait((answering,), timeout=PARTING_SECONDS)
            line = answering.result() if answering.done() else program.stdout.take()
            if answering.done() and not line.endswith(b"\n"):
                # It has closed its output, and is about to end.
                await asyncio.wait((ending,), timeout=GRACE_SECONDS)
        finally:
            for waiting in (answering, ending, stopping):
                waiting.cancel()
        printed = program.stderr.take()
        if line.endswith(b"\n"):
            return answered(line, last_lines(printed, line))
        if program.code is not None:
            return understood(Ended("ended", program.code, line, printed), seconds)
        interrupted = Ended("stopped" if stopped else "still-running", None, line, printed, at)
        return ClientRun.of_program(interrupted, seconds)
