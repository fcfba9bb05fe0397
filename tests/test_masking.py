"""Credentials are masked; what is none is not."""

import pytest

from mitm.masking import masked, secrets_in

_CREDENTIAL = "c2VjcmV0LXRva2VuLW9mLXRoZS1sYWI"


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "api-key",
        "apikey",
        "x-goog-api-key",
        "x-goog-iam-authorization-token",
        "x-amz-security-token",
        "token",
        "access_token",
        "x-auth-token-bin",
        "password",
        "client-secret",
        "x-session-id",
        "jwt",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "x-goog-iap-jwt-assertion",
        "x-auth",
        "jsessionid",
        "otp",
        "accesstoken",
        "x-amz-signature",
        "dpop",
        # Nobody has heard of these, and the rule has not, either.
        "x-acme-access-token",
        "ACME_REFRESH_TOKEN",
        "acmeClientSecret",
        "acmeauthtoken",
        "x-acme-key",
        "x-hub-signature-256",
        "connect.sid",
        "session-id-value",
    ],
)
def test_a_credential_is_not_given_away(name: str) -> None:
    shown = masked(name, _CREDENTIAL)
    assert _CREDENTIAL[5:] not in shown
    assert "masked" in shown
    assert str(len(_CREDENTIAL)) in shown


@pytest.mark.parametrize(
    "name",
    [
        "content-type",
        "user-agent",
        "grpc-timeout",
        "grpc-status",
        "x-request-id",
        "traceparent",
        "idempotency-key",
        "monkey",
        "authorization-policy",
        "author",
        ":authority",
        "sec-websocket-key",
        "max-tokens",
        "keyboard",
        "key",
        "access-key-id",
        "x-partition-key",
        "next-page-token",
        "secretary",
        "www-authenticate",
        "x-auth-type",
        "cookie-policy",
        "tokenizer",
        ":path",
        "",
    ],
)
def test_a_harmless_header_is_shown_as_it_is(name: str) -> None:
    assert masked(name, _CREDENTIAL) == _CREDENTIAL


def test_the_scheme_and_a_long_secrets_beginning_are_shown() -> None:
    assert (
        masked("authorization", f"Bearer {_CREDENTIAL}") == "Bearer c2Vj… (31 characters, masked)"
    )


@pytest.mark.parametrize("length", range(1, 16))
def test_of_a_secret_of_less_than_16_characters_nothing_is_shown(length: int) -> None:
    """It is shown in half, or so nearly that the rest is tried out."""
    secret = "s3cr3tpasswordx"[:length]
    assert masked("x-api-key", secret) == f"… ({length} characters, masked)"


def test_of_a_longer_one_four_characters_are() -> None:
    assert masked("x-api-key", "s3cr3tpasswordxy") == "s3cr… (16 characters, masked)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("https://host/x?api_key=abc&y=1", "https://host/x?api_key=…&y=1"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "…"),
        ("name=Nicolas", "name=Nicolas"),
    ],
)
def test_a_credential_is_known_by_its_looks_too(value: str, shown: str) -> None:
    assert masked("referer", value) == shown


@pytest.mark.parametrize(
    ("name", "value", "secrets"),
    [
        ("authorization", "Basic dXNlcjpodW50ZXIyMg==", ["dXNlcjpodW50ZXIyMg", "hunter22"]),
        (":path", "/a.B/C?api_key=hunter22&x=1", ["hunter22"]),
        (":path", "/a.B/C?key=hunter22", ["hunter22"]),
        (":path", "/a.B/C?x=hunter22", []),
    ],
)
def test_the_secret_parts_of_a_value(name: str, value: str, secrets: list[str]) -> None:
    assert list(secrets_in(name, value)) == secrets


def test_a_short_secret_is_not_shown_by_its_beginning() -> None:
    assert masked("authorization", "Bearer hunter2") == "Bearer … (7 characters, masked)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cookie", "session=first-secret-value; csrf=second-secret-value"),
        ("authorization", 'Digest username="first-secret-value", response="second-secret-value"'),
        ("x-api-key", "first-secret-value second-secret-value"),
    ],
)
def test_a_credential_of_several_words_is_masked_in_all_of_them(name: str, value: str) -> None:
    shown = masked(name, value)
    assert "secret-value" not in shown
