"""Fixtures: an engine, and modules from text."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import instar

Pre = Callable[..., instar.InstancePre]


@pytest.fixture
def engine() -> Iterator[instar.Engine]:
    """An engine that must have no live instance when the test is over."""
    engine = instar.Engine()
    yield engine
    assert engine.live_instances == 0


@pytest.fixture
def pre(engine: instar.Engine) -> Pre:
    """Makes an InstancePre from text and host functions: `pre(wat, log=(function, params, results))`."""

    def make(wat: str, **functions: Any) -> instar.InstancePre:
        linker = instar.Linker(engine)
        for name, function in functions.items():
            if isinstance(function, tuple):
                linker.func("env", name, function[0], params=function[1], results=function[2])
            else:
                linker.func("env", name, function)
        return linker.instantiate_pre(instar.Module(engine, wat))

    return make
