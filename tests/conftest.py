"""What every test can ask for: real services, started when first asked for and ended with the run."""

from hypothesis import HealthCheck, settings

pytest_plugins = (
    "tests.services.sockets",
    "tests.services.valkey",
    "tests.services.postgres",
    "tests.services.stores",
    "tests.services.limiters",
)

# A loaded machine is slow, not wrong: no example has a deadline. The same examples every time, so that a run repeats.
settings.register_profile("coachsync", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("coachsync")
