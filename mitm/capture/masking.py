"""Stolen credentials are shown to have been read, not left lying about."""

# Names under which credentials travel in HTTP and gRPC metadata, alone or as the last words of a
# longer name: `x-api-key`, `x-goog-iam-authorization-token`.
_SECRET = (
    "-authorization",
    "-cookie",
    "-token",
    "-secret",
    "-password",
    "-passwd",
    "-api-key",
    "-apikey",
    "-access-key",
    "-private-key",
    "-session",
    "-session-id",
    "-sessionid",
    "-jwt",
    "-credential",
    "-credentials",
)
_SHOWN = 4


def masked(name: str, value: str) -> str:
    """The value of a header, fit to be shown: of a credential only its scheme and beginning.

    Args:
        name: the header's name.
        value: its value.
    """
    # Metadata of bytes ends in -bin (gRPC over HTTP/2, "Requests").
    words = "-" + name.lower().replace("_", "-").removesuffix("-bin")
    if not words.endswith(_SECRET):
        return value
    scheme, space, secret = "", "", value
    if words.endswith("-authorization") and " " in value:
        # RFC 9110 section 11.4. In a cookie what stands before a space is as secret as the rest.
        scheme, space, secret = value.partition(" ")
    # A short secret would be given away by its beginning.
    shown = secret[:_SHOWN] if len(secret) >= 4 * _SHOWN else ""
    return f"{scheme}{space}{shown}… ({len(secret)} characters, masked)"
