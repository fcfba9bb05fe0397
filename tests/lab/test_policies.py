"""What a policy makes of a client's environment."""

from pathlib import Path

import pytest

from mitm.lab.policies import POLICIES, Policy, Trust, environment, options

# Read by OpenSSL, Go and rustls as well; rustls adds it to what SSL_CERT_FILE names.
OWN = {"SSL_CERT_FILE": "/own/roots.pem", "SSL_CERT_DIR": "/own/roots", "HOME": "/root"}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_client_knows_no_roots_but_those_that_the_lab_gives_it(policy: Policy) -> None:
    given = environment(policy, Trust(Path("/lab/ca.pem"), Path("/lab/pin.pem")), OWN)
    assert "SSL_CERT_DIR" not in given
    roots = "/lab/ca.pem" if policy == "system-roots" else None
    assert given.get("SSL_CERT_FILE") == roots
    assert given["HOME"] == "/root"


SHOWN = {"cert": "/lab/client.pem", "key": "/lab/client.key"}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_client_is_given_what_it_may_present_wherever_it_speaks_tls(policy: Policy) -> None:
    silent = Trust(Path("/lab/ca.pem"), Path("/lab/pin.pem"))
    assert not {*options(policy, silent)} & {*SHOWN}
    given = options(policy, silent._replace(**{k: Path(v) for k, v in SHOWN.items()}))
    assert {k: given[k] for k in given if k in SHOWN} == ({} if policy == "insecure" else SHOWN)
    assert ("ca" in given) == (policy in ("ca-file", "skip-hostname", "mutual-tls"))
