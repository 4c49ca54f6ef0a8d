"""The examples run, and the README's program is one of them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
GUESTS = HERE.parents[1] / "target" / "guests"


def run(*command: str) -> str:
    return subprocess.run([sys.executable, *command], cwd=HERE, check=True, capture_output=True, text=True).stdout


def needs(guest: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not (GUESTS / guest).exists(), reason=f"no {guest}: run tests/guests/build.sh")


def test_hello() -> None:
    assert run("examples/hello.py").splitlines() == [
        "40 + 2 = 42",
        "second call of one instance: 2",
        "first call of the next one: 1",
    ]


def test_host_function() -> None:
    assert run("examples/host_function.py").splitlines() == [
        "alice: looking for a teapot",
        "three teapots: 37.5",
        "bob: looking for a teapot",
        "no price for 'teapot'",
    ]


@needs("markdown.wasm")
def test_markdown() -> None:
    assert run("examples/markdown.py") == "<h1>Hello</h1>\n<p>from a <em>fresh</em> instance</p>\n"


@needs("misbehave.wasm")
def test_demo() -> None:
    line = json.loads(run("examples/demo.py", "200"))
    assert (line["language"], line["requests"], line["secret_gone"]) == ("python", 200, True)


def test_the_programs_in_the_readmes_run(tmp_path: Path) -> None:
    readmes = [HERE / "README.md", HERE / "../../README.md"]
    programs = [p for r in readmes for p in re.findall(r"```python\n(.*?)```", r.read_text(), re.DOTALL)]
    assert len(programs) >= 2
    for at, program in enumerate(programs):
        path = tmp_path / f"readme_{at}.py"
        path.write_text(program)
        run(str(path))
