"""Shows, and proves, whether a gRPC client checks who it talks to.

    from mitm import audit, Interceptor

`audit.run` tries forged certificates on a client; `Interceptor` stands between a client and its
server. Both are imported when they are asked for: this package is loaded in every run of pytest.
"""

TYPE_CHECKING = False

if TYPE_CHECKING:
    from mitm import audit
    from mitm.proxy import Interceptor

__all__ = ["Interceptor", "audit"]


def __getattr__(name: str) -> object:
    if name == "Interceptor":
        from mitm.proxy import Interceptor

        return Interceptor
    if name == "audit":
        import mitm.audit

        return mitm.audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
