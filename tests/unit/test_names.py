"""Resource names: what is one, and which part of another thing is wrong."""

import pytest

from schemas.names import (
    COACHING_PLAN,
    MAX_NAME_LENGTH,
    PROFILE,
    SCORECARD_TEMPLATE,
    SCORECARD_TEMPLATE_REVISION,
    TARGET,
    USECASE,
    NameFormat,
    check_same_profile,
    customer_of,
    profile_of,
)

HOME = "customers/acme/profiles/main"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (PROFILE, HOME),
        (TARGET, f"{HOME}/targets/t-1"),
        (TARGET, f"{HOME}/targets/{'x' * 128}"),
        (TARGET, "customers/A.c~m_e-1/profiles/0/targets/9"),
        (SCORECARD_TEMPLATE, f"{HOME}/scorecardTemplates/s"),
        (SCORECARD_TEMPLATE_REVISION, f"{HOME}/scorecardTemplates/s@r-1"),
        (USECASE, f"{HOME}/usecases/u"),
        (COACHING_PLAN, f"{HOME}/coachingPlans/p"),
    ],
)
def test_a_name_is_taken_as_it_is(kind: NameFormat, name: str) -> None:
    assert kind.check(name) == name


FORMAT = "expected customers/{customer}/profiles/{profile}"


@pytest.mark.parametrize(
    ("kind", "name", "told"),
    [
        (TARGET, "", f"'' is no target name; {FORMAT}/targets/{{id}}"),
        (TARGET, "t-1", "'t-1' is no target name"),
        (TARGET, f"/{HOME}/targets/t", "is no target name"),
        (TARGET, f"{HOME}/targets/t/", "is no target name"),
        (TARGET, f"https://x.example/{HOME}/targets/t", "is no target name"),
        (TARGET, HOME.replace("customers", "Customers") + "/targets/t", "is no target name"),
        (TARGET, f"{HOME}/usecases/t", "is no target name"),
        (TARGET, f"{HOME}/targets/", "'' is no id (letters, digits, . _ ~ -)"),
        (TARGET, "customers//profiles/main/targets/t", "'' is no id"),
        (TARGET, f"{HOME}/targets/t 1", "'t 1' is no id"),
        (TARGET, f"{HOME}/targets/t\n", "is no id"),
        (TARGET, f"{HOME}/targets/é", "'é' is no id"),
        (TARGET, f"{HOME}/targets/..", "'..' is no id"),
        (TARGET, f"{HOME}/targets/%2e", "'%2e' is no id"),
        (TARGET, f"{HOME}/targets/t?x=1", "is no id"),
        (TARGET, f"{HOME}/targets/{'x' * 129}", "is no id"),
        (TARGET, f"{HOME}/targets/t@1", f"a target name takes no @revision; {FORMAT}/targets/{{id}}"),
        (TARGET, "customers/a@1/profiles/main/targets/t", "a target name takes no @revision"),
        (TARGET, "x" * (MAX_NAME_LENGTH + 1), "is 501 characters long; at most 500 are taken"),
        (SCORECARD_TEMPLATE, f"{HOME}/scorecardTemplates/s@1", "takes no @revision"),
        (SCORECARD_TEMPLATE_REVISION, f"{HOME}/scorecardTemplates/s", "needs its @revision"),
        (SCORECARD_TEMPLATE_REVISION, f"{HOME}/scorecardTemplates/s@", "'' is no id"),
        (SCORECARD_TEMPLATE_REVISION, f"{HOME}/scorecardTemplates/@1", "'' is no id"),
        (SCORECARD_TEMPLATE_REVISION, f"{HOME}/scorecardTemplates/s@1@2", "'1@2' is no id"),
        (
            SCORECARD_TEMPLATE_REVISION,
            "customers/a@1/profiles/main/scorecardTemplates/s@1",
            "takes no @revision in 'a@1'",
        ),
        (PROFILE, f"{HOME}/targets/t", "is no profile name"),
    ],
)
def test_anything_else_is_refused_with_the_part_that_is_wrong(kind: NameFormat, name: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"expected|at most") as error:
        kind.check(name)
    assert told in str(error.value)
    assert len(str(error.value)) < 300


def test_a_name_tells_its_customer_and_profile() -> None:
    for name in (HOME, f"{HOME}/targets/t", f"{HOME}/scorecardTemplates/s@1", f"{HOME}/scorecardTemplates/s@1/quota;x"):
        assert (customer_of(name), profile_of(name)) == ("acme", HOME)


def test_one_request_never_spans_two_profiles() -> None:
    target = f"{HOME}/targets/t"
    check_same_profile(target, usecaseName=f"{HOME}/usecases/u", coachingPlanName="", scorecardTemplateName=None)
    for home in ("customers/acme/profiles/other", "customers/other/profiles/main", f"{HOME}2"):
        with pytest.raises(ValueError, match=f"^usecaseName '{home}/usecases/u' lies outside {HOME}, where"):
            check_same_profile(target, coachingPlanName="", usecaseName=f"{home}/usecases/u")
