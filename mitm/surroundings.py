"""What stands in the environment of a client and says where it dials, and whom it trusts."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from mitm.address import LOCALHOST, Address

# gRPC's C core takes the first of grpc_proxy, https_proxy and http_proxy; curl and Python know
# all_proxy as well, and Go prefers capitals.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy", "all_proxy")

# Go and curl look at one case first and at the other only if that is not there.
_EXCEPTIONS = ("no_proxy", "NO_PROXY")

# In the place of no_proxy for gRPC's C core, and for nobody else.
_EXCEPTIONS_OF_GRPC = "no_grpc_proxy"

_THIS_MACHINE = (LOCALHOST, "127.0.0.1", "::1")


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
    environment = dict(environment)
    if not proxies(environment):
        return environment
    general = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if general.strip() == "*":
        # Everything is excepted; but C core does not know the star, and beside other entries it is
        # none for the rest.
        return without_proxies(environment)
    changed = {name: _with(environment.get(name) or general, hosts) for name in _EXCEPTIONS}
    if of_grpc := environment.get(_EXCEPTIONS_OF_GRPC):
        changed[_EXCEPTIONS_OF_GRPC] = _with(of_grpc, hosts)
    return environment | changed


def _with(exceptions: str, hosts: tuple[str, ...]) -> str:
    given = [each.strip() for each in exceptions.split(",") if each.strip()]
    # Some compare what stands in a URL. Only where it is needed: httpx fails on the brackets.
    in_urls = [f"[{host}]" for host in hosts if ":" in host]
    return ",".join(dict.fromkeys((*given, *_THIS_MACHINE, *hosts, *in_urls)))


def through(environment: Mapping[str, str], proxy: Address) -> dict[str, str]:
    """An environment in which every stack that takes a proxy takes this one, for all that is TLS.

    Args:
        environment: that of the caller.
        proxy: it is asked by CONNECT.
    """
    url = f"http://{proxy}"
    named = {cased: url for name in _PROXIES for cased in (name, name.upper())}
    # What is asked for in plaintext is not under test, and would be no CONNECT.
    named |= {"http_proxy": "", "HTTP_PROXY": ""}
    without = dict.fromkeys((*_EXCEPTIONS, _EXCEPTIONS_OF_GRPC), "")
    java = f"-Dhttps.proxyHost={proxy.host} -Dhttps.proxyPort={proxy.port} -Dhttp.nonProxyHosts="
    return _with_java(dict(environment) | named | without, java)


class TrustStore(NamedTuple):
    """A trust store that is played for one program, in the place of the machine's.

    Attributes:
        file: PEM. The rest of it stands beside that.
    """

    file: Path

    @property
    def directory(self) -> Path:
        """The same by OpenSSL's names, a file each; Go reads whatever is there."""
        return self.file.parent / "certs"

    @property
    def key_store(self) -> Path:
        """The same for Java."""
        return self.file.parent / "roots.jks"

    def planted(self, environment: Mapping[str, str], *, over_own: bool) -> dict[str, str]:
        """An environment in which a program takes this for what its machine trusts.

        Args:
            environment: that of the caller, whose own settings of the same kind give way.
            over_own: plant it also where the variable beats what a program was given: `requests`
                lets it overrule a session's CA.
        """
        names = (*_ROOTS, *_ROOTS_OVER_OWN) if over_own else _ROOTS
        changed = dict(environment) | dict.fromkeys(names, str(self.file))
        changed[_ROOTS_DIRECTORY] = str(self.directory)
        return _with_java(changed, f"{_JAVA_ROOTS}={_quoted(str(self.key_store))}")


# OpenSSL, Go, rustls-native-certs and .NET; gRPC's C core and grpc-js; Node.
_ROOTS = ("SSL_CERT_FILE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "NODE_EXTRA_CA_CERTS")
_ROOTS_DIRECTORY = "SSL_CERT_DIR"
_ROOTS_OVER_OWN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_JAVA_ROOTS = "-Djavax.net.ssl.trustStore"

# A program that is started with one of these in its own command trusts what that says.
TRUST_SETTINGS = (*_ROOTS, _ROOTS_DIRECTORY, *_ROOTS_OVER_OWN, "javax.net.ssl.trustStore")

# Of every JVM, whoever starts it. Of an option that is there twice, the last holds.
_JAVA_OPTIONS = "JAVA_TOOL_OPTIONS"


def _with_java(environment: dict[str, str], options: str) -> dict[str, str]:
    given = environment.get(_JAVA_OPTIONS, "")
    return environment | {_JAVA_OPTIONS: f"{given} {options}".strip()}


def _quoted(path: str) -> str:
    """A path as a JVM reads it among its options, from 9 on."""
    return f'"{path}"' if " " in path else path


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
