"""The fixture `mitm_audit`: the whole audit in one call."""

from collections.abc import Sequence

import pytest

from mitm.audit import Auditor, ClientUnderTest, Report, forge_suite
from mitm.audit.explanation import explain_failure, remarks
from mitm.audit.setting import Roots
from mitm.errors import UserError
from mitm.pytest_plugin.settings import refuse, remember, settings_of


class MitmAudit:
    """Audits a client, and fails the test for what it finds."""

    def __init__(self, auditor: Auditor, item: pytest.Item) -> None:
        self._auditor = auditor
        self._item = item

    def __call__(
        self,
        client: ClientUnderTest,
        *,
        only: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        strict: bool | None = None,
        name: str | None = None,
        tls: str | None = None,
        timeout: float | None = None,
        jobs: int | None = None,
        roots: Roots = "given",
    ) -> Report:
        """Try the genuine certificate, every forged one, and the genuine one again.

        Args:
            client: see `mitm.audit.run`.
            only, exclude: certificates, severities or weaknesses; None for the marker's.
            strict: fail for what only good clients reject as well, and for a client that is too
                strict; None for what marker, command line or ini file say.
            name: DNS name or IP address that the client is to expect.
            tls: "1.2" to try every certificate once more over TLS 1.2.
            timeout: seconds that one run of the client may take.
            jobs: how many certificates are tried at once; see `mitm.audit.run`.
            roots: `system` for a command that takes no CA; see there as well.

        Returns:
            The report, if the test does not fail for it.
        """
        settings = settings_of(self._item).changed(
            only=only, exclude=exclude, strict=strict, name=name, tls=tls, timeout=timeout
        )
        recipes = settings.recipes()
        if not recipes:
            pytest.skip("none of this test's certificates is among those of --mitm-certs")
        suite = forge_suite(recipes, settings.name)
        try:
            report = self._auditor.audit(
                suite, client, timeout=settings.timeout, jobs=jobs, roots=roots
            )
        except UserError as error:
            refuse(str(error))
        if failure := explain_failure(report, strict=settings.strict):
            raise pytest.fail.Exception(failure, pytrace=False)
        for remark in remarks(report, strict=settings.strict):
            remember(self._item, remark)
        return report
