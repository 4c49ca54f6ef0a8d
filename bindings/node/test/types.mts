// Checked by tsc, never run: what must compile, and what must not.

import instar, {
  Caller,
  Engine,
  ErrorKind,
  InstarError,
  Instance,
  InstancePre,
  Linker,
  Memory,
  Module,
  Trap,
  TrapCode,
} from "@instar/instar";

interface Request {
  user: string;
}

interface Plugin {
  add(a: number, b: number): number;
  wide(a: bigint): bigint;
  memory: Memory;
}

const engine = new Engine({ maxInstances: 100, maxMemoryPages: 16, maxWasmStack: 1 << 16 });
new Engine();
// @ts-expect-error: no such option
new Engine({ maxFuel: 1 });
const live: number = engine.liveInstances;

const module = new Module(engine, "(module)");
new Module(engine, new Uint8Array(8));
new Module(engine, new ArrayBuffer(8));
// @ts-expect-error: a number is no source
new Module(engine, 7);
const promised: Promise<Module> = Module.compile(engine, new Uint8Array(8));
const first = Module.exports(module)[0];
const names: string[] = first?.type?.params ?? [];
const from: string | undefined = Module.imports(module)[0]?.module;

const linker = new Linker<Request>(engine);
linker
  .func("env", "log", { params: ["i32"], results: [] }, (caller, a) => {
    const user: string = caller.data.user;
    const number: number = a;
    const bytes: Uint8Array = caller.memory().read(number, user.length);
    caller.memory("other").write(0, bytes);
    caller.func("again")(1, 2n);
  })
  .func("env", "wide", { params: ["i64", "f64"], results: ["i64"] }, (_, a, b) => a + BigInt(Math.trunc(b)))
  .func("env", "swap", { params: ["i32", "i64"], results: ["i64", "i32"] }, (_, a, b) => [b, a])
  .func("env", "now", { results: ["f64"] }, () => Date.now())
  .func("env", "tick", {}, (caller: Caller<Request>) => void caller);
// @ts-expect-error: an i64 is a bigint
linker.func("env", "wide", { params: [], results: ["i64"] }, () => 1);
// @ts-expect-error: an i32 is a number
linker.func("env", "narrow", { params: ["i32"] }, (_, a: bigint) => void a);
// @ts-expect-error: no such type
linker.func("env", "odd", { params: ["i31"] }, () => {});

const pre: InstancePre<Request> = linker.instantiatePre(module);
const instance: Instance<Plugin, Request> = pre.instantiate<Plugin>({ data: { user: "alice" } });
const sum: number = instance.exports.add(1, 2);
const wide: bigint = instance.exports.wide(1n);
const size: number = instance.exports.memory.size + instance.memory().grow(1);
// @ts-expect-error: the plugin takes numbers
instance.exports.add(1n, 2n);
// @ts-expect-error: the data is a Request
pre.instantiate({ data: 7 });
instance.callRaw("add", new BigUint64Array(2));
instance.func("add")(1, 2);
instance.close();

function scoped(): number {
  using sandbox = pre.instantiate<Plugin>({ data: { user: "bob" } });
  return sandbox.exports.add(1, 2);
}

const handle = pre.func<[number, number], number>("add", { data: { user: "carol" } });
const result: number = handle(1, 2);
handle.callRaw(new BigUint64Array(2));
// @ts-expect-error: two parameters
handle(1);
const output: Uint8Array = pre.callBytes("render", new Uint8Array(1));
const render: (input: Uint8Array) => Uint8Array = pre.bytesFunc("render");

try {
  scoped();
} catch (error) {
  if (error instanceof Trap) {
    const trap: TrapCode = error.trap;
    const number: number = TrapCode[trap];
    console.log(trap, number);
  } else if (error instanceof InstarError) {
    const kind: ErrorKind = error.kind;
    const known: 11 = ErrorKind.StaleHandle;
    console.log(kind, error.code === known);
  }
}
throw new Trap("Unreachable");
// @ts-expect-error: no such trap
throw new Trap("OutOfFuel");
// @ts-expect-error: comes from pre.instantiate
new Instance();

declare const console: { log(...values: unknown[]): void };
export { live, promised, names, from, sum, wide, size, result, output, render };
export const same: typeof instar.Engine = Engine;
