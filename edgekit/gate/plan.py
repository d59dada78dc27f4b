"""When a gate looks at its pairs and what it may decide: declared before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from edgekit.frozen import Frozen
from edgekit.gate.interval import Interval, slowdown

Decision = Literal["pass", "fail", "inconclusive"]


class Plan(Frozen):
    """A gate's rule: a regression over `threshold` fails, with at most `error` chance of a wrong verdict.

    Looks are at fixed numbers of pairs, and the error is shared out among them and among `cases` (Bonferroni,
    which asks nothing of how looks depend on each other): looking early buys no false alarms.
    """

    threshold: float = Field(default=0.05, gt=0, lt=10)
    """0.05: five percent slower."""
    error: float = Field(default=0.02, gt=0, lt=0.5)
    """Two-sided: half of it for a false alarm at the threshold, half for a regression that is waved through."""
    looks: tuple[int, ...] = (10, 14, 20, 28, 40)
    """Numbers of pairs after which the interval is drawn."""
    cases: int = Field(default=1, ge=1)
    """Cases that are judged together."""

    @property
    def confidence(self) -> float:
        """Of the interval at each look."""
        return 1 - self.error / (len(self.looks) * self.cases)

    def decide(self, interval: Interval) -> Decision:
        """Fail only if even the lower end is over the threshold, pass only if even the upper end is under it."""
        if interval.low > self.threshold:
            return "fail"
        return "pass" if interval.high < self.threshold else "inconclusive"

    def judge(self, log_ratios: Sequence[float]) -> tuple[Decision, Interval]:
        """The verdict on ln(candidate / base) of all pairs so far."""
        interval = slowdown(log_ratios, self.confidence)
        return self.decide(interval), interval
