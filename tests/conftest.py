"""What every test can ask for: real services, started when first asked for and ended with the run."""

pytest_plugins = (
    "tests.services.sockets",
    "tests.services.valkey",
    "tests.services.postgres",
    "tests.services.stores",
    "tests.services.limiters",
)
