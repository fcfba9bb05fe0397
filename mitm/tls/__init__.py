"""One TLS leg without I/O: the ClientHello, the handshake, the alerts."""

from mitm.tls.alerts import ALERTS, plaintext_alert, tls_record
from mitm.tls.client_hello import Hello, MalformedHelloError, read_client_hello
from mitm.tls.leg import ReceivedAlert, TlsError, TlsLeg

__all__ = [
    "ALERTS",
    "Hello",
    "MalformedHelloError",
    "ReceivedAlert",
    "TlsError",
    "TlsLeg",
    "plaintext_alert",
    "read_client_hello",
    "tls_record",
]
