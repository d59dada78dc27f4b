"""Holm's step-down over the cases of one gate (Holm 1979): what is decided makes room for the rest."""

from __future__ import annotations

from edgekit.gate.plan import Plan
from edgekit.gate.result import CaseResult


def settle(results: tuple[CaseResult, ...]) -> tuple[CaseResult, ...]:
    """Cases that stayed open are judged again, with the error shared among the open ones alone, until none moves."""
    while True:
        still = [result for result in results if _is_open(result)]
        judged = tuple(_again(result, len(still)) if result in still else result for result in results)
        if judged == results or len([result for result in judged if _is_open(result)]) == len(still):
            return judged
        results = judged


def _is_open(result: CaseResult) -> bool:
    return result.verdict == "inconclusive" and result.judged > 0


def _again(result: CaseResult, still: int) -> CaseResult:
    plan = Plan.model_validate(result.plan.model_dump() | {"cases": still})
    # Pairs after the last declared look do not count: when the time ran out is nobody's declared look.
    decision, interval = plan.judge(result.log_ratios[result.metric][: result.judged])
    return result.model_copy(
        update={
            "plan": plan,
            "slowdown": interval,
            "verdict": decision,
            "smallest_visible": plan.threshold + interval.half_width,
            "reason": result.reason
            if decision == "inconclusive"
            else f"decided once {plan.cases} cases were left open (Holm)",
        }
    )
