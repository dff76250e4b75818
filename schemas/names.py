"""Resource names of the Coaching API (AIP-122): parse, check, relate.

A name stays a plain ``str`` everywhere; the types below check it on the way in. Raises ``ValueError`` with the expected
format and the first segment that is wrong.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator

MAX_NAME_LENGTH = 500
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")


@dataclass(frozen=True, slots=True)
class NameFormat:
    """One kind of resource name: collections alternate with ids, after ``customers/*/profiles/*``."""

    noun: str
    collection: str
    revision: bool = False
    whole: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """One match accepts a good name; only a bad one is taken apart, to say where it is wrong."""
        segments = (_ID.pattern.join(re.split(r"\{\w+\}", segment)) for segment in self.pattern.split("/"))
        object.__setattr__(self, "whole", re.compile("/".join(segments)))

    @property
    def pattern(self) -> str:
        tail = f"/{self.collection}/{{id}}" if self.collection else ""
        return f"customers/{{customer}}/profiles/{{profile}}{tail}" + ("@{revision}" if self.revision else "")

    def check(self, name: str) -> str:
        """Return ``name`` as it is, or raise ``ValueError`` that says which part is wrong."""
        if len(name) <= MAX_NAME_LENGTH and self.whole.fullmatch(name):
            return name
        self._explain(name)
        return name

    def _explain(self, name: str) -> None:
        if len(name) > MAX_NAME_LENGTH:
            raise ValueError(f"{self.noun} name is {len(name)} characters long; at most {MAX_NAME_LENGTH} are taken")
        expected = self.pattern.split("/")
        given = name.split("/")
        if len(given) != len(expected):
            raise ValueError(f"{_shown(name)} is no {self.noun} name; expected {self.pattern}")
        for want, got in zip(expected, given, strict=True):
            self._check_segment(name, want, got)

    def _check_segment(self, name: str, want: str, got: str) -> None:
        if not want.startswith("{"):
            if got != want:
                raise ValueError(f"{_shown(name)} is no {self.noun} name; expected {self.pattern}")
            return
        identifier, at, revision = got.partition("@")
        wanted = want.endswith("@{revision}")
        if bool(at) != wanted:
            where = f" in {_shown(got)}" if self.revision else ""
            rule = "needs its @revision" if wanted else f"takes no @revision{where}"
            raise ValueError(f"{_shown(name)}: a {self.noun} name {rule}; expected {self.pattern}")
        for part in (identifier, revision) if at else (identifier,):
            if not _ID.fullmatch(part):
                raise ValueError(
                    f"{_shown(name)}: {_shown(part)} is no id (letters, digits, . _ ~ -); expected {self.pattern}"
                )


PROFILE = NameFormat("profile", "")
TARGET = NameFormat("target", "targets")
SCORECARD_TEMPLATE = NameFormat("scorecard template", "scorecardTemplates")
SCORECARD_TEMPLATE_REVISION = NameFormat("scorecard template", "scorecardTemplates", revision=True)
USECASE = NameFormat("usecase", "usecases")
COACHING_PLAN = NameFormat("coaching plan", "coachingPlans")

ProfileName = Annotated[str, AfterValidator(PROFILE.check)]
TargetName = Annotated[str, AfterValidator(TARGET.check)]
TargetNameOrEmpty = Annotated[str, AfterValidator(lambda name: name and TARGET.check(name))]
ScorecardTemplateName = Annotated[str, AfterValidator(SCORECARD_TEMPLATE.check)]
ScorecardTemplateRevisionName = Annotated[str, AfterValidator(SCORECARD_TEMPLATE_REVISION.check)]
UsecaseName = Annotated[str, AfterValidator(USECASE.check)]
CoachingPlanNameOrEmpty = Annotated[str, AfterValidator(lambda name: name and COACHING_PLAN.check(name))]


def check_customer(text: str) -> str:
    """A customer's id as it stands in names. Raises ``ValueError``."""
    if not _ID.fullmatch(text):
        raise ValueError(f"{_shown(text)} is no customer's id; give what stands between customers/ and the next slash")
    return text


def customer_of(name: str) -> str:
    """The customer id of any checked resource name."""
    return name.split("/", 2)[1]


def profile_of(name: str) -> str:
    """``customers/{customer}/profiles/{profile}`` of any checked resource name."""
    return "/".join(name.split("/", 4)[:4])


def target_identity(template: str, usecase: str, criterion: str, plan: str) -> str:
    """What a target is for, in one line: it names a target that has no name yet, and is the same for the same target.

    ``customers/{customer}/profiles/{profile}/targets;template={id};usecase={id};criterion={id};plan={id}``
    """
    ids = {"template": template, "usecase": usecase, "criterion": criterion, "plan": plan}
    parts = (f"{what}={name.rsplit('/', 1)[-1]}" for what, name in ids.items())
    return ";".join([f"{profile_of(template)}/targets", *parts])


def check_same_profile(owner: str, **others: str | None) -> None:
    """Raise ``ValueError`` that names the field if a name lies outside the owner's profile: no request spans two."""
    home = profile_of(owner)
    for named, other in others.items():
        if other and not other.startswith(f"{home}/"):
            raise ValueError(f"{named} {_shown(other)} lies outside {home}, where {_shown(owner)} is")


def _shown(text: str, most: int = 80) -> str:
    return repr(text if len(text) <= most else text[:most] + "…")
