"""Stolen credentials are shown to have been read, not left lying about."""

# Names under which credentials travel in HTTP and gRPC metadata.
_SECRET = {
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-goog-api-key",
    "x-goog-iam-authorization-token",
    "x-amz-security-token",
}
_SECRET_ENDINGS = ("-token", "-secret", "-password", "-key-bin", "-token-bin")
_SHOWN = 4


def masked(name: str, value: str) -> str:
    """The value of a header, fit to be shown: of a credential only its scheme and beginning.

    Args:
        name: the header's name.
        value: its value.
    """
    if name.lower() not in _SECRET and not name.lower().endswith(_SECRET_ENDINGS):
        return value
    scheme, space, secret = value.rpartition(" ")
    # A short secret would be given away by its beginning.
    shown = secret[:_SHOWN] if len(secret) >= 4 * _SHOWN else ""
    return f"{scheme}{space}{shown}… ({len(secret)} characters, masked)"
