"""The interceptor: stands between a client and its server, and tells what it sees."""

from mitm.proxy.interceptor import Interceptor

__all__ = ["Interceptor"]
