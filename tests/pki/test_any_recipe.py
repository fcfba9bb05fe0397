"""Whatever stands in a recipe: it is a chain, or it is told in one line what is wrong."""

import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from mitm.errors import UserError
from mitm.pki import Authorities, Presentation, Unsupported, forge, load_recipe

junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, "", "x", -1, 2**70, [], {}, [None], "{", "{nobody}", "\0", "ä", 1.5]
)
offsets = st.sampled_from(["-1h", "+1d", "-2d", "+0s", "-9999d", "+999999d", "1h"])
general_names = st.lists(
    st.sampled_from(
        [
            "DNS:{name}",
            "DNS:*.{parent}",
            "DNS:",
            "DNS:\0",
            "DNS:" + "a" * 300,
            "IP:{name}",
            "IP:{parent}",
            "IP:127.0.0.1",
            "IP:10.0.0.0/8",
            "URI:x",
            "EMAIL:a@b.example",
            "EMAIL:@",
            "XMPP:x",
        ]
    ),
    max_size=3,
)
names = st.sampled_from(
    ["CN={name}", "", "CN=a+CN=b", "CN", "O=x,CN=y", "CN={parent}", "CN=\\00", "C=toolong", "CN="]
)
constraints = st.fixed_dictionaries(
    {}, optional={"permitted": general_names, "excluded": general_names}
)
link_fields: dict[str, st.SearchStrategy[Any]] = {
    "subject": names,
    "issuer": names,
    "signed_by": st.sampled_from(["next", "self", "lab", "attacker", "system"]),
    "key": st.sampled_from(["ec-p256", "ec-p384", "ed25519", "rsa-1024"]),
    "hash": st.sampled_from(["sha256", "sha384", "sha1", "md5"]),
    "version": st.sampled_from([1, 2, 3]),
    "serial": st.integers(-1, 2**160),
    "not_before": offsets,
    "not_after": offsets,
    "san": general_names,
    "key_usage": st.lists(st.sampled_from(["digital_signature", "crl_sign", "sign"]), max_size=2),
    "extended_key_usage": st.lists(
        st.sampled_from(
            ["server_auth", "any_extended_key_usage", "1.2.3", "2.5", "nothing", "9.9"]
        ),
        max_size=3,
    ),
    "basic_constraints": st.sampled_from(
        [
            "absent",
            {"ca": True},
            {"ca": False, "path_length": 1},
            {"ca": True, "path_length": 2**40},
        ]
    ),
    "name_constraints": st.one_of(st.just("absent"), constraints),
    "extensions": st.lists(
        st.fixed_dictionaries(
            {
                "oid": st.sampled_from(
                    ["1.2.3", "2.5.29.17", "2.5.29.19", "x", "2.5.29.9999999999"]
                ),
                "der": st.sampled_from(["", "0500", "ff", "3000", "0"]),
            },
            optional={"critical": st.booleans()},
        ),
        max_size=2,
    ),
    "breakages": st.lists(
        st.sampled_from(["bad-signature", "zero-signature", "other-key"]), max_size=2
    ),
    "send": st.booleans(),
    "trusted": st.booleans(),
}
links = st.fixed_dictionaries(
    {}, optional={key: st.one_of(value, junk) for key, value in link_fields.items()}
)
# Fewer fields at a time get further.
simple_links = st.sampled_from(sorted(link_fields)).flatmap(
    lambda key: st.fixed_dictionaries({key: link_fields[key]})
)
ends = st.sampled_from(
    [[], [{"authority": "lab"}], [{"authority": "attacker", "send": True}], [{"authority": "x"}]]
)
front_matter = st.fixed_dictionaries(
    {
        "title": st.just("A title"),
        "expect": st.just("reject"),
        "chain": st.builds(
            lambda above, end: above + end,
            st.lists(st.one_of(simple_links, links), max_size=3),
            ends,
        ),
    },
    optional={
        "dial": st.sampled_from(["name", "ip"]),
        "reverse": st.booleans(),
        "tls": st.fixed_dictionaries(
            {},
            optional={
                "minimum": st.sampled_from(["TLSv1", "TLSv1.2", "TLSv1.3"]),
                "maximum": st.sampled_from(["TLSv1", "TLSv1.2", "TLSv1.3"]),
                "ciphers": st.sampled_from(["eNULL", "NONE", "", ":::", "ALL:@SECLEVEL=9"]),
                "alpn": st.sampled_from(["none", "http/1.1", "h3"]),
                "plaintext": st.sampled_from([False, True, "http/1.1", "h2"]),
            },
        ),
    },
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(front_matter, st.sampled_from(["localhost", "server.mitm-demo.test", "127.0.0.1", "::1"]))
def test_a_recipe_is_a_chain_or_a_line_that_says_why_not(
    authorities: Authorities, now: datetime, front: dict[str, object], name: str
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mine.md"
        path.write_text(f"---\n{yaml.safe_dump(front)}---\n\nThe lesson.\n")
        problem = ""
        try:
            chain = forge(load_recipe(str(path)), name, authorities, now)
            Presentation(chain).context("h2")
        except (UserError, Unsupported) as error:
            problem = str(error)
            assert problem.strip(), repr(error)  # noqa: PT017
        event(problem.split(": ")[-1][:30])
        assert "\n" not in problem
        assert problem or len(chain.certificates) == len(chain.subjects) > 0
