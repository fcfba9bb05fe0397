"""Credentials are masked; what is none is not."""

import pytest

from mitm.masking import masked

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
