"""Bytes in, bytes out: renders Markdown with a guest written in C, each text in a fresh instance.

python markdown.py [FILE …]     build the guest first: tests/guests/build.sh
"""

import sys
from pathlib import Path

import instar

GUEST = Path(__file__).resolve().parents[3] / "target" / "guests" / "markdown.wasm"

engine = instar.Engine()
render = instar.Linker(engine).instantiate_pre(instar.Module.from_file(engine, GUEST)).bytes_func("render")

texts = [Path(name).read_bytes() for name in sys.argv[1:]] or [b"# Hello\n\nfrom a *fresh* instance\n"]
for text in texts:
    print(render(text).decode(), end="")
