"""The fixture `mitm_probe`: whether a server turns away the clients that it should, in one call."""

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import pytest

from mitm.address import guard, parse
from mitm.audit import Report, select
from mitm.audit.background import Background
from mitm.audit.explanation import explain_failure, remarks
from mitm.audit.servers.credentials import credentials_from_files
from mitm.audit.servers.probe import JOBS, run_probe
from mitm.audit.servers.target import HEALTH, Target
from mitm.audit.servers.way import with_own_ways
from mitm.errors import UserError
from mitm.pki import certificates_from_file, der
from mitm.pytest_plugin.settings import refuse, remember, settings_of, words_of

_File = str | PathLike[str]


class MitmProbe:
    """Probes a server, and fails the test for what it finds."""

    def __init__(self, item: pytest.Item) -> None:
        self._item = item

    def __call__(
        self,
        server: str,
        *,
        client_cert: _File,
        client_key: _File,
        ca: _File | None = None,
        client_ca_cert: _File | None = None,
        client_ca_key: _File | None = None,
        method: str = HEALTH,
        message: bytes = b"",
        metadata: Mapping[str, str] | None = None,
        server_name: str | None = None,
        only: str | Sequence[str] = (),
        exclude: str | Sequence[str] = (),
        strict: bool | None = None,
        timeout: float = 5.0,
        jobs: int = JOBS,
        allow_hosts: Sequence[str] = (),
    ) -> Report:
        """Call as the good client, as all those that should not get in, and as the good one again.

        Args:
            server: where it listens, `HOST:PORT`.
            client_cert, client_key: of the good client, PEM files.
            ca: PEM file of the CA of the server's certificate; None for the system's.
            client_ca_cert, client_ca_key: of the CA that signs clients; None if they are not at
                hand, and half of the ways are not tried then.
            method: that is called.
            message: the request, encoded.
            metadata: of the request.
            server_name: for SNI; None for the host.
            only, exclude: ways, severities or weaknesses.
            strict: fail for what only strict servers turn away as well; None for what marker,
                command line or ini file say.
            timeout: seconds that the server has for each answer.
            jobs: how many clients come at once.
            allow_hosts: hosts that are not this machine, and yours to test.

        Returns:
            The report, if the test does not fail for it.
        """
        settings = settings_of(self._item).changed(strict=strict)
        try:
            address = guard(parse(server), allow_hosts)
            chosen, left = words_of(only), words_of(exclude)
            ways = select(with_own_ways([*chosen, *left]), chosen, left)
            given = credentials_from_files(
                Path(client_cert), Path(client_key), _path(client_ca_cert), _path(client_ca_key)
            )
            target = Target(
                address,
                server_name or address.host,
                server_name or str(address),
                method,
                message,
                tuple((metadata or {}).items()),
                _text(Path(ca)) if ca else None,
                timeout,
            )
            # The test may have an event loop of its own.
            with Background() as background:
                report = background.run(run_probe(target, given, ways, jobs=jobs))
        except UserError as error:
            refuse(str(error))
        if failure := explain_failure(report, strict=settings.strict):
            raise pytest.fail.Exception(failure, pytrace=False)
        for remark in remarks(report, strict=settings.strict):
            remember(self._item, remark)
        return report


def _path(file: _File | None) -> Path | None:
    return None if file is None else Path(file)


def _text(ca: Path) -> str:
    return b"".join(der.pem("CERTIFICATE", each) for each in certificates_from_file(ca)).decode()
