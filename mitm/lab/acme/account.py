"""A party that obtains certificates by ACME, with certbot's own library."""

import asyncio
import datetime
import time
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from mitm.errors import UserError
from mitm.lab.acme.responder import answering
from mitm.lab.acme.server import AcmeServer
from mitm.masking import shortened
from mitm.pki import Chain

if TYPE_CHECKING:
    from acme.client import ClientV2
    from acme.messages import AuthorizationResource

# Seconds that a certificate may take; it takes one or two.
_SECONDS = 30.0
_POLL_SECONDS = 0.05

# Characters of what the CA says of a refusal.
_TOLD = 300


class Account:
    """An account at the CA, with a key of its own: who it is, the CA neither knows nor asks.

    Args:
        server: the CA.
        address: on loopback: where its machine answers challenges.

    Attributes:
        address: the same.
    """

    def __init__(self, server: AcmeServer, address: str) -> None:
        self._server = server
        self.address = address
        self._client: ClientV2 | None = None

    async def obtain(self, name: str, key_pem: bytes = b"") -> Chain:
        """Obtain a certificate: order, challenge, finalise (RFC 8555 section 7.4).

        The CA asks whomever the DNS points to under the name.

        Args:
            name: the DNS name that is to be in it.
            key_pem: the key that it is to be for; a new one if left out.

        Raises:
            UserError: the CA refuses, or does not answer.
        """
        key_pem = key_pem or _pem(ec.generate_private_key(ec.SECP256R1()))
        answers: dict[str, bytes] = {}
        async with answering(self.address, self._server.http_port, answers):
            fullchain = await asyncio.to_thread(self._order, _request(name, key_pem), answers)
        return _chain(fullchain, key_pem, self._server.root_pem, name)

    def _order(self, request_pem: bytes, answers: dict[str, bytes]) -> str:
        # They take a third of a second to import, and are of an extra.
        import requests
        from acme import errors, messages
        from josepy.errors import Error as JoseError

        try:
            client = self._client = self._client or self._registered()
            order = client.new_order(request_pem)
            (authorization,) = order.authorizations
            # One that was given before may still hold (RFC 8555 section 7.1.6).
            if authorization.body.status != messages.STATUS_VALID:
                self._prove(client, authorization, answers)
            deadline = datetime.datetime.now() + datetime.timedelta(seconds=_SECONDS)
            fullchain: str = client.finalize_order(order, deadline).fullchain_pem
        except (errors.Error, messages.Error, JoseError, requests.RequestException) as error:
            raise UserError(f"the CA issues nothing: {shortened(str(error), _TOLD)}") from None
        return fullchain

    def _prove(
        self,
        client: "ClientV2",
        authorization: "AuthorizationResource",
        answers: dict[str, bytes],
    ) -> None:
        """Answer a challenge, and wait until the CA has found the answer."""
        from acme import challenges, messages

        offered = authorization.body.challenges
        over_http = [c for c in offered if isinstance(c.chall, challenges.HTTP01)]
        if not over_http:
            # RFC 8555 section 8.3: not for a wildcard.
            asked = authorization.body.identifier.value
            raise UserError(f"the CA offers no HTTP-01 challenge for {asked}")
        challenge = over_http[0]
        response, said = challenge.response_and_validation(client.net.key)
        answers[challenge.chall.path] = said.encode()
        client.answer_challenge(challenge, response)
        until = time.monotonic() + _SECONDS
        while authorization.body.status == messages.STATUS_PENDING:
            if time.monotonic() > until:
                raise UserError(f"the CA has not looked at the answer within {_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
            authorization, _ = client.poll(authorization)
        if authorization.body.status != messages.STATUS_VALID:
            failed = [c.error for c in authorization.body.challenges if c.error]
            reason = failed[0].detail if failed else authorization.body.status.name
            raise UserError(f"the CA refuses: {shortened(str(reason), _TOLD)}")

    def _registered(self) -> "ClientV2":
        from acme import client, messages
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
        # `requests` takes the path of a CA for True.
        verify: Any = str(self._server.https_ca)
        network = client.ClientNetwork(
            key,
            alg=ES256,
            verify_ssl=verify,
            user_agent="mitm-demo",
        )
        # Neither a proxy nor a bundle of the environment has a part in this.
        network.session.trust_env = False
        directory = client.ClientV2.get_directory(self._server.directory, network)
        registered = client.ClientV2(directory, network)
        agreed = messages.NewRegistration.from_data(terms_of_service_agreed=True)
        registered.new_account(agreed)
        return registered


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _request(name: str, key_pem: bytes) -> bytes:
    key = load_pem_private_key(key_pem, None)
    names = x509.SubjectAlternativeName([x509.DNSName(name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    request = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def _chain(fullchain: str, key_pem: bytes, root_pem: bytes, name: str) -> Chain:
    certificates = x509.load_pem_x509_certificates(fullchain.encode())
    return Chain(
        name="acme",
        certificates=tuple(each.public_bytes(Encoding.DER) for each in certificates),
        key_pem=key_pem,
        anchor_pem=root_pem,
        subjects=tuple(each.subject.rfc4514_string() for each in certificates),
        issuer=certificates[0].issuer.rfc4514_string(),
        host=name,
        server_name=name,
    )
