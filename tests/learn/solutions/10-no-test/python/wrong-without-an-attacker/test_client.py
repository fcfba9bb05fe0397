"""Tests of the client."""

import inspect

import client


def test_it_is_there():
    assert len(inspect.signature(client.get_user).parameters) == 2
