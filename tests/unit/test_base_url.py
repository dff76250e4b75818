"""Two base URLs are one API's where they differ in nothing that a request sees."""

import pytest

from worker.core.base_url import leads_to_same_api

HERE = "https://api.example.com/coaching"


@pytest.mark.parametrize(
    "other",
    [
        HERE,
        f"{HERE}/",
        "https://API.Example.com/coaching",
        "HTTPS://api.example.com/coaching",
        f"{HERE[:23]}:443{HERE[23:]}",
    ],
)
def test_a_slash_at_the_end_the_case_of_the_host_and_the_usual_port_make_no_other_api(other: str) -> None:
    assert leads_to_same_api(HERE, other)


@pytest.mark.parametrize(
    "other",
    [
        "http://api.example.com/coaching",
        "https://api.example.com",
        "https://api.example.com/Coaching",
        "https://api2.example.com/coaching",
        "https://api.example.com:8443/coaching",
    ],
)
def test_another_scheme_host_port_or_path_is_another_api(other: str) -> None:
    assert not leads_to_same_api(HERE, other)
