"""The updates that every contender is given: the same targets, one value each."""

from dataclasses import dataclass
from urllib.parse import quote

PROFILE = "customers/acme/profiles/support"


@dataclass(frozen=True, slots=True)
class Update:
    name: str
    scorecard_template_name: str
    usecase_name: str
    criterion_or_chapter_id: str
    coaching_plan_name: str
    target: float

    def path(self) -> str:
        """What a request of one's own is made of."""
        fields = {
            "scorecardTemplateName": self.scorecard_template_name,
            "criterionOrChapterId": self.criterion_or_chapter_id,
            "target": f"{self.target:g}",
            "usecaseName": self.usecase_name,
            "coachingPlanName": self.coaching_plan_name,
        }
        return f"/v1/{self.name}?" + "&".join(f"target.{key}={quote(one, safe='')}" for key, one in fields.items())


def updates(first: int, count: int) -> list[Update]:
    """Numbers ``first`` and on; each third belongs to a coaching plan, each second to a criterion."""
    return [_update(number) for number in range(first, first + count)]


def _update(number: int) -> Update:
    return Update(
        name=f"{PROFILE}/targets/t-{number:06d}",
        scorecard_template_name=f"{PROFILE}/scorecardTemplates/empathy",
        usecase_name=f"{PROFILE}/usecases/voice",
        criterion_or_chapter_id="greeting" if number % 2 == 0 else "",
        coaching_plan_name=f"{PROFILE}/coachingPlans/plan-{number % 60:03d}" if number % 3 == 0 else "",
        target=number % 1000 / 10,
    )
