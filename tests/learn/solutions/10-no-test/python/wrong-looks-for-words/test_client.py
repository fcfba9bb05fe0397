"""Tests of the client."""

import inspect

import client


def test_it_takes_no_certificate_from_the_server():
    source = inspect.getsource(client.get_user)
    assert "get_server_certificate" not in source
    assert "insecure" not in source
