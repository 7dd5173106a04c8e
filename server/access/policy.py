"""The policy of a site: its rules as the images that a user may see."""

from __future__ import annotations

from dataclasses import dataclass

from shotdap.catalog import EVERYTHING, Grant, Visibility
from shotdap.config.settings import AccessRule, AccessSettings, BadSettings, Range

_EVERYBODY = "*"


@dataclass(frozen=True)
class _Rule:
    """A rule with its users, and the images that it grants."""

    users: frozenset[str]
    groups: frozenset[str]
    grant: Grant

    def is_for(self, user: str, groups: frozenset[str]) -> bool:
        return bool(_EVERYBODY in self.users or user in self.users or self.groups & groups)


class Policy:
    """Rules of a site: what one of them grants may be seen; without rules, everything.

    Args:
        settings: with the rules.

    Raises:
        BadSettings: a rule is for nobody, or its range is none.
    """

    def __init__(self, settings: AccessSettings) -> None:
        self._rules = tuple(_convert_rule(number, rule) for number, rule in enumerate(settings.rules, 1))

    def find_visibility(self, user: str, groups: frozenset[str]) -> Visibility:
        """Return the images that exist for a user.

        Args:
            user: their name.
            groups: those that they are in.
        """
        if not self._rules:
            return EVERYTHING
        return Visibility((tuple(rule.grant for rule in self._rules if rule.is_for(user, groups)),))


def _convert_rule(number: int, rule: AccessRule) -> _Rule:
    if not rule.users and not rule.groups:
        raise BadSettings(f'access.rules, number {number}: name users or groups; users = ["*"] is everybody.')
    facts = tuple(sorted((name, (value,) if isinstance(value, str) else value) for name, value in rule.facts.items()))
    paths = tuple(path.strip("/") for path in rule.paths)
    if not all(paths):
        raise BadSettings(f"access.rules, number {number}: an empty path would be the whole catalog; leave paths out.")
    first = None if rule.dates.least is None else str(rule.dates.least)
    end = None if rule.dates.most is None else f"{rule.dates.most}~"  # sorts after all that begins so: "2025" is a year
    grant = Grant(
        facts,
        paths,
        _convert_shots(number, rule.shots),
        (first, end),
        rule.embargo_days,
        rule.embargo_fact,
    )
    return _Rule(frozenset(rule.users), frozenset(rule.groups), grant)


def _convert_shots(number: int, shots: Range) -> tuple[int | None, int | None]:
    for bound in (shots.least, shots.most):
        if bound is not None and type(bound) is not int:
            raise BadSettings(f"access.rules, number {number}: shots are numbers, not {bound!r}.")
    return shots.least, shots.most  # type: ignore[return-value]  # checked
