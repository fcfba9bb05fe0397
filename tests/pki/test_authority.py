"""The lab's CA and the attacker's."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from cryptography import x509

from mitm.pki import Authorities
from mitm.pki.authority import AuthorityName, constrained_to, make_authority


@pytest.mark.parametrize("which", get_args(AuthorityName))
def test_each_run_has_a_ca_of_its_own(which: AuthorityName) -> None:
    one, other = Authorities(["localhost"])[which], Authorities(["localhost"])[which]
    assert one.certificate.public_key() != other.certificate.public_key()
    assert one.certificate.serial_number != other.certificate.serial_number


@pytest.mark.parametrize("which", get_args(AuthorityName))
def test_a_ca_lives_for_a_day_and_says_not_to_be_trusted(
    authorities: Authorities, which: AuthorityName
) -> None:
    certificate = authorities[which].certificate
    assert "DO NOT TRUST" in certificate.subject.rfc4514_string()
    assert certificate.not_valid_after_utc <= datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize("which", ["attacker", "system"])
def test_what_others_may_come_to_trust_is_good_for_the_names_under_test_alone(
    which: AuthorityName,
) -> None:
    certificate = Authorities(["localhost", "127.0.0.1"])[which].certificate
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value == constrained_to(["localhost", "127.0.0.1"])


def test_the_lab_ca_does_not_add_a_flaw_of_its_own() -> None:
    lab = Authorities(["localhost"]).lab.certificate
    with pytest.raises(x509.ExtensionNotFound):
        lab.extensions.get_extension_for_class(x509.NameConstraints)


@pytest.mark.parametrize(
    ("names", "permitted", "excluded"),
    [
        (["localhost", "127.0.0.1"], ["localhost", "127.0.0.1/32"], []),
        (["localhost"], ["localhost"], ["0.0.0.0/0", "::/0"]),
        (["::1"], ["::1/128"], [""]),
    ],
)
def test_a_form_of_name_that_is_not_under_test_is_excluded_altogether(
    names: list[str], permitted: list[str], excluded: list[str]
) -> None:
    made = constrained_to(names)
    assert [str(n.value) for n in made.permitted_subtrees or []] == permitted
    assert [str(n.value) for n in made.excluded_subtrees or []] == excluded


def test_a_ca_can_be_made_for_all_names() -> None:
    certificate = make_authority("Any CA", None).certificate
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical
    assert basic.value.ca
