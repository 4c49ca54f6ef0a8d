//! Trap codes on their way through Cranelift: the one place where its codes and ours meet.
//!
//! Our codes travel as user codes with our own numbers. Cranelift's five own codes appear where its instructions trap by
//! themselves: division, conversion and the stack check.

use cranelift_codegen::ir;

use crate::error::TrapCode;

/// What follows a call that does not return. Not a trap of the guest: it is in no table.
pub(super) const NEVER: ir::TrapCode = ir::TrapCode::unwrap_user(250);

/// Whether a code is of those that Cranelift records for every division, whether it can trap or not.
pub(super) fn is_division(code: ir::TrapCode) -> bool {
    code == ir::TrapCode::INTEGER_DIVISION_BY_ZERO || code == ir::TrapCode::INTEGER_OVERFLOW
}

/// The Cranelift code under which `code` travels.
pub(super) const fn to_cranelift(code: TrapCode) -> ir::TrapCode {
    ir::TrapCode::unwrap_user(code.code() as u8)
}

/// The reason behind a trap that Cranelift recorded, or `None` for a code that nobody gave it.
pub(super) fn from_cranelift(code: ir::TrapCode) -> Option<TrapCode> {
    match code {
        ir::TrapCode::STACK_OVERFLOW => Some(TrapCode::StackOverflow),
        ir::TrapCode::HEAP_OUT_OF_BOUNDS => Some(TrapCode::MemoryOutOfBounds),
        ir::TrapCode::INTEGER_OVERFLOW => Some(TrapCode::IntegerOverflow),
        ir::TrapCode::INTEGER_DIVISION_BY_ZERO => Some(TrapCode::IntegerDivideByZero),
        ir::TrapCode::BAD_CONVERSION_TO_INTEGER => Some(TrapCode::InvalidConversionToInteger),
        user => TrapCode::from_code(u32::from(user.as_raw().get())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_way_through_cranelift() {
        for &code in TrapCode::ALL {
            assert_eq!(from_cranelift(to_cranelift(code)), Some(code));
        }
        for &code in ir::TrapCode::non_user_traps() {
            assert!(from_cranelift(code).is_some());
        }
    }
}
