"""The lab: loads a scenario, starts server, interceptor and client, and plays both legs."""

from mitm.lab.clients import Client, clients, load_client
from mitm.lab.play import Lab, Played, play
from mitm.lab.scenario import Scenario, load_scenario, scenarios

__all__ = [
    "Client",
    "Lab",
    "Played",
    "Scenario",
    "clients",
    "load_client",
    "load_scenario",
    "play",
    "scenarios",
]
