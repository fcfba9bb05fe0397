"""The server's certificate, key and client CA: files, read again when they have changed."""

import ssl
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import grpc


class UnusableError(Exception):
    """What is wrong with the files, in a line."""


class _Pems(NamedTuple):
    cert: bytes
    key: bytes
    client_ca: bytes | None


class TlsFiles:
    """The files that the server's side of a handshake is made of.

    Args:
        cert: the certificate chain, PEM.
        key: the key to it, PEM.
        client_ca: the CAs that may have signed a client's certificate, PEM; None to ask for none.

    Raises:
        UnusableError: a file cannot be read or used, or the key is another certificate's.
    """

    def __init__(self, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert = cert
        self._key = key
        self._client_ca = client_ca
        self._lock = threading.Lock()
        self._told = ""
        self._seen = self._pems()
        self._check(self._seen)
        self._usable = self._seen

    def credentials(self) -> grpc.ServerCredentials:
        """What one port is opened with. With a client CA, clients must have a certificate of it."""
        given = self._usable

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            """What has changed since the port's last handshake; None for nothing."""
            nonlocal given
            with self._lock:
                self._look()
                if given is self._usable:
                    return None
                given = self._usable
                return _configuration(given)

        return grpc.dynamic_ssl_server_credentials(
            _configuration(given),
            renewed,  # type: ignore[arg-type]  # None is one of its answers
            require_client_authentication=self._client_ca is not None,
        )

    def _look(self) -> None:
        """See whether the files have changed.

        The core asks before each handshake, from a thread of its own. A renewal writes one file
        after the other: until they fit, the last ones that did are used.
        """
        try:
            pems = self._pems()
            if pems == self._seen:
                return
            self._seen = pems
            self._check(pems)
        except UnusableError as error:
            # Once, not at each handshake.
            if self._told != str(error):
                self._told = str(error)
                print(f"server: goes on with what it had: {error}", file=sys.stderr, flush=True)
            return
        self._told = ""
        self._usable = pems

    def _pems(self) -> _Pems:
        return _Pems(
            _read(self._cert),
            _read(self._key),
            _read(self._client_ca) if self._client_ca else None,
        )

    def _check(self, pems: _Pems) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert, self._key, password="")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"the key {self._key} does not fit the certificate {self._cert}"
                raise UnusableError(message) from None
            message = f"{self._cert} or {self._key} is not a PEM file of the right kind"
            raise UnusableError(message) from None
        except OSError as error:
            raise UnusableError(f"cannot read {error.filename}: {error.strerror}") from None
        if pems.client_ca is not None:
            try:
                context.load_verify_locations(cadata=pems.client_ca.decode("ascii", "replace"))
            except (ssl.SSLError, ValueError):
                raise UnusableError(f"{self._client_ca} holds no certificate in PEM") from None
        # It was the files that were tried. They may have been written meanwhile.
        if self._pems() != pems:
            raise UnusableError("its files are being written")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableError(f"cannot read {path}: {error.strerror}") from None


def _configuration(pems: _Pems) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.cert)], pems.client_ca)
