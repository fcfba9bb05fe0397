"""One TLS leg without I/O: the ClientHello, the handshake, client certificates, the alerts."""

from mitm.tls.alerts import ALERTS, AlertReader, tls_record
from mitm.tls.client_hello import Hello, HelloReader, MalformedHelloError, read_client_hello
from mitm.tls.leg import ReceivedAlert, TlsError, TlsLeg, alert_in

__all__ = [
    "ALERTS",
    "AlertReader",
    "Hello",
    "HelloReader",
    "MalformedHelloError",
    "ReceivedAlert",
    "TlsError",
    "TlsLeg",
    "alert_in",
    "read_client_hello",
    "tls_record",
]
