// Types of @instar/instar, written by hand. Names are those of the JavaScript API of WebAssembly where it has them.

import { ErrorKind, TrapCode } from "./lib/kinds.js";

export { ErrorKind, TrapCode };

/** Type of a WebAssembly value: i32, f32 and f64 are numbers in JavaScript, i64 is a BigInt. Nothing is coerced. */
export type ValueType = "i32" | "i64" | "f32" | "f64";

/**
 * Type of a WebAssembly value that is no JavaScript value. Functions with a vector in their type are called with `callRaw`; those with a
 * reference (a typed one counts as "funcref" too) cannot be called from JavaScript.
 */
export type OpaqueType = "v128" | "funcref" | "externref";

/** A WebAssembly value. */
export type Value = number | bigint;

/** What a call returns: nothing, the result, or an array of the results. */
export type Result = undefined | Value | Value[];

/** WebAssembly in the binary format, or as text. */
export type Source = string | ArrayBufferView | ArrayBufferLike;

type ValueOf<T> = T extends "i64" ? bigint : T extends ValueType ? number : T extends string ? Value : never;
type ValuesOf<T> = T extends readonly [infer First, ...infer Rest]
  ? [ValueOf<First>, ...ValuesOf<Rest>]
  : T extends readonly []
    ? []
    : T extends readonly (infer Any)[]
      ? ValueOf<Any>[]
      : [];
type ResultOf<T> = T extends readonly []
  ? void
  : T extends readonly [infer Only]
    ? ValueOf<Only>
    : T extends readonly [unknown, unknown, ...unknown[]]
      ? ValuesOf<T>
      : undefined extends T
        ? void
        : Value | readonly Value[] | void;

/** Type of a function. Absent means none. */
export interface FuncType<
  P extends readonly ValueType[] | undefined = readonly ValueType[] | undefined,
  R extends readonly ValueType[] | undefined = readonly ValueType[] | undefined,
> {
  params?: P;
  results?: R;
}

/** Limits of an engine. */
export interface EngineOptions {
  /** How many instances may be alive at a time. Default 10 000. */
  maxInstances?: number;
  /** Largest size of a linear memory in pages of 64 KiB, whatever the module allows. Default 65 536 (4 GiB); 64-bit memories can use more. */
  maxMemoryPages?: number;
  /** Stack for guest code in bytes. Default 512 KiB; at least 16 KiB. */
  maxWasmStack?: number;
}

/** Compiler and pools. One per thread is enough; a worker makes its own. */
export class Engine {
  /** @throws {InstarError} `Config` */
  constructor(options?: EngineOptions);
  /** Instances that are alive now. */
  get liveInstances(): number;
}

export type ExternKind = "function" | "memory" | "table" | "global";

export interface ModuleExportDescriptor {
  name: string;
  kind: ExternKind;
  /** Of a function. */
  type?: { params: (ValueType | OpaqueType)[]; results: (ValueType | OpaqueType)[] };
}

export interface ModuleImportDescriptor extends ModuleExportDescriptor {
  module: string;
}

/** Compiled code. Immutable. */
export class Module {
  /**
   * Compiles.
   * @throws {InstarError} `InvalidModule` with the offset and the reason; `Unsupported`
   */
  constructor(engine: Engine, source: Source);
  /** Compiles on another thread. */
  static compile(engine: Engine, source: Source): Promise<Module>;
  /**
   * Reads and compiles a file in either format.
   * @throws {InstarError} as the constructor; `Os`
   */
  static fromFile(engine: Engine, path: string): Module;
  static exports(module: Module): ModuleExportDescriptor[];
  static imports(module: Module): ModuleImportDescriptor[];
  /** The name that the module gives itself. */
  get name(): string | undefined;
}

/** A host function. `data` is what `instantiate` was given. Exceptions come back as themselves to whoever called the guest. */
export type HostFunction<D = any, P = readonly ValueType[] | undefined, R = readonly ValueType[] | undefined> = (
  caller: Caller<D>,
  ...params: ValuesOf<P>
) => ResultOf<R>;

/** Names and the host functions behind them. */
export class Linker<D = any> {
  constructor(engine: Engine);
  /** Whether defining a name again replaces it instead of failing. Off at first. */
  allowShadowing(allow: boolean): this;
  /**
   * Defines the import `module`.`name`. A function with several results returns an array.
   * @throws {InstarError} `Type`; `Link` if the name is taken
   */
  func<
    const P extends readonly ValueType[] | undefined = undefined,
    const R extends readonly [ValueType, ValueType, ...ValueType[]] = [ValueType, ValueType],
  >(
    module: string,
    name: string,
    type: FuncType<P, R> & { results: R },
    // A mapped type, so that the compiler takes an array literal for a tuple.
    run: (caller: Caller<D>, ...params: ValuesOf<P>) => { [I in keyof R]: ValueOf<R[I]> },
  ): this;
  func<const P extends readonly ValueType[] | undefined = undefined, const R extends readonly ValueType[] | undefined = undefined>(
    module: string,
    name: string,
    type: FuncType<P, R>,
    run: HostFunction<D, P, R>,
  ): this;
  /**
   * Resolves a module's imports.
   * @throws {InstarError} `Link`
   */
  instantiatePre(module: Module): InstancePre<D>;
  /** `instantiatePre(module).instantiate(options)`. */
  instantiate<E = Exports>(module: Module, options?: InstanceOptions<D>): Instance<E, D>;
}

export interface InstanceOptions<D = any> {
  /** What host functions see as `caller.data`. */
  data?: D;
}

/** A call that makes an instance of its own, and undoes everything afterwards. */
export interface FreshFunction<A extends readonly Value[] = Value[], R = any> {
  (...params: A): R;
  /** The same on the bits of all values, see {@link Instance.callRaw}. */
  callRaw(slots: BigUint64Array): BigUint64Array;
}

/** A module with all imports resolved: what is instantiated millions of times. */
export class InstancePre<D = any> {
  private constructor();
  get module(): Module;
  /**
   * Makes a fresh instance. Close it.
   * @throws {InstarError} `PoolExhausted`; what its start function fails with
   */
  instantiate<E = Exports>(options?: InstanceOptions<D>): Instance<E, D>;
  /**
   * The export `name` as a function that runs in a fresh instance each time: the cheapest way to call.
   * @throws {InstarError} `MissingExport`
   */
  func<A extends readonly Value[] = Value[], R = any>(name: string, options?: InstanceOptions<D>): FreshFunction<A, R>;
  /** Calls `name` in a fresh instance on the bits of all values, see {@link Instance.callRaw}. */
  callRaw(name: string, slots: BigUint64Array, options?: InstanceOptions<D>): BigUint64Array;
  /**
   * Bytes in, bytes out, in a fresh instance. The guest exports `memory`, `alloc(i32) -> i32` and
   * `name(ptr: i32, len: i32) -> i64`, which answers `ptr << 32 | len`.
   * @throws {InstarError} `MissingExport`, `Type`, `GuestProtocol`, `Trap`
   */
  callBytes(name: string, input: Uint8Array, options?: InstanceOptions<D>): Uint8Array;
  /** `callBytes` without looking the name up each time. */
  bytesFunc(name: string, options?: InstanceOptions<D>): (input: Uint8Array) => Uint8Array;
}

/** An exported function, before anything is known about its type. */
export type ExportFunction = (...params: Value[]) => any;

/** Functions and memories of an instance. Names that are not exported are undefined. */
export type Exports = Record<string, any>;

/** A sandbox that nobody has used before. */
export class Instance<E = Exports, D = any> {
  private constructor();
  /** Exported functions and memories, by name. */
  get exports(): E;
  get data(): D;
  /**
   * The exported function `name`, like `exports[name]`.
   * @throws {InstarError} `MissingExport`, naming what there is
   */
  func(name: string): ExportFunction;
  /**
   * The exported memory.
   * @param name Default "memory"
   * @throws {InstarError} `MissingExport`
   */
  memory(name?: string): Memory;
  /**
   * Calls on bits: parameters in, results out, one slot each; i32 and f32 in the low half. A v128 takes two slots, its low half
   * first. Keeps the payload of NaNs, which JavaScript numbers lose.
   * @returns slots
   */
  callRaw(name: string, slots: BigUint64Array): BigUint64Array;
  /** Bytes in, bytes out, see {@link InstancePre.callBytes}. */
  callBytes(name: string, input: Uint8Array): Uint8Array;
  /**
   * Undoes everything it did. Using it afterwards is a `StaleHandle`; closing it again does nothing.
   * @throws {InstarError} `Busy` during a call
   */
  close(): void;
  [Symbol.dispose](): void;
}

/** Linear memory, by checked copies: a view would show the next instance's bytes once this one is closed. */
export class Memory {
  private constructor();
  /** In bytes. */
  get size(): number;
  /** @throws {InstarError} `OutOfBounds` */
  read(address: number, length: number): Uint8Array;
  /** @throws {InstarError} `OutOfBounds`; nothing is written then */
  write(address: number, bytes: Uint8Array): void;
  /**
   * Grows by so many pages of its own size (64 KiB unless its type says otherwise).
   * @returns the old number of pages
   * @throws {InstarError} `Limit`
   */
  grow(pages: number): number;
}

/** The instance that calls a host function. Valid during that call only. */
export class Caller<D = any> {
  private constructor();
  get data(): D;
  /**
   * @param name Default "memory"
   * @throws {InstarError} `MissingExport`, `StaleHandle`, `Busy`
   */
  memory(name?: string): Memory;
  /**
   * An export of the calling instance: the only way back into it during the call.
   * @throws {InstarError} `MissingExport`, `StaleHandle`, `Busy`
   */
  func(name: string): ExportFunction;
}

/** Everything that goes wrong, except what host functions throw. */
export class InstarError extends Error {
  constructor(kind: ErrorKind, message?: string, options?: { cause?: unknown });
  readonly kind: ErrorKind;
  /** The stable number of `kind`, the same in every language. */
  readonly code: number;
}

/** The guest trapped. A host function that throws one traps like the guest itself. */
export class Trap extends InstarError {
  constructor(trap: TrapCode, message?: string);
  readonly trap: TrapCode;
}
