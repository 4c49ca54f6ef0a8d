// Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.

/** What went wrong. */
export declare const ErrorKind: {
  /** invalid module */
  readonly InvalidModule: 1;
  /** unsupported feature */
  readonly Unsupported: 2;
  /** import cannot be resolved */
  readonly Link: 3;
  /** type mismatch */
  readonly Type: 4;
  /** no such export */
  readonly MissingExport: 5;
  /** trap */
  readonly Trap: 6;
  /** host function failed */
  readonly Host: 7;
  /** pool exhausted */
  readonly PoolExhausted: 8;
  /** limit reached */
  readonly Limit: 9;
  /** out of bounds */
  readonly OutOfBounds: 10;
  /** stale handle */
  readonly StaleHandle: 11;
  /** store is in use */
  readonly Busy: 12;
  /** invalid configuration */
  readonly Config: 13;
  /** guest broke the calling convention */
  readonly GuestProtocol: 14;
  /** operating system error */
  readonly Os: 15;
  /** store is poisoned */
  readonly Poisoned: 16;
  /** bug in Instar */
  readonly Bug: 17;
};
export type ErrorKind = keyof typeof ErrorKind;

/** Why a guest trapped. */
export declare const TrapCode: {
  /** unreachable */
  readonly Unreachable: 1;
  /** integer divide by zero */
  readonly IntegerDivideByZero: 2;
  /** integer overflow */
  readonly IntegerOverflow: 3;
  /** invalid conversion to integer */
  readonly InvalidConversionToInteger: 4;
  /** out of bounds memory access */
  readonly MemoryOutOfBounds: 5;
  /** out of bounds table access */
  readonly TableOutOfBounds: 6;
  /** undefined element */
  readonly UndefinedElement: 7;
  /** uninitialized element */
  readonly UninitializedElement: 8;
  /** indirect call type mismatch */
  readonly IndirectCallTypeMismatch: 9;
  /** null reference */
  readonly NullReference: 10;
  /** call stack exhausted */
  readonly StackOverflow: 11;
  /** host function failed */
  readonly HostError: 12;
  /** unaligned atomic */
  readonly UnalignedAtomic: 13;
  /** expected shared memory */
  readonly ExpectedSharedMemory: 14;
  /** null function reference */
  readonly NullFunctionReference: 15;
};
export type TrapCode = keyof typeof TrapCode;
