"""TLS alerts: their names and numbers, and how OpenSSL tells of one that it received."""

import re
import ssl
from typing import NamedTuple

# RFC 8446 section 6 and RFC 5246 section 7.2; those of extensions from RFC 6066 and RFC 7301.
ALERTS = {
    "close_notify": 0,
    "unexpected_message": 10,
    "bad_record_mac": 20,
    "decryption_failed": 21,
    "record_overflow": 22,
    "decompression_failure": 30,
    "handshake_failure": 40,
    "no_certificate": 41,
    "bad_certificate": 42,
    "unsupported_certificate": 43,
    "certificate_revoked": 44,
    "certificate_expired": 45,
    "certificate_unknown": 46,
    "illegal_parameter": 47,
    "unknown_ca": 48,
    "access_denied": 49,
    "decode_error": 50,
    "decrypt_error": 51,
    "export_restriction": 60,
    "protocol_version": 70,
    "insufficient_security": 71,
    "internal_error": 80,
    "inappropriate_fallback": 86,
    "user_canceled": 90,
    "no_renegotiation": 100,
    "missing_extension": 109,
    "unsupported_extension": 110,
    "certificate_unobtainable": 111,
    "unrecognized_name": 112,
    "bad_certificate_status_response": 113,
    "bad_certificate_hash_value": 114,
    "unknown_psk_identity": 115,
    "certificate_required": 116,
    "no_application_protocol": 120,
}

_NAMES = {number: name for name, number in ALERTS.items()}

# RFC 8446 section 5.1: content types, and what comes before the content.
_CHANGE_CIPHER_SPEC, _ALERT, _APPLICATION_DATA = 20, 21, 23
_RECORD_HEADER = 5

# RFC 8446 section 6: level and description.
_ALERT_SIZE = 2
_FATAL = 2

# OpenSSL names the reason of a received alert after the version that introduced it (from 4.0 on
# those of SSLv3 just "tls"), and leaves out the word "alert" for those of RFC 6066. Python has a
# symbol for most reasons ("TLSV1_ALERT_UNKNOWN_CA"), and for the others only OpenSSL's text
# ("[SSL] tlsv1 alert no application protocol (_ssl.c:1006)").
_REASON = re.compile(
    r"(?:^|\] )(?:sslv3|tlsv1|tlsv13|tls)[_ ](?:alert[_ ])?(?P<name>[a-z_ ]+?)(?: \(|$)"
)
_SPELLED_OTHERWISE = {"user_cancelled": "user_canceled"}


def received(error: ssl.SSLError) -> str | None:
    """The name of the alert that made OpenSSL fail, or None if the failure was its own."""
    if isinstance(error, ssl.SSLZeroReturnError):
        return "close_notify"
    match = _REASON.search((error.reason or str(error)).lower())
    if match is None:
        return None
    name = match["name"].replace(" ", "_")
    name = _SPELLED_OTHERWISE.get(name, name)
    return name if name in ALERTS else None


def tls_record(data: bytes | bytearray) -> bool:
    """Whether these bytes begin as a TLS record does (RFC 8446 section 5.1)."""
    return _CHANGE_CIPHER_SPEC <= data[0] <= _APPLICATION_DATA and data[1:2] in (b"", b"\x03")


class PlainAlert(NamedTuple):
    """An alert that was not encrypted.

    Attributes:
        name: as in the RFC; its number where that has no name.
        fatal: whether it ends the connection: by its level, or because it is `close_notify`.
    """

    name: str
    number: int
    fatal: bool


class AlertReader:
    """Finds the alerts among records that are not encrypted, and come in pieces.

    An alert is two bytes, level and description. Encrypted it is longer (RFC 5246 section 6.2.3),
    or no record of that type at all (RFC 8446 section 5.2).
    """

    def __init__(self) -> None:
        self._begun = b""  # a part of a header, or of an alert behind one
        self._skipped = 0  # bytes of another record that are still to come

    def feed(self, data: bytes | bytearray) -> list[PlainAlert]:
        """Take more bytes, and give the alerts that they complete."""
        found = []
        data, at = self._begun + data, self._skipped
        while len(data) - at >= _RECORD_HEADER:
            content = at + _RECORD_HEADER
            end = content + int.from_bytes(data[at + 3 : content], "big")
            if data[at] == _ALERT and end - content == _ALERT_SIZE:
                if end > len(data):
                    break
                level, number = data[content:end]
                fatal = level == _FATAL or number == ALERTS["close_notify"]
                found.append(PlainAlert(_NAMES.get(number, str(number)), number, fatal))
            at = end
        self._begun = data[at:]
        self._skipped = max(at - len(data), 0)
        return found
