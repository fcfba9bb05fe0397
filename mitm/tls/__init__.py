"""One TLS leg without I/O: the ClientHello, the handshake, the alerts."""

from mitm.tls.alerts import ALERTS, AlertReader, tls_record
from mitm.tls.client_hello import Hello, HelloReader, MalformedHelloError, read_client_hello
from mitm.tls.leg import ReceivedAlert, TlsError, TlsLeg

__all__ = [
    "ALERTS",
    "AlertReader",
    "Hello",
    "HelloReader",
    "MalformedHelloError",
    "ReceivedAlert",
    "TlsError",
    "TlsLeg",
    "read_client_hello",
    "tls_record",
]
