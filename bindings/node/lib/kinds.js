"use strict";
// Generated from core/src/error.rs by `BLESS=1 cargo test -p instar-drift`; do not edit.

/** What went wrong. */
exports.ErrorKind = Object.freeze({
  InvalidModule: 1,
  Unsupported: 2,
  Link: 3,
  Type: 4,
  MissingExport: 5,
  Trap: 6,
  Host: 7,
  PoolExhausted: 8,
  Limit: 9,
  OutOfBounds: 10,
  StaleHandle: 11,
  Busy: 12,
  Config: 13,
  GuestProtocol: 14,
  Os: 15,
  Poisoned: 16,
  Bug: 17,
});

/** Why a guest trapped. */
exports.TrapCode = Object.freeze({
  Unreachable: 1,
  IntegerDivideByZero: 2,
  IntegerOverflow: 3,
  InvalidConversionToInteger: 4,
  MemoryOutOfBounds: 5,
  TableOutOfBounds: 6,
  UndefinedElement: 7,
  UninitializedElement: 8,
  IndirectCallTypeMismatch: 9,
  NullReference: 10,
  StackOverflow: 11,
  HostError: 12,
  UnalignedAtomic: 13,
  ExpectedSharedMemory: 14,
  NullFunctionReference: 15,
});
