"""The interceptor: stands between a client and its server, and tells what it sees."""

from mitm.proxy.interception import Mode
from mitm.proxy.interceptor import Interceptor
from mitm.proxy.stand_in import StandIn
from mitm.proxy.treatment import Treatment

__all__ = ["Interceptor", "Mode", "StandIn", "Treatment"]
