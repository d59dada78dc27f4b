"""JUnit XML: a test case for each comparison."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from edgekit.gate.formats.words import case_lines
from edgekit.gate.result import CaseResult, GateResult

KINDS = {"fail": Failure, "stopped": Error, "inconclusive": Skipped}


def text(result: GateResult) -> str:
    """The document; an inconclusive case is `skipped`, one that a device left is an `error`."""
    suite = TestSuite("edgekit compare")
    for case in result.cases:
        suite.add_testcase(_case(case))
    document = JUnitXml("edgekit compare")
    document.add_testsuite(suite)
    document.update_statistics()
    return str(document.tostring().decode("utf-8"))


def _case(case: CaseResult) -> TestCase:
    found = TestCase(case.name, classname=f"latency on {case.device}", time=case.seconds)
    if case.verdict in KINDS:
        found.result = [KINDS[case.verdict](case.reason)]
    found.system_out = "\n".join(case_lines(case))
    return found
