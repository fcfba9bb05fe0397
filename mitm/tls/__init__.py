"""One TLS leg without I/O: the ClientHello, the handshake, client certificates, the alerts."""

from mitm.tls.alerts import ALERTS, AlertReader, tls_record
from mitm.tls.client_hello import Hello, HelloReader, read_client_hello
from mitm.tls.leg import ReceivedAlert, TlsError, TlsLeg, alert_in
from mitm.tls.vectors import MalformedError

__all__ = [
    "ALERTS",
    "AlertReader",
    "Hello",
    "HelloReader",
    "MalformedError",
    "ReceivedAlert",
    "TlsError",
    "TlsLeg",
    "alert_in",
    "read_client_hello",
    "tls_record",
]
