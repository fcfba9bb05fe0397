"""Addresses as users write them, and the guard rail around them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm.address import Address, guard, is_host_name, is_ip, is_loopback, parse
from mitm.errors import UserError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost:50051", Address("localhost", 50051)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:65535", Address("::1", 65535)),
        ("api.example.com:443", Address("api.example.com", 443)),
    ],
)
def test_an_address_is_read_and_written_alike(text: str, address: Address) -> None:
    assert parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost",
        "50051",
        ":50051",
        "localhost:",
        "localhost:http",
        "localhost:65536",
        "localhost:-1",
        "localhost:+1",
        "localhost: 1",
        "localhost:٣",
        "localhost:²",
        "localhost:" + 5000 * "9",
        "::1:50051",
        "[::1]",
        "[]:50051",
        "http://localhost:50051",
    ],
)
def test_what_is_no_address_is_refused_in_one_line_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="HOST:PORT, for example localhost:50051") as refusal:
        parse(text)
    assert "\n" not in str(refusal.value)


@given(st.text())
def test_no_text_raises_anything_else(text: str) -> None:
    try:
        address = parse(text)
    except UserError:
        return
    assert 0 <= address.port <= 65535
    assert address.host


_LOOPBACK = [
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1",
    "127.8.9.10",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::FFFF:7f00:1",
]
_ELSEWHERE = [
    "example.com",
    "localhost.example.com",
    "127.0.0.1.example.com",
    "notlocalhost",
    "0.0.0.0",  # noqa: S104
    "::",
    "192.168.1.1",
    "128.0.0.1",
    "fe80::1",
    "127.1",  # not every resolver takes it for 127.0.0.1
    "2130706433",
    "::ffff:192.0.2.1",
    "localhost..",
    "",
]


@pytest.mark.parametrize("host", _LOOPBACK)
def test_this_machine_needs_no_permission(host: str) -> None:
    assert is_loopback(host)
    assert guard(Address(host, 1), ()) == Address(host, 1)


@pytest.mark.parametrize("host", _ELSEWHERE)
def test_any_other_is_refused_and_the_refusal_names_the_option(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(UserError, match=f"--allow-host {host}"):
        guard(Address(host, 1), ())


def test_a_host_that_was_allowed_passes_and_no_other_does() -> None:
    allowed = ("build.example.com", "192.168.1.1")
    assert guard(Address("192.168.1.1", 443), allowed) == Address("192.168.1.1", 443)
    for host in ("192.168.1.2", "example.com", "a.build.example.com"):
        with pytest.raises(UserError):
            guard(Address(host, 443), allowed)


@pytest.mark.parametrize(
    ("allowed", "host"),
    [
        ("Build.Example.COM", "build.example.com"),
        ("build.example.com", "BUILD.example.com"),
        ("build.example.com.", "build.example.com"),
        ("build.example.com", "build.example.com."),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0001"),
        ("192.0.2.1", "::ffff:192.0.2.1"),
    ],
)
def test_a_host_is_allowed_in_whatever_form_it_is_written(allowed: str, host: str) -> None:
    assert guard(Address(host, 443), (allowed,)) == Address(host, 443)
    with pytest.raises(UserError):
        guard(Address(host, 443), ("x" + allowed,))


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("api.example", True),
        ("api.example.", True),
        ("localhost", True),
        ("127.0.0.1", False),
        ("::1", False),
        ("a..b", False),
        (".", False),
        ("", False),
        ("a b", False),
        ("h\u00f6st", False),
        ("a,O=b", False),
    ],
)
def test_a_host_name_is_told_from_anything_else(text: str, is_one: bool) -> None:
    assert is_host_name(text) == is_one


@pytest.mark.parametrize(
    ("host", "is_one"), [("127.0.0.1", True), ("::1", True), ("localhost", False), ("127.1", False)]
)
def test_an_ip_address_is_told_from_a_name(host: str, is_one: bool) -> None:
    assert is_ip(host) == is_one
