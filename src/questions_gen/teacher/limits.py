"""What may be sent, and when: requests and tokens a minute, and what one run of a stage may spend.

A request is charged before it is sent with the most that it can cost, so that what is under way counts too; once its
answer is there, with the tokens that the server counted.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from questions_gen.stage import Budget, Prices, TeacherRun

CHARACTERS_A_TOKEN = 2
"""English has about four, LaTeX one or two: with two, an estimate is seldom too low."""


class OverBudget(Exception):
    """The request wasn't sent: it might cost more than is left."""


class Tokens(NamedTuple):
    prompt: int
    completion: int

    @property
    def total(self) -> int:
        return self.prompt + self.completion


def most(body: Mapping[str, Any]) -> Tokens:
    """The most tokens that a request and its answer take, as far as one can tell before."""
    characters = sum(len(message["content"]) for message in body["messages"])
    return Tokens(ceil(characters / CHARACTERS_A_TOKEN), body["max_tokens"])


def cost(tokens: Tokens, prices: Prices | None) -> float:
    """Money, in the currency of the prices; 0 where there are none."""
    if prices is None:
        return 0.0
    return (tokens.prompt * prices.prompt + tokens.completion * prices.completion) / 1e6


class Pace:
    """Spreads `per_minute` units evenly over each minute; None: as they come."""

    def __init__(self, per_minute: int | None):
        self._seconds = 60 / per_minute if per_minute else 0.0
        self._free = 0.0

    def wait(self, units: int, now: float) -> float:
        """Seconds from `now` until `units` may be sent; they then count as sent."""
        start = max(now, self._free)
        self._free = start + units * self._seconds
        return start - now


class Limits:
    """One run's. Sums include what is under way."""

    def __init__(self, run: TeacherRun):
        self.requests = 0
        self.tokens = Tokens(0, 0)
        self._budget: Budget = run.budget
        self._prices = run.prices
        self._paces = (Pace(run.requests_per_minute), Pace(run.tokens_per_minute))

    @property
    def cost(self) -> float:
        return cost(self.tokens, self._prices)

    def reserve(self, body: Mapping[str, Any]) -> Tokens:
        """Charge a request with the most it can cost. Raises OverBudget, which names the limit."""
        charge = most(body)
        requests, tokens = self.requests + 1, _sum(self.tokens, charge)
        sums = {"requests": requests, "tokens": tokens.total, "cost": cost(tokens, self._prices)}
        for name, value in sums.items():
            limit = getattr(self._budget, name)
            if limit is not None and value > limit:
                raise OverBudget(f"run.teacher.budget.{name}: {limit}")
        self.requests, self.tokens = requests, tokens
        return charge

    def settle(self, charge: Tokens, used: Tokens) -> None:
        """Put what was used in the place of what was charged."""
        self.tokens = Tokens(
            self.tokens.prompt - charge.prompt + used.prompt,
            self.tokens.completion - charge.completion + used.completion,
        )

    def wait(self, charge: Tokens, now: float) -> float:
        """Seconds from `now` until the charged request may be sent."""
        requests, tokens = self._paces
        return max(requests.wait(1, now), tokens.wait(charge.total, now))


def _sum(left: Tokens, right: Tokens) -> Tokens:
    return Tokens(left.prompt + right.prompt, left.completion + right.completion)
