"""The fixture `forged_server`: one certificate, presented to whatever the test's body runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import msgspec
import pytest

from mitm.audit import CONTROL, Auditor, Case, ClientRun, Endpoint, Entry, Finding, forge_suite
from mitm.audit.explanation import explain, explain_control, remark
from mitm.audit.function import ended_by
from mitm.audit.in_process import Presented
from mitm.pki import Unsupported
from mitm.pytest_plugin.settings import remember, settings_of

# Mistakes of the test itself, and what it asserts: no client leaves a server with these.
_OF_THE_TEST = (AssertionError, NameError, ImportError)


@contextmanager
def present(auditor: Auditor, recipe: Entry, item: pytest.Item) -> Iterator["ForgedServer"]:
    """Present a certificate while a test runs."""
    settings = settings_of(item)
    suite = forge_suite([recipe], settings.name)
    case = suite.cases[0] if suite.cases else suite.control
    if case.unsupported:
        pytest.skip(f"unsupported: {case.unsupported}")
    try:
        with auditor.present(case, suite.pin_pem) as presented:
            judgement = Judgement(presented, case, item, strict=settings.strict)
            server = ForgedServer(
                **msgspec.structs.asdict(presented.endpoint), case=case, _judgement=judgement
            )
            yield server
            judgement.make_up()
    except Unsupported as error:
        pytest.skip(f"unsupported: {error}")


class ForgedServer(Endpoint, frozen=True, kw_only=True):
    """A server that presents one certificate.

    Attributes:
        case: the certificate, and what a correct client does with it.
    """

    case: Case
    _judgement: "Judgement"

    def __repr__(self) -> str:
        # It stands above each traceback of the test.
        return f"<ForgedServer {self.case.name} on {self.target}>"

    def must_abort(self) -> "Judgement":
        """The block, `with` or `async with`, in which the client connects.

        A client must leave a server with a forged certificate before it has sent any application
        data; the exception with which it does is swallowed. Where the certificate is sound, as
        `genuine` is, the client must get through.

        `async with` lets the event loop of the test run on while the client is judged.
        """
        return self._judgement


class Judgement:
    """The block in which a client connects; at its end, the client is judged."""

    def __init__(
        self, presented: Presented, case: Case, item: pytest.Item, *, strict: bool
    ) -> None:
        self._presented = presented
        self._case = case
        self._item = item
        self._strict = strict
        self._made = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not _of_a_client(error):
            return False
        finding = self._presented.judge(_run_of(error))
        return self._conclude(finding, error)

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if not _of_a_client(error):
            return False
        finding = await self._presented.judge_async(_run_of(error))
        return self._conclude(finding, error)

    def make_up(self) -> None:
        """Judge a client that was run outside of any block, if it gave something away."""
        if not self._made:
            finding = self._presented.judge(ClientRun("returned"))
            if finding.outcome == "vulnerable":
                self._conclude(finding, None)

    def _conclude(self, finding: Finding, error: BaseException | None) -> bool:
        """Fail the test if it has to; otherwise tell whether to swallow the body's exception.

        A message quotes that exception; a traceback of it would only hide the message.
        """
        self._made = True
        is_control = self._case.name == CONTROL
        if finding.outcome == "inconclusive":
            inconclusive = f"{self._case.name}: inconclusive: {finding.reason}"
            if error:
                error.add_note(f"mitm-demo: {inconclusive}")
                return False
            raise _failure(explain_control(finding) if is_control else inconclusive)
        if is_control and finding.outcome != "pass":
            raise _failure(explain_control(finding)) from None
        if finding.fails(strict=self._strict):
            raise _failure(explain(finding)) from None
        if line := remark(finding):
            remember(self._item, line)
        elif finding.outcome == "pass" and not is_control and not _has_control(self._item):
            remember(self._item, f"proves nothing without its control, [{CONTROL}]: run that too")
        return error is not None and not isinstance(error, _OF_THE_TEST)


def _has_control(item: pytest.Item) -> bool:
    """Whether the control of a test was chosen as well (`-k`, `--lf`, a node id may leave it out).

    A client that gets through with no certificate passes for each forged one.
    """
    control = f"{item.nodeid.rpartition('[')[0]}[{CONTROL}]"
    return any(other.nodeid == control for other in item.session.items)


def _failure(message: str) -> BaseException:
    return pytest.fail.Exception(message, pytrace=False)


def _of_a_client(error: BaseException | None) -> bool:
    """Whether an exception may be a client's way to leave: not Ctrl-C, nor pytest's own."""
    return error is None or isinstance(error, (Exception, SystemExit))


def _run_of(error: BaseException | None) -> ClientRun:
    return ended_by(error) if error else ClientRun("returned")
