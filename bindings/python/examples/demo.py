"""Every request in a sandbox that nobody has used before.

Renders the Markdown cases N times (demo.py [N]), checks each output, and shows that a secret left in one instance is not
in the next. Prints one line of JSON.
"""

import json
import sys
import time
from pathlib import Path

import instar

ROOT = Path(__file__).resolve().parents[3]
CASES = ROOT / "tests" / "guests" / "markdown" / "cases"
SECRET = 0x5EC7E7


def pre_of(engine: instar.Engine, guest: str) -> instar.InstancePre:
    module = instar.Module.from_file(engine, ROOT / "target" / "guests" / f"{guest}.wasm")
    return instar.Linker(engine).instantiate_pre(module)


def render_all(engine: instar.Engine, requests: int) -> float:
    """Seconds for so many requests."""
    cases = [(path.name, path.read_bytes(), path.with_suffix(".html").read_bytes()) for path in sorted(CASES.glob("*.md"))]
    pre = pre_of(engine, "markdown")
    start = time.perf_counter()
    for request in range(requests):
        name, text, html = cases[request % len(cases)]
        if pre.call_bytes("render", text) != html:
            raise AssertionError(f"request {request}: {name} was rendered wrongly")
    return time.perf_counter() - start


def secret_is_gone(engine: instar.Engine) -> bool:
    pre = pre_of(engine, "misbehave")
    with pre.instantiate() as first:
        first.exports.leave_secret(SECRET)
        if first.exports.find_secret() == 0:
            raise AssertionError("the secret was not left where it is looked for")
    with pre.instantiate() as second:
        return bool(second.exports.find_secret() == 0)


def main() -> int:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    engine = instar.Engine()
    seconds = render_all(engine, requests)
    secret_gone = secret_is_gone(engine)
    line = {
        "language": "python",
        "requests": requests,
        "seconds": round(seconds, 3),
        "ns_per_request": round(seconds / requests * 1e9),
        "rate": round(requests / seconds),
        "secret_gone": secret_gone,
    }
    print(json.dumps(line))
    return 0 if secret_gone and engine.live_instances == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
