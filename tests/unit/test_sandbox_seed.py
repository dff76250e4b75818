import json
from pathlib import Path

import pytest

from api_adapter.sandbox.routes import Route, WrongMethod, find_route
from api_adapter.sandbox.seed import sample_targets, sample_world
from api_adapter.sandbox.state import State
from api_adapter.sandbox.targets import json_float32, target_json
from schemas.jobs import TargetUpdate
from schemas.names import SCORECARD_TEMPLATE, profile_of

SANDBOX = Path(__file__).parents[2] / "api_adapter" / "sandbox"
REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "sandbox.md"
PROFILE = "customers/acme/profiles/support"


def test_the_sample_world_is_the_same_every_time() -> None:
    assert sample_world(30) == sample_world(30)
    assert sample_targets("acme", 30) == sample_targets("acme", 1200)[:30]


def test_the_default_world_has_1200_targets_for_each_of_two_customers() -> None:
    state = sample_world()
    assert len(state.targets) == 2400
    assert f"{PROFILE}/targets/t-00001" in state.targets
    assert "customers/globex/profiles/support/targets/t-01200" in state.targets


def test_every_third_target_has_a_coaching_plan_and_every_second_a_criterion() -> None:
    targets = sample_targets("acme", 600)
    assert [bool(target.coaching_plan_name) for target in targets] == [number % 3 == 0 for number in range(1, 601)]
    assert [bool(target.criterion_or_chapter_id) for target in targets] == [number % 2 == 0 for number in range(1, 601)]


def test_every_sample_target_can_be_wished_for_and_points_into_the_world() -> None:
    state = sample_world(200)
    for target in sample_targets("globex", 200):
        fields = target_json(target)
        wish = TargetUpdate.model_validate(
            {key: value for key, value in fields.items() if key != "name"} | {"name": target.name}
        )
        assert wish.resource == target.name
        assert SCORECARD_TEMPLATE.check(target.scorecard_template_name) in state.templates
        agents = state.rosters[profile_of(target.name)]
        assert any(target.usecase_name in agent.usecases for agent in agents)


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [
        ("PATCH", f"/v1/{PROFILE}/targets/t-1", "update_target"),
        ("POST", f"/v1/{PROFILE}/targets", "create_target"),
        ("GET", f"/v1/{PROFILE}/targets", "list_targets"),
        ("POST", f"/v1/{PROFILE}/scorecardTemplates/s@1:retrieveTotalAgentQuota", "retrieve_quota"),
        ("POST", f"/v1/{PROFILE}/scorecardTemplates/s:retrieveEvaluationPeriods", "retrieve_evaluation_periods"),
    ],
)
def test_method_and_path_lead_to_the_operation(method: str, path: str, operation: str) -> None:
    route = find_route(method, path)
    assert isinstance(route, Route)
    assert route.operation == operation


@pytest.mark.parametrize(
    "path",
    [
        f"/{PROFILE}/targets/t-1",
        f"/v1/{PROFILE}/targets/t-1/",
        f"/v1/{PROFILE}/targets/t-1:verb",
        f"/v1/{PROFILE}/targets/a/b",
        "/v1/customers//profiles/support/targets/t-1",
        f"/v1/{PROFILE}/scorecardTemplates/s@1",
    ],
)
def test_a_path_of_another_shape_leads_nowhere(path: str) -> None:
    assert find_route("GET", path) is None


def test_a_method_that_an_operation_does_not_have_is_wrong_not_unknown() -> None:
    assert find_route("PUT", f"/v1/{PROFILE}/targets") == WrongMethod(("GET", "POST"))


def test_a_page_shows_what_was_written_seeded_and_deleted_since_the_last_one() -> None:
    first, second, third = sample_targets("acme", 3)
    state = State()

    def shown() -> list[str]:
        return [target.name for target in state.page(PROFILE, "", 9)[0]]

    assert shown() == []
    state.put(second)
    assert shown() == [second.name]
    state.put_all([first, third])
    assert shown() == [first.name, second.name, third.name]
    state.delete(second.name)
    assert shown() == [first.name, third.name]


@pytest.mark.parametrize(
    ("value", "text"), [(90.0, "90"), (33.333333333, "33.333332"), (0.0, "0"), (3.4028235e38, "3.4028235e+38")]
)
def test_a_float_is_written_as_the_shortest_decimal_of_its_32_bits(value: float, text: str) -> None:
    assert json.dumps(json_float32(value)) == text


def test_a_new_name_is_never_one_that_was_given() -> None:
    state = State()
    first = state.new_name(PROFILE)
    assert first != state.new_name(PROFILE)


def test_every_rule_of_ours_in_the_code_is_listed_in_the_reference() -> None:
    marked = {path.name: path.read_text().count("ours:") for path in SANDBOX.glob("*.py")}
    text = REFERENCE.read_text()
    assert sum(marked.values()) > 10
    assert {name: text.count(f"| `{name}` |") for name in marked} == marked
