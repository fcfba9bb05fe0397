"""Certificates that no library makes."""

from mitm.pki import der


def with_serial(certificate: bytes, serial: bytes) -> bytes:
    """The same certificate with the octets of another serial number; its signature breaks."""
    tbs, algorithm, signature = der.split(certificate)
    ((_, body, _),) = der.elements(tbs)
    parts = [whole for _, _, whole in der.elements(body)]
    parts[1] = der.element(0x02, serial)
    return der.join(der.element(0x30, b"".join(parts)), algorithm, signature)
