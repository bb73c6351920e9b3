#!/usr/bin/env python3
"""Counts test cases: `N passed, N failed, N skipped`, as scripts/test.sh prints them.

    scripts/test_counts.py CTEST_JUNIT RESULTS_FOLDER [--failures]

CTEST_JUNIT is what `ctest --output-junit` wrote: one entry per test program. A program that left
RESULTS_FOLDER/<name>.xml (GoogleTest's format) counts with the cases in there, any other as one case.
A program that failed although all its cases passed (it crashed, or ran out of time) is one failure more.
With --failures the failed cases are named first.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def googletest_cases(path):
    """Yields (name, outcome) of every case, or one failure when the file cannot be read."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError:
        yield path.stem, "failed"
        return
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None or case.find("error") is not None:
            yield name, "failed"
        elif case.find("skipped") is not None or case.get("status") == "notrun" or case.get("result") == "skipped":
            yield name, "skipped"
        else:
            yield name, "passed"


def program_outcome(case):
    if case.get("status") in ("disabled", "notrun") or case.find("skipped") is not None:
        # Not run because its program is missing is a failure, not a choice.
        message = case.find("skipped").get("message", "") if case.find("skipped") is not None else ""
        return "skipped" if "SKIP" in message or case.get("status") == "disabled" else "failed"
    return "failed" if case.get("status") == "fail" or case.find("failure") is not None else "passed"


def count(junit, results):
    counts, failures = {"passed": 0, "failed": 0, "skipped": 0}, []
    for program in ElementTree.parse(junit).getroot().iter("testcase"):
        name, outcome = program.get("name"), program_outcome(program)
        report = results / f"{name}.xml"
        cases = list(googletest_cases(report)) if report.exists() else []
        cases = [(f"{name}: {case_name}", case) for case_name, case in cases]
        if cases and outcome == "failed" and not any(case == "failed" for _, case in cases):
            cases.append((f"{name}: failed after its cases had passed", "failed"))
        for case_name, case in cases or [(name, outcome)]:
            counts[case] += 1
            if case == "failed":
                failures.append(case_name)
    return counts, failures


def main():
    if len(sys.argv) < 3 or not set(sys.argv[3:]) <= {"--failures"}:
        sys.exit(__doc__)
    counts, failures = count(sys.argv[1], pathlib.Path(sys.argv[2]))
    if "--failures" in sys.argv:
        for failure in failures:
            print(f"FAILED {failure}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))


if __name__ == "__main__":
    main()
