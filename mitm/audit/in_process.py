"""The audit from Python: of a function, an async function or a command, in one call."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from mitm.address import LOCALHOST
from mitm.audit.background import Background
from mitm.audit.case import (
    Case,
    Suite,
    Tls,
    catalogue,
    forge_suite,
    plain_name,
    select,
    with_own,
    with_twins,
)
from mitm.audit.command import Command, trust_setting
from mitm.audit.finding import Finding, Report, Subject
from mitm.audit.function import Function
from mitm.audit.listener import Endpoint, Listener
from mitm.audit.program import program_of
from mitm.audit.setting import Roots, Setting
from mitm.audit.slots import WAITING
from mitm.audit.stack import stack_in_process, stack_of_command
from mitm.audit.trial import run_audit, stand_in
from mitm.errors import UserError
from mitm.evidence import ClientRun
from mitm.pki import Unsupported
from mitm.surroundings import going_straight

# Seconds. A client on the same machine needs far less, and one that hangs hangs for this long with
# each certificate.
CLIENT_SECONDS = 10.0

# A certificate that ends this process, a test run's say, by the gRPC that is installed beside this:
# its C core gives up by SIGABRT on an address of three bytes. Seen with 1.60 to 1.81; 1.82 refuses.
_FATAL = "malformed-san"
_FIRST_SOUND = (1, 82)

# Why the machine's trust store is not played for a client in this process.
READ_ONCE = (
    "a library reads what the machine trusts once in a process: audit the client as a program"
)

ClientUnderTest = Callable[[Endpoint], object] | Sequence[str]


def run(
    client: ClientUnderTest,
    *,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
    name: str = LOCALHOST,
    tls: Tls | None = None,
    timeout: float = CLIENT_SECONDS,
    jobs: int | None = None,
    roots: Roots = "given",
) -> Report:
    """Try forged certificates on a client, and report which of them it accepts.

    The client is run once for each certificate, and with the genuine one first and last. Behind
    each certificate is a server that answers any gRPC method with an empty message. What the client
    returns or raises does not matter: what it sends does.

        from mitm import audit

        def client(server: audit.Endpoint) -> None:
            get_user(server.target, ca_file=server.ca_file)

        report = audit.run(client)
        assert report.conclusive
        assert not report.failing()

    Args:
        client: a function of an `Endpoint`, called in a thread of its own; an async function of
            one, run in an event loop of its own; or a command as a list of words, in which
            `{target}`, `{host}`, `{port}`, `{name}`, `{url_name}`, `{ca}` and `{pin}` are filled
            in.
        only: certificates to try, by name, severity (`must`) or weakness (`CWE-297`), or a file of
            one's own by its path (`./mine.md`); empty for the whole catalogue.
        exclude: certificates to leave out, by the same words.
        name: the DNS name or IP address that the client is to expect in a certificate.
        tls: "1.2" to try every certificate once more over TLS 1.2, as `expired:tls-1.2`: a client
            may verify in TLS 1.3 alone.
        timeout: seconds that one run of the client may take. A command that takes longer is ended,
            an async function is cancelled, and a function is left to itself.
        jobs: how many certificates are tried at once. By default it is one for functions, which
            then need not be thread-safe, and one for each core for a command.
        roots: `system` for a command that takes no CA: that is among those that its machine trusts.

    Returns:
        The report: `conclusive` if the client got through with the genuine certificate, first and
        last, and a finding for each other certificate.

    Raises:
        UserError: a word of `only` or `exclude` means no certificate, no certificate is left to
            try, the command cannot be started, or `roots` is not for this client.
    """
    known = with_twins(with_own(catalogue(), [*only, *exclude]), tls)
    suite = forge_suite(select(known, only, exclude), name)
    with Auditor() as auditor:
        return auditor.audit(suite, client, timeout=timeout, jobs=jobs, roots=roots)


class Presented:
    """A certificate that is being presented to clients of this process.

    Attributes:
        endpoint: what a client is to be told.
    """

    def __init__(self, listener: Listener, background: Background) -> None:
        self.endpoint = listener.endpoint
        self._listener = listener
        self._background = background

    def judge(self, client: ClientRun) -> Finding:
        """Judge what has been seen of the client since this was last asked."""
        return self._background.run(self._listener.judge(client))

    async def judge_async(self, client: ClientRun) -> Finding:
        """The same for a client that needs the caller's event loop to come to its end."""
        return await self._background.run_async(self._listener.judge(client))


class Auditor:
    """Presents certificates from a thread of its own, to clients of this process; for `with`."""

    def __init__(self) -> None:
        self._background = Background()
        self._stand_in = stand_in()

    def __enter__(self) -> Self:
        self._background.__enter__()
        self._upstream = self._background.run(self._stand_in.__aenter__())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._background.run(self._stand_in.__aexit__(None, None, None))
        self._background.__exit__(None, None, None)

    def audit(
        self,
        suite: Suite,
        client: ClientUnderTest,
        *,
        timeout: float = CLIENT_SECONDS,
        jobs: int | None = None,
        roots: Roots = "given",
    ) -> Report:
        """Try every certificate of a suite on a client; see `run`.

        Raises:
            UserError: the command cannot be started, or `roots` is not for this client.
        """
        setting = Setting(roots)
        if callable(client) and roots == "system":
            raise UserError(f"roots='system' is for commands: {READ_ONCE}")
        suite = setting.fitted(suite)
        if callable(client):
            tried: Function | Command = Function(client, timeout)
            at_once, waiting = jobs or 1, 0
            subject = Subject(
                getattr(client, "__name__", type(client).__name__), stack=stack_in_process()
            )
            suite = replace(suite, cases=tuple(map(_spared, suite.cases)))
            suite = suite.unplanted(READ_ONCE)
        else:
            tried = Command(client, timeout)
            at_once = jobs or os.cpu_count() or 1
            waiting = 0 if jobs else WAITING
            subject = Subject(program_of(client).name, stack=stack_of_command(client))
            suite = suite.unplanted(trust_setting(client))
        with going_straight():
            return self._background.run(
                run_audit(
                    suite,
                    tried,
                    self._upstream,
                    subject=subject,
                    jobs=at_once,
                    setting=setting,
                    waiting=waiting,
                )
            )

    @contextmanager
    def present(self, case: Case, pin_pem: bytes) -> Iterator[Presented]:
        """Present a certificate while the block lasts.

        Raises:
            pki.Unsupported: OpenSSL refuses to, or it would be the end of this process.
        """
        if unsupported := _spared(case).unsupported:
            raise Unsupported(unsupported)
        if case.chain and case.chain.system_pem:
            raise Unsupported(READ_ONCE)
        listener = Listener(case, self._upstream, pin_pem)
        self._background.run(listener.__aenter__())
        try:
            with going_straight(listener.endpoint.host, listener.endpoint.name):
                yield Presented(listener, self._background)
        finally:
            self._background.run(listener.__aexit__(None, None, None))


def _spared(case: Case) -> Case:
    """The case, or one that is not presented, where that would end this process."""
    try:
        installed = version("grpcio")
    except PackageNotFoundError:
        return case
    if plain_name(case.name) != _FATAL or tuple(map(int, installed.split(".")[:2])) >= _FIRST_SOUND:
        return case
    reason = f"grpcio {installed} would end this process with it: try it on a program of its own"
    return replace(case, unsupported=reason)
