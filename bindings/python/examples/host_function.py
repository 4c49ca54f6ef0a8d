"""Host functions: the guest calls Python, which sees the guest's memory and the request's data."""

from dataclasses import dataclass

import instar
from instar import u32

PLUGIN = """
(module
  (import "env" "log" (func $log (param i32 i32)))
  (import "env" "price" (func $price (param i32 i32) (result f64)))
  (memory (export "memory") 1)
  (data (i32.const 0) "looking for a teapot")
  (func (export "quote") (param $count i32) (result f64)
    (call $log (i32.const 0) (i32.const 20))
    (f64.mul (f64.convert_i32_u (local.get $count)) (call $price (i32.const 14) (i32.const 6)))))
"""


@dataclass
class Request:
    user: str
    prices: dict[str, float]


engine = instar.Engine()
linker = instar.Linker(engine)


@linker.func("env", "log")
def log(caller: instar.Caller, text: u32, length: u32) -> None:
    print(f"{caller.data.user}: {caller.memory.read_str(text, length)}")


@linker.func("env", "price")
def price(caller: instar.Caller, name: u32, length: u32) -> instar.f64:
    request: Request = caller.data
    return request.prices[caller.memory.read_str(name, length)]


quote = linker.instantiate_pre(instar.Module(engine, PLUGIN)).func("quote")
print("three teapots:", quote(3, data=Request("alice", {"teapot": 12.5})))

# An exception of a host function comes back as itself.
try:
    quote(3, data=Request("bob", {}))
except KeyError as error:
    print("no price for", error)
