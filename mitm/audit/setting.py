"""How a client comes to what is presented, and whom its machine trusts: the same in all plays."""

from typing import Literal, get_args

import msgspec

from mitm.address import Address, is_loopback
from mitm.audit.case import Case, Suite
from mitm.errors import UserError
from mitm.pki import Chain

Roots = Literal["given", "system"]
ROOTS: tuple[Roots, ...] = get_args(Roots)

Way = Literal["reverse", "connect"]
WAYS: tuple[Way, ...] = get_args(Way)

# Nobody but a proxy resolves it (RFC 6761 section 6.4), and no stack goes past a proxy for it.
NAME_BEHIND_PROXY = "server.lab.mitm-demo.test"

# One of which every certificate of the catalogue can be made. It is this machine's (RFC 6761
# section 6.3), and some stacks resolve it so.
LONG_NAME = "server.lab.mitm-demo.localhost"

MEANT_TO = "the client is meant to trust what its machine trusts (--roots system)"


class Setting(msgspec.Struct, frozen=True):
    """How each case of an audit is played.

    Attributes:
        roots: whether the CA to trust is in the file alone that the client is given, or one of
            those that its machine trusts as well.
        mode: whether the client dials what is presented, or asks a proxy for it by CONNECT.
        listen: where it is presented, if that is compiled into the client; None for a port of its
            own for each case.
    """

    roots: Roots = "given"
    mode: Way = "reverse"
    listen: Address | None = None

    def dialled(self, chain: Chain) -> str:
        """The host that the client is to dial."""
        return chain.server_name if self.mode == "connect" else chain.host

    def listening(self, chain: Chain) -> Address:
        """Where that is presented; port 0 lets the kernel choose."""
        if self.listen:
            return self.listen
        # The host that the client dials, so that it is found at each of its addresses.
        return Address("127.0.0.1" if self.mode == "connect" else chain.host, 0)

    def proxy(self, port: int) -> Address | None:
        """The proxy that the client is to come by, if any.

        Args:
            port: that is listened on.
        """
        if self.mode != "connect":
            return None
        return Address(self.listen.host if self.listen else "127.0.0.1", port)

    def fitted(self, suite: Suite, *, told_host: bool = True) -> Suite:
        """A suite without what cannot be played in this setting.

        Args:
            suite: any.
            told_host: whether the client is told whom to dial.

        Raises:
            UserError: then nothing would be left of it.
        """
        if self.mode == "connect" and is_loopback(suite.control.dialled.server_name):
            raise UserError(
                f"--mode connect takes a name that a proxy alone resolves, such as "
                f"{NAME_BEHIND_PROXY}: many a client asks no proxy for this machine"
            )
        if self.roots == "system":
            suite = suite.unplanted(MEANT_TO).unfaulted(MEANT_TO)
        usual = self.dialled(suite.control.dialled)

        def obstacle(case: Case) -> str:
            if case.unsupported:
                return ""
            host = self.dialled(case.dialled)
            if self.mode == "connect" and is_loopback(host):
                return f"it is about {host}, and many a client asks no proxy for this machine"
            if self.listen and host != usual and not told_host:
                return (
                    f"it is dialled as {host}, and the command has neither {{target}} nor {{host}}"
                )
            return ""

        return suite.without(obstacle)


# A client that dials what it is told, on a port for each case, and trusts the CA that it is given.
USUAL = Setting()
