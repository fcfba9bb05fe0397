"""What can be chosen on the page: what the project names, and of that what is here."""

import asyncio
from collections.abc import Iterable

import msgspec

from mitm.audit.case import certificates
from mitm.capture.wording import one_line
from mitm.errors import UserError
from mitm.lab import acme
from mitm.lab.builds import ready
from mitm.lab.cast import AcmeServerRole
from mitm.lab.clients import Client, all_clients
from mitm.lab.scenario import Scenario, load_scenario, scenarios


class ScenarioChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A scenario.

    Attributes:
        missing: why it cannot be played here; "" if it can.
    """

    name: str
    title: str
    missing: str = ""


class ClientChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """A client.

    Attributes:
        plays: the scenarios that it can play a part in.
        missing: why it cannot be run here; "" if it can.
    """

    name: str
    title: str
    plays: tuple[str, ...]
    missing: str = ""


class CertificateChoice(msgspec.Struct, frozen=True):
    """A certificate of the catalogue."""

    name: str
    title: str
    family: str
    expect: str


class Offered(msgspec.Struct, frozen=True):
    """All that there is to choose from."""

    scenarios: tuple[ScenarioChoice, ...]
    clients: tuple[ClientChoice, ...]
    certificates: tuple[CertificateChoice, ...]


class Choices:
    """Knows what the project names, and finds out what of it is here.

    Attributes:
        scenarios: by name, in the order of the guide.
        clients: those that can be run, by name.
        certificates: their names.
    """

    def __init__(self) -> None:
        loaded = sorted(map(load_scenario, scenarios()), key=lambda each: each.order)
        self.scenarios: dict[str, Scenario] = {each.name: each for each in loaded}
        self.clients: dict[str, Client] = {}
        self._recipes = {recipe.name: recipe for recipe in certificates()}
        self.certificates = frozenset(self._recipes)
        self._missing: dict[str, str] = {}

    async def find(self) -> Offered:
        """Find out what is here: programs are asked for their versions, which takes seconds."""
        known = all_clients()
        await asyncio.gather(*map(self._look, known))
        without_ca = acme.missing()
        return Offered(
            scenarios=tuple(
                ScenarioChoice(
                    each.name,
                    one_line(each.title),
                    without_ca if _needs_acme(each) else "",
                )
                for each in self.scenarios.values()
            ),
            clients=tuple(self._client(each) for each in _python_first(known)),
            certificates=tuple(
                CertificateChoice(each.name, one_line(each.title), each.family, each.expect)
                for each in self._recipes.values()
            ),
        )

    async def _look(self, client: Client) -> None:
        try:
            self.clients[client.name] = await ready(client, build=False)
        except UserError as error:
            self._missing[client.name] = one_line(str(error))

    def _client(self, client: Client) -> ClientChoice:
        plays = (n for n, each in self.scenarios.items() if not each.lacking(client.policies))
        missing = self._missing.get(client.name, "")
        return ClientChoice(client.name, one_line(client.title), tuple(plays), missing)


def _needs_acme(scenario: Scenario) -> bool:
    return any(isinstance(role, AcmeServerRole) for role in scenario.cast)


def _python_first(known: Iterable[Client]) -> list[Client]:
    return sorted(known, key=lambda client: client.name != "python")
