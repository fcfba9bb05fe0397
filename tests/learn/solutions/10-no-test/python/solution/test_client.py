"""Tests of the client."""

from client import get_user


def test_it_verifies(mitm_audit):
    mitm_audit(lambda server: get_user(server.target, str(server.ca_file)))
