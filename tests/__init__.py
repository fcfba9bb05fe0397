"""The tests. Property tests try the same examples each time, so that none fails now and then."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "mitm-demo",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # on a busy machine everything is
)
settings.load_profile("mitm-demo")
