"""Placeholders and the forms of names."""

import pytest

from mitm.address import is_ip
from mitm.pki import Unsupported
from mitm.pki.names import fill


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("CN={name}", "CN=server.lab.mitm-demo.test"),
        ("DNS:{NAME}", "DNS:SERVER.LAB.MITM-DEMO.TEST"),
        ("DNS:{initial}*.{parent}", "DNS:s*.lab.mitm-demo.test"),
        ("DNS:{label}.*.{top}", "DNS:server.*.test"),
        ("DNS:*.{grandparent}", "DNS:*.mitm-demo.test"),
        ("DNS:wrong.example", "DNS:wrong.example"),
        ("DNS:*.{PARENT}", "DNS:*.LAB.MITM-DEMO.TEST"),
        ("DNS:{stars}.{top}", "DNS:*.*.*.test"),
        ("DNS:{idn_star}.{parent}", "DNS:xn--*-.lab.mitm-demo.test"),
    ],
)
def test_placeholders_are_made_of_the_name_under_test(text: str, filled: str) -> None:
    assert fill(text, "server.lab.mitm-demo.test") == filled


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{top}", "localhost"),
        ("{parent}", "localhost"),
        ("{parent}", "mitm-demo.test"),
        ("{grandparent}", "mitm-demo.test"),
        ("{stars}", "mitm-demo.test"),
        ("{unicode}", "127.0.0.1"),
        ("{octets}", "::1"),
        ("{mapped}", "localhost"),
        ("{parent}", "127.0.0.1"),
        ("{label}", "::1"),
    ],
)
def test_a_name_too_short_is_unsupported_with_its_reason(text: str, name: str) -> None:
    with pytest.raises(Unsupported, match=f"the name under test, {name},"):
        fill(text, name)


@pytest.mark.parametrize(
    ("text", "name"), [("{top}", "a.test"), ("{parent}", "b.a.test"), ("{label}", "localhost")]
)
def test_a_name_just_long_enough_will_do(text: str, name: str) -> None:
    assert fill(text, name)


@pytest.mark.parametrize(
    ("text", "name", "filled"),
    [
        ("{unicode}", "a1.test", "\uff41\uff11.\uff54\uff45\uff53\uff54"),
        ("{unicode}", "xn--bcher-kva.test", "b\u00fccher.test"),
        ("{idn_star}.{parent}", "xn--bcher-kva.lab.test", "xn--*.lab.test"),
        ("*.{octets}", "127.0.0.1", "*.0.0.1"),
        ("{mapped}", "127.0.0.1", "::ffff:7f00:1"),
        ("{compatible}", "127.0.0.1", "::7f00:1"),
    ],
)
def test_other_letters_and_addresses_have_placeholders_of_their_own(
    text: str, name: str, filled: str
) -> None:
    assert fill(text, name).replace("127.0.0.1", "7f00:1") == filled


def test_an_address_is_told_from_a_name() -> None:
    assert is_ip("127.0.0.1")
    assert is_ip("::1")
    assert not is_ip("localhost")
    assert not is_ip("1.2.3.4.example")
