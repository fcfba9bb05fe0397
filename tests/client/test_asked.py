"""An interceptor that asks clients for a certificate: whatever they present is told."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mitm import Interceptor, events, pki
from mitm.address import LOCALHOST
from mitm.lab.clients import Client
from mitm.lab.policies import Trust, options
from tests.client.conftest import asking

# By recipes: valid, of an unknown CA, of none, expired, and not for clients.
IDENTITIES = ("genuine", "attacker-ca", "self-signed", "expired", "eku-code-signing")

PRESENTED = {"TLSv1.2": "attacker-ca-tls-1.2", "TLSv1.3": "attacker-ca"}


@pytest.mark.parametrize("version", PRESENTED)
def test_whatever_a_client_presents_is_told_and_it_goes_on(
    client: Client, version: str, tmp_path: Path
) -> None:
    authorities = pki.Authorities([LOCALHOST, "client.example"])
    presented = pki.present(pki.load_recipe(PRESENTED[version]), LOCALHOST, authorities)
    now = datetime.now(UTC)
    identities: list[pki.Chain | None] = [None]
    for recipe in IDENTITIES:
        made = pki.load_recipe(recipe)
        chain = pki.forge(made, "client.example", authorities, now, purpose="client")
        (tmp_path / f"{recipe}.pem").write_bytes(chain.pem)
        pki.write_private(tmp_path / f"{recipe}.key", chain.key_pem)
        identities.append(chain)
    (tmp_path / "ca.pem").write_bytes(presented.chain.anchor_pem)
    (tmp_path / "pin.pem").write_bytes(presented.chain.leaf_pem)
    trust = Trust(tmp_path / "ca.pem", tmp_path / "pin.pem")
    seen: list[events.Event] = []

    async def main() -> None:
        interceptor = Interceptor(
            upstream=None,
            choose=lambda hello: presented,
            on_event=seen.append,
            impersonate=True,
            ask_client=True,
        )
        with asking(client) as batch:
            async with interceptor:
                target = f"{LOCALHOST}:{interceptor.address.port}"
                for identity in identities:
                    shown = trust
                    if identity:
                        path = tmp_path / identity.name
                        files = path.with_suffix(".pem"), path.with_suffix(".key")
                        shown = trust._replace(cert=files[0], key=files[1])
                    asked = {"target": target, "timeout": 20, **options("skip-verify", shown)}
                    seen.clear()
                    answer = await asyncio.to_thread(batch.ask, **asked)
                    assert "user" in answer, (identity and identity.name, answer)
                    told = [each for each in seen if isinstance(each, events.ClientCertificate)]
                    assert told
                    for each in told:
                        assert each.proved == (identity is not None)
                        assert each.sha256 == (identity.sha256 if identity else "")
                    agreed = {e.version for e in seen if isinstance(e, events.HandshakeCompleted)}
                    assert agreed == {version}

    asyncio.run(main())
