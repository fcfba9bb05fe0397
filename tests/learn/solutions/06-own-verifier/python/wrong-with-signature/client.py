"""Asks the server for a user. Run as: client.py HOST:PORT CA_FILE

It speaks HTTP/2 by itself (http2.py), and looks at the certificate by itself as well.
"""

import socket
import ssl
import sys
from pathlib import Path

from cryptography import x509
from http2 import call

TOKEN = "opens-nothing-5ec4e706"


def verify(certificate: x509.Certificate, ca: x509.Certificate, host: str) -> None:
    """See that the certificate is the server's, and from our CA."""
    if certificate.issuer != ca.subject:
        sys.exit("verify failed: not issued by our CA")
    certificate.verify_directly_issued_by(ca)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if host not in names.get_values_for_type(x509.DNSName):
        sys.exit("verify failed: the certificate is for another server")


def main() -> None:
    target, ca_file = sys.argv[1:3]
    host, port = target.rsplit(":", 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # verify() below does it
    context.set_alpn_protocols(["h2"])
    ca = x509.load_pem_x509_certificate(Path(ca_file).read_bytes())
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        shown = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        verify(shown, ca, host)
        print(call(connection, host, "/users.v1.UserService/GetUser", b"\x08\x01", TOKEN))


if __name__ == "__main__":
    main()
