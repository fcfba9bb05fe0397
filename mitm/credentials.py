"""Which names go with a credential: of headers, metadata, options, variables, query parameters.

A rule over words, not a list of names: `x-acme-access-token`, `ACME_ACCESS_TOKEN`,
`acmeAccessToken` and `accesstoken` are one name, and nobody has to have heard of it.
"""

import re
from functools import lru_cache

# A name whose last word is one of these is a credential's.
_WORDS = {
    *("authorization", "authentication", "auth", "oauth", "bearer", "dpop"),
    *("token", "secret", "password", "passwd", "passphrase", "passcode", "pwd", "psk"),
    *("cookie", "session", "jwt", "jws", "jwe", "assertion", "ticket"),
    *("credential", "credentials", "creds", "otp", "totp", "hotp", "mfa", "csrf", "xsrf"),
    *("signature", "sig", "macaroon"),
}

# The same, run together with the words before them: `accesstoken`, `clientsecret`, `jsessionid`.
_ENDINGS = (
    *("authorization", "token", "secret", "password", "passwd", "passphrase", "cookie"),
    *("sessionid", "sessid", "credential", "credentials", "assertion", "jwt", "xauth", "oauth"),
    *("apikey", "accesskey", "secretkey", "privatekey", "masterkey", "authkey", "sharedkey"),
    *("subscriptionkey", "accountkey", "signingkey", "encryptionkey", "licensekey"),
    *(
        "samlresponse",
        "sessionkey",
        "functionkey",
        "appkey",
        "adminkey",
        "servicekey",
        "consumerkey",
    ),
)

# Two words that are a credential's together.
_PAIRS = {
    *(("session", "id"), ("secret", "id"), ("connect", "sid")),
    *(("password", "hash"), ("password", "digest")),
    *(("saml", "response"), ("authorization", "auxiliary")),
    *((word, "code") for word in ("auth", "authorization", "verification", "access", "otp")),
    *((word, "code") for word in ("mfa", "totp", "pin", "security", "recovery")),
    *((word, "pass") for word in ("user", "db", "database", "mysql", "admin", "proxy", "smtp")),
}

# A key opens something, unless what it names is looked up by it, or open to all.
_NO_SECRET_KEYS = {
    *("idempotency", "websocket", "public", "cache", "surrogate", "partition", "routing", "route"),
    *("sort", "order", "ordering", "primary", "foreign", "message", "object", "dedup", "shard"),
    *("deduplication", "row", "group", "range", "index", "lookup", "translation", "locale"),
    *("registry", "config", "tracking", "correlation", "trace", "event", "record", "document"),
    *("entity", "bucket", "metric", "feature", "flag", "issue", "project", "request", "operation"),
    *("lock", "map", "hash", "search", "tag", "block", "column", "affinity", "gpg", "s3"),
}
# The same for other words: `page-token`, `desktop-session`.
_NO_SECRETS = {
    *((word, "token") for word in ("page", "continuation", "sync", "next", "resume")),
    *((word, "session") for word in ("desktop", "xdg")),
    ("xdg", "session", "id"),
}

# Words that say how it is written, not what it is.
_FORMS = {"bin", "value", "raw", "b64", "base64", "text", "str", "string", "header", "plain"}

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"[^a-zA-Z0-9]+")


@lru_cache(maxsize=4096)
def is_credential(name: str) -> bool:
    """Whether a name is that of a credential.

    Args:
        name: in any spelling: `x-api-key`, `X_API_KEY`, `xApiKey`.
    """
    # What is longer was not made for people.
    spaced = _HUMP.sub("-", name[-200:])
    words = [word.lower() for word in _BETWEEN.split(spaced) if word]
    # `cookie2`, `x-hub-signature-256`, `token-bin`.
    words = [word.rstrip("0123456789") or word for word in words]
    while len(words) > 1 and (words[-1] in _FORMS or words[-1].isdigit()):
        words.pop()
    if not words:
        return False
    *before, last = words
    if tuple(words[-2:]) in _NO_SECRETS or tuple(words[-3:]) in _NO_SECRETS:
        return False
    if last == "key":
        return bool(before) and before[-1] not in _NO_SECRET_KEYS
    return last in _WORDS or last.endswith(_ENDINGS) or tuple(words[-2:]) in _PAIRS
