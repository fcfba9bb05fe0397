"""Tests of the client, a function for each certificate."""

from client import get_user
from mitm import audit


def test_it_verifies_on_every_connection():
    report = audit.run(
        lambda server: get_user(server.target, str(server.ca_file)),
        only=["attacker-ca", "wrong-host", "expired", "no-tls-today"],
    )
    assert report.conclusive
    assert not report.failing()
