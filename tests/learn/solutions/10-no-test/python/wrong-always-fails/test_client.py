"""Tests of the client."""


def test_it_verifies():
    raise AssertionError("no client is sound")
