"""The cases that every language runs. Writes target/conformance/python.jsonl."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from conformance import RESULTS, Case, case_files


@pytest.fixture(scope="module")
def results() -> Iterator[TextIO]:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    with RESULTS.open("w") as file:
        yield file


@pytest.mark.parametrize("path", case_files(), ids=lambda path: path.stem)
def test_case(path: Path, results: TextIO) -> None:
    case = Case(path)
    case.run()
    for line in case.lines:
        results.write(json.dumps(line) + "\n")
    results.flush()
    failures = [f"{line['line']} {line['cmd']}: {line['msg']}" for line in case.lines if line["result"] != "pass"]
    assert not failures, "\n".join(failures)
