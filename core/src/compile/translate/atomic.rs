//! Atomic operators. All are sequentially consistent, and trap when the address is not a multiple of their size.

use cranelift_codegen::ir::types::{I8, I16, I32, I64};
use cranelift_codegen::ir::{AtomicRmwOp, InstBuilder, Type, Value};
use wasmparser::{MemArg, Operator};

use super::Translator;
use super::builtin::{self, Builtin};
use crate::error::{Result, TrapCode, bail};

/// What an atomic operator does to memory.
#[derive(Clone, Copy)]
enum Action {
    Load,
    Store,
    Modify(AtomicRmwOp),
    CompareExchange,
}

/// An atomic access: what it does, to which width of memory, and the type of its operands.
struct Access {
    action: Action,
    memory: Type,
    operand: Type,
    memarg: MemArg,
}

/// Matches an operator against the access operators, each of which comes in seven widths.
macro_rules! access {
    ($operator:expr, $($action:expr => [$w32:ident $w64:ident $b32:ident $h32:ident $b64:ident $h64:ident $s64:ident];)*) => {
        match *$operator {
            $(
                Operator::$w32 { memarg } => (Access { action: $action, memory: I32, operand: I32, memarg }),
                Operator::$w64 { memarg } => (Access { action: $action, memory: I64, operand: I64, memarg }),
                Operator::$b32 { memarg } => (Access { action: $action, memory: I8, operand: I32, memarg }),
                Operator::$h32 { memarg } => (Access { action: $action, memory: I16, operand: I32, memarg }),
                Operator::$b64 { memarg } => (Access { action: $action, memory: I8, operand: I64, memarg }),
                Operator::$h64 { memarg } => (Access { action: $action, memory: I16, operand: I64, memarg }),
                Operator::$s64 { memarg } => (Access { action: $action, memory: I32, operand: I64, memarg }),
            )*
            _ => return None,
        }
    };
}

fn access(operator: &Operator<'_>) -> Option<Access> {
    use Action::{CompareExchange, Load, Modify, Store};
    Some(access! { operator,
        Load => [I32AtomicLoad I64AtomicLoad I32AtomicLoad8U I32AtomicLoad16U I64AtomicLoad8U I64AtomicLoad16U
            I64AtomicLoad32U];
        Store => [I32AtomicStore I64AtomicStore I32AtomicStore8 I32AtomicStore16 I64AtomicStore8 I64AtomicStore16
            I64AtomicStore32];
        Modify(AtomicRmwOp::Add) => [I32AtomicRmwAdd I64AtomicRmwAdd I32AtomicRmw8AddU I32AtomicRmw16AddU
            I64AtomicRmw8AddU I64AtomicRmw16AddU I64AtomicRmw32AddU];
        Modify(AtomicRmwOp::Sub) => [I32AtomicRmwSub I64AtomicRmwSub I32AtomicRmw8SubU I32AtomicRmw16SubU
            I64AtomicRmw8SubU I64AtomicRmw16SubU I64AtomicRmw32SubU];
        Modify(AtomicRmwOp::And) => [I32AtomicRmwAnd I64AtomicRmwAnd I32AtomicRmw8AndU I32AtomicRmw16AndU
            I64AtomicRmw8AndU I64AtomicRmw16AndU I64AtomicRmw32AndU];
        Modify(AtomicRmwOp::Or) => [I32AtomicRmwOr I64AtomicRmwOr I32AtomicRmw8OrU I32AtomicRmw16OrU
            I64AtomicRmw8OrU I64AtomicRmw16OrU I64AtomicRmw32OrU];
        Modify(AtomicRmwOp::Xor) => [I32AtomicRmwXor I64AtomicRmwXor I32AtomicRmw8XorU I32AtomicRmw16XorU
            I64AtomicRmw8XorU I64AtomicRmw16XorU I64AtomicRmw32XorU];
        Modify(AtomicRmwOp::Xchg) => [I32AtomicRmwXchg I64AtomicRmwXchg I32AtomicRmw8XchgU I32AtomicRmw16XchgU
            I64AtomicRmw8XchgU I64AtomicRmw16XchgU I64AtomicRmw32XchgU];
        CompareExchange => [I32AtomicRmwCmpxchg I64AtomicRmwCmpxchg I32AtomicRmw8CmpxchgU I32AtomicRmw16CmpxchgU
            I64AtomicRmw8CmpxchgU I64AtomicRmw16CmpxchgU I64AtomicRmw32CmpxchgU];
    })
}

impl Translator<'_, '_> {
    pub(super) fn atomic(&mut self, operator: &Operator<'_>) -> Result<()> {
        match *operator {
            Operator::AtomicFence => {
                self.builder.ins().fence();
            }
            Operator::MemoryAtomicNotify { memarg } => {
                let count = self.pop();
                self.wait_or_notify(&builtin::MEMORY_ATOMIC_NOTIFY, &memarg, &[count]);
            }
            Operator::MemoryAtomicWait32 { memarg } => {
                let (expected, timeout) = self.pop2();
                self.wait_or_notify(&builtin::MEMORY_ATOMIC_WAIT32, &memarg, &[expected, timeout]);
            }
            Operator::MemoryAtomicWait64 { memarg } => {
                let (expected, timeout) = self.pop2();
                self.wait_or_notify(&builtin::MEMORY_ATOMIC_WAIT64, &memarg, &[expected, timeout]);
            }
            ref other => match access(other) {
                Some(access) => self.atomic_access(&access),
                None => bail!(Unsupported, "operator {other:?}"),
            },
        }
        Ok(())
    }

    fn atomic_access(&mut self, access: &Access) {
        let &Access { action, memory: ty, operand, ref memarg } = access;
        let (expected, value) = match action {
            Action::Load => (None, None),
            Action::Store | Action::Modify(_) => (None, Some(self.pop())),
            Action::CompareExchange => {
                let (expected, replacement) = self.pop2();
                (Some(expected), Some(replacement))
            }
        };
        let index = self.pop();
        self.check_alignment(memarg, index, ty.bytes());
        let at = self.heap_address(memarg, index, ty.bytes());
        let address = match at.offset {
            0 => at.address,
            offset => self.builder.ins().iadd_imm_s(at.address, i64::from(offset)),
        };
        let flags = self.access.heap;
        let expected = expected.map(|v| self.narrow(v, ty));
        let value = value.map(|v| self.narrow(v, ty));
        let ins = self.builder.ins();
        let old = match (action, expected, value) {
            (Action::Load, ..) => Some(ins.atomic_load(ty, flags, address)),
            (Action::Store, _, Some(value)) => {
                ins.atomic_store(flags, value, address);
                None
            }
            (Action::Modify(op), _, Some(value)) => Some(ins.atomic_rmw(ty, flags, op, address, value)),
            (Action::CompareExchange, Some(expected), Some(value)) => {
                Some(ins.atomic_cas(flags, address, expected, value))
            }
            _ => unreachable!("each action has its operands"),
        };
        if !matches!(action, Action::Load) {
            self.mark(memarg, index, at, ty.bytes());
        }
        if let Some(old) = old {
            let old = if ty == operand { old } else { self.builder.ins().uextend(operand, old) };
            self.push(old);
        }
    }

    /// The low end of an operand.
    fn narrow(&mut self, value: Value, ty: Type) -> Value {
        match self.builder.func.dfg.value_type(value) == ty {
            true => value,
            false => self.builder.ins().ireduce(ty, value),
        }
    }

    fn check_alignment(&mut self, memarg: &MemArg, index: Value, size: u32) {
        let mask = i64::from(size) - 1;
        if mask == 0 {
            return;
        }
        let low_offset = memarg.offset as i64 & mask;
        let low = match low_offset {
            0 => index,
            offset => self.builder.ins().iadd_imm_s(index, offset),
        };
        let misaligned = self.builder.ins().band_imm_u(low, mask);
        self.trapnz(misaligned, TrapCode::UnalignedAtomic);
    }

    /// Calls a builtin that checks the address, and gives a result in its low half or a trap code in its high half.
    fn wait_or_notify(&mut self, builtin: &Builtin, memarg: &MemArg, args: &[Value]) {
        let index = self.pop();
        let memory = self.index_const(memarg.memory);
        let index = self.widen(index);
        let offset = self.builder.ins().iconst(I64, memarg.offset as i64);
        let args: Vec<Value> = [memory, index, offset].iter().chain(args).copied().collect();
        let answer = self.call_builtin_value(builtin, &args);
        let code = self.builder.ins().ushr_imm_u(answer, 32);
        let code = self.builder.ins().ireduce(I32, code);
        self.raise_if_nonzero(code);
        let result = self.builder.ins().ireduce(I32, answer);
        self.push(result);
    }
}
