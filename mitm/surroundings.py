"""What stands in the environment of a client and leads it elsewhere than it is told to dial."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mitm.address import LOCALHOST

# gRPC's C core takes the first of grpc_proxy, https_proxy and http_proxy; curl and Python know
# all_proxy as well, and Go prefers capitals.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")

# Go and curl look at one case first and at the other only if that is not there.
_EXCEPTIONS = ("no_proxy", "NO_PROXY")

# In the place of no_proxy for gRPC's C core, and for nobody else.
_EXCEPTIONS_OF_GRPC = "no_grpc_proxy"

# With brackets as well: some compare what stands in a URL.
_THIS_MACHINE = (LOCALHOST, "127.0.0.1", "::1", "[::1]")


def proxies(environment: Mapping[str, str]) -> list[str]:
    """The variables that name a proxy, in whatever case."""
    return sorted(k for k, v in environment.items() if k.lower() in _PROXIES and v)


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment from which no client learns of a proxy."""
    kept = {k: v for k, v in environment.items() if k.lower() not in _PROXIES}
    return kept | dict.fromkeys((*_EXCEPTIONS, _EXCEPTIONS_OF_GRPC), ",".join(_THIS_MACHINE))


def straight(environment: Mapping[str, str], *hosts: str) -> dict[str, str]:
    """An environment in which this machine is dialled without a proxy, and others as before.

    Args:
        environment: that of the caller.
        hosts: further names under which this machine is dialled.
    """
    general = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if general.strip() == "*":
        # Everything is excepted; but C core does not know the star, and beside other entries it is
        # none for the rest.
        return without_proxies(environment)
    changed = {name: _with(environment.get(name) or general, hosts) for name in _EXCEPTIONS}
    if of_grpc := environment.get(_EXCEPTIONS_OF_GRPC):
        changed[_EXCEPTIONS_OF_GRPC] = _with(of_grpc, hosts)
    return dict(environment) | changed


def _with(exceptions: str, hosts: tuple[str, ...]) -> str:
    given = [each.strip() for each in exceptions.split(",") if each.strip()]
    return ",".join(dict.fromkeys((*given, *_THIS_MACHINE, *hosts)))


@contextmanager
def going_straight(*hosts: str) -> Iterator[None]:
    """While the block lasts, clients of this process dial this machine without a proxy.

    Args:
        hosts: further names under which it is dialled.
    """
    if not proxies(os.environ):
        yield
        return
    before = dict(os.environ)
    after = straight(before, *hosts)
    touched = {name for name in before | after if before.get(name) != after.get(name)}
    _set(touched, after)
    try:
        yield
    finally:
        _set(touched, before)


def _set(names: set[str], values: Mapping[str, str]) -> None:
    for name in names:
        if name in values:
            os.environ[name] = values[name]
        else:
            os.environ.pop(name, None)
