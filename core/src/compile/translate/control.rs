//! Structured control: blocks, branches, `unreachable`.
//!
//! A frame's label becomes an IR block only when something branches to it, so a block that nobody leaves early costs
//! nothing. The arms of an `if` need no block parameters, as each has one predecessor.

use cranelift_codegen::ir::{Block, BlockArg, InstBuilder, JumpTableData, Value};
use cranelift_frontend::Variable;
use wasmparser::{BlockType, BrTable, Operator};

use super::loops::LoopFacts;
use super::{Translator, abi, builtin, invalid, parse};
use crate::artifact::info::ValType;
use crate::compile::traps;
use crate::error::{Result, TrapCode, bail};

/// One open block, loop, `if` or the function itself.
pub(super) struct Frame<'a> {
    kind: FrameKind,
    /// Types of the values that a branch to the frame carries.
    label_types: Types<'a>,
    results: Types<'a>,
    /// Where branches to the frame go. A loop always has it, others when they are branched to.
    label: Option<Block>,
    /// Height of the operand stack below the frame's parameters.
    height: usize,
    /// How many marks were known when the frame was opened: they have been made wherever control is inside and after it.
    marks: usize,
}

/// Types of a block's results or parameters.
#[derive(Clone, Copy)]
enum Types<'a> {
    One(ValType),
    List(&'a [ValType]),
}

impl std::ops::Deref for Types<'_> {
    type Target = [ValType];
    fn deref(&self) -> &[ValType] {
        match self {
            Types::One(ty) => std::slice::from_ref(ty),
            Types::List(list) => list,
        }
    }
}

enum FrameKind {
    Function,
    Block,
    Loop {
        /// Whether the innermost loop around it is tight.
        outer_tight: bool,
    },
    /// With the block of the other arm, and the parameters with which it starts.
    If {
        otherwise: Block,
        params: Vec<Value>,
    },
    Else,
    /// Opened in unreachable code.
    Dead,
}

impl<'a> Translator<'a, '_> {
    pub(super) fn push_function_frame(&mut self) {
        let results = Types::List(self.ty.results());
        self.frames.push(Frame {
            kind: FrameKind::Function,
            label_types: results,
            results,
            label: None,
            height: 0,
            marks: 0,
        });
    }

    pub(super) fn control(&mut self, operator: &Operator<'_>) -> Result<()> {
        use Operator as O;
        self.fresh_loads.forget();
        if !self.reachable {
            match operator {
                O::Block { .. } | O::Loop { .. } | O::If { .. } => self.frames.push(Frame {
                    kind: FrameKind::Dead,
                    label_types: Types::List(&[]),
                    results: Types::List(&[]),
                    label: None,
                    height: self.stack.len(),
                    marks: self.marks.len(),
                }),
                O::Else => self.otherwise()?,
                O::End => self.end()?,
                _ => {}
            }
            return Ok(());
        }
        match operator {
            O::Nop => {}
            O::Unreachable => {
                self.trap(TrapCode::Unreachable);
                self.reachable = false;
            }
            O::Block { blockty } => {
                let (params, results) = self.block_type(*blockty)?;
                let height = self.stack.len() - params.len();
                self.push_frame(FrameKind::Block, results, height);
            }
            O::Loop { blockty } => self.open_loop(*blockty)?,
            O::If { blockty } => self.open_if(*blockty)?,
            O::Else => self.otherwise()?,
            O::End => self.end()?,
            O::Br { relative_depth } => {
                self.jump_to(*relative_depth)?;
                self.reachable = false;
            }
            O::BrIf { relative_depth } => self.br_if(*relative_depth)?,
            O::BrTable { targets } => self.br_table(targets)?,
            O::BrOnNull { relative_depth } => self.br_on_null(*relative_depth)?,
            O::BrOnNonNull { relative_depth } => self.br_on_non_null(*relative_depth)?,
            O::Return => {
                self.canonicalise(self.ty.results().len());
                let values = self.stack.split_off(self.stack.len() - self.ty.results().len());
                self.return_values(&values);
                self.reachable = false;
            }
            other => bail!(Bug, "{other:?} is not a control operator"),
        }
        Ok(())
    }

    /// Parameters and results of a block.
    fn block_type(&self, ty: BlockType) -> Result<(&'a [ValType], Types<'a>)> {
        Ok(match ty {
            BlockType::Empty => (&[], Types::List(&[])),
            BlockType::Type(ty) => (&[], Types::One(parse::val_type(ty)?)),
            BlockType::FuncType(index) => {
                let ty = &self.module.info.types[index as usize];
                (ty.params(), Types::List(ty.results()))
            }
        })
    }

    /// Opens a frame that has no label yet.
    fn push_frame(&mut self, kind: FrameKind, results: Types<'a>, height: usize) {
        let marks = self.marks.len();
        self.frames.push(Frame { kind, label_types: results, results, label: None, height, marks });
    }

    fn open_loop(&mut self, ty: BlockType) -> Result<()> {
        let (params, results) = self.block_type(ty)?;
        let height = self.stack.len() - params.len();
        let header = self.block_with_params(params)?;
        let LoopFacts { unchanged, tight } = std::mem::take(&mut self.next_loop);
        let unchanged: Vec<(Variable, Value)> = unchanged
            .into_iter()
            .map(|local| self.locals[local as usize])
            .map(|local| (local, self.builder.use_var(local)))
            .collect();
        self.jump(header, params.len())?;
        self.stack.truncate(height);
        let marks = self.marks.len();
        self.enter(header, marks);
        for (local, value) in unchanged {
            self.builder.def_var(local, value);
        }
        self.stack.extend_from_slice(self.builder.block_params(header));
        self.frames.push(Frame {
            kind: FrameKind::Loop { outer_tight: std::mem::replace(&mut self.tight_loop, tight) },
            label_types: Types::List(params),
            results,
            label: Some(header),
            height,
            marks,
        });
        Ok(())
    }

    fn open_if(&mut self, ty: BlockType) -> Result<()> {
        let (param_types, results) = self.block_type(ty)?;
        let condition = self.pop();
        let height = self.stack.len() - param_types.len();
        let params = self.stack[height..].to_vec();
        self.count_transfers(params.len())?;
        let then = self.builder.create_block();
        let otherwise = self.builder.create_block();
        self.builder.ins().brif(condition, then, &[], otherwise, &[]);
        self.fall_into(then);
        self.push_frame(FrameKind::If { otherwise, params }, results, height);
        Ok(())
    }

    /// `else`: ends the first arm and starts the second.
    fn otherwise(&mut self) -> Result<()> {
        let frame = self.frames.last_mut().expect("the validator matched else");
        if let FrameKind::If { otherwise, params } = std::mem::replace(&mut frame.kind, FrameKind::Else) {
            let (height, marks) = (frame.height, frame.marks);
            if self.reachable {
                self.jump_to(0)?;
            }
            self.stack.truncate(height);
            self.enter(otherwise, marks);
            self.builder.seal_block(otherwise);
            self.stack.extend(params);
            self.reachable = true;
        } else {
            frame.kind = FrameKind::Dead;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        if matches!(self.frames.last(), Some(Frame { kind: FrameKind::If { .. }, .. })) {
            self.otherwise()?;
        }
        let frame = self.frames.pop().expect("the validator matched end");
        let label = match frame.kind {
            FrameKind::Dead => {
                self.stack.truncate(frame.height);
                return Ok(());
            }
            FrameKind::Loop { outer_tight } => {
                self.tight_loop = outer_tight;
                self.builder.seal_block(frame.label.expect("loops have labels"));
                None
            }
            _ => frame.label,
        };
        if let Some(label) = label {
            if self.reachable {
                self.jump(label, frame.results.len())?;
            }
            self.stack.truncate(frame.height);
            self.enter(label, frame.marks);
            self.builder.seal_block(label);
            self.stack.extend_from_slice(self.builder.block_params(label));
            self.reachable = true;
        }
        if !self.reachable {
            self.stack.truncate(frame.height);
        } else if matches!(frame.kind, FrameKind::Function) {
            self.canonicalise(frame.results.len());
            let values = std::mem::take(&mut self.stack);
            self.return_values(&values);
            self.reachable = false;
        }
        Ok(())
    }

    fn br_if(&mut self, depth: u32) -> Result<()> {
        let condition = self.pop();
        let (label, arity) = self.label(depth)?;
        let next = self.builder.create_block();
        self.set_branch_args(arity)?;
        self.builder.ins().brif(condition, label, &self.branch_args, next, &[]);
        self.fall_into(next);
        Ok(())
    }

    /// Branches without the reference, or keeps it.
    fn br_on_null(&mut self, depth: u32) -> Result<()> {
        let reference = self.pop();
        let (label, arity) = self.label(depth)?;
        let next = self.builder.create_block();
        self.set_branch_args(arity)?;
        self.builder.ins().brif(reference, next, &[], label, &self.branch_args);
        self.fall_into(next);
        self.push(reference);
        Ok(())
    }

    /// Branches with the reference on top, or drops it.
    fn br_on_non_null(&mut self, depth: u32) -> Result<()> {
        let (label, arity) = self.label(depth)?;
        let next = self.builder.create_block();
        self.set_branch_args(arity)?;
        let reference = self.pop();
        self.builder.ins().brif(reference, label, &self.branch_args, next, &[]);
        self.fall_into(next);
        Ok(())
    }

    /// Targets that carry values get a block of their own that passes them on, one for each depth, so that the table
    /// stays small however many values there are.
    fn br_table(&mut self, targets: &BrTable<'_>) -> Result<()> {
        let selector = self.pop();
        let mut depths = Vec::new();
        for depth in targets.targets() {
            depths.push(depth.map_err(invalid)?);
        }
        let default = targets.default();
        let mut distinct = depths.clone();
        distinct.push(default);
        distinct.sort_unstable();
        distinct.dedup();
        // Here, where the values are good for all targets.
        let (_, arity) = self.label(default)?;
        self.canonicalise(arity);
        let mut blocks = Vec::with_capacity(distinct.len());
        let mut passing = Vec::new();
        for &depth in &distinct {
            let (label, arity) = self.label(depth)?;
            blocks.push(if arity == 0 {
                label
            } else {
                let block = self.builder.create_block();
                passing.push((block, label, arity));
                block
            });
        }
        let block_of = |depth: u32| blocks[distinct.binary_search(&depth).expect("every depth is in the list")];
        let dfg = &mut self.builder.func.dfg;
        let calls: Vec<_> = depths.iter().map(|&depth| dfg.block_call(block_of(depth), &[])).collect();
        let default = dfg.block_call(block_of(default), &[]);
        let table = self.builder.create_jump_table(JumpTableData::new(default, &calls));
        self.builder.ins().br_table(selector, table);
        for (block, label, arity) in passing {
            self.fall_into(block);
            self.jump(label, arity)?;
        }
        self.reachable = false;
        Ok(())
    }

    /// Returns from the function.
    pub(super) fn return_values(&mut self, values: &[Value]) {
        match self.results_at {
            Some(at) => {
                abi::store_slots(&mut self.builder, self.access.stack, at, values);
                self.builder.ins().return_(&[]);
            }
            None => {
                self.builder.ins().return_(values);
            }
        }
    }

    /// The block that branches to the frame at `depth` go to, and how many values they carry.
    fn label(&mut self, depth: u32) -> Result<(Block, usize)> {
        let index = self.frames.len() - 1 - depth as usize;
        let types = self.frames[index].label_types;
        let block = match self.frames[index].label {
            Some(block) => block,
            None => self.block_with_params(&types)?,
        };
        self.frames[index].label = Some(block);
        Ok((block, types.len()))
    }

    fn block_with_params(&mut self, types: &[ValType]) -> Result<Block> {
        self.count_transfers(types.len())?;
        let block = self.builder.create_block();
        for &ty in types {
            self.builder.append_block_param(block, abi::clif_type(ty));
        }
        Ok(block)
    }

    /// Ends the current block with a jump to the frame at `depth`.
    fn jump_to(&mut self, depth: u32) -> Result<()> {
        let (label, arity) = self.label(depth)?;
        self.jump(label, arity)
    }

    fn jump(&mut self, block: Block, arity: usize) -> Result<()> {
        self.set_branch_args(arity)?;
        self.builder.ins().jump(block, &self.branch_args);
        Ok(())
    }

    /// Makes the topmost `arity` operands, which stay on the stack, the arguments of the next branch.
    fn set_branch_args(&mut self, arity: usize) -> Result<()> {
        self.count_transfers(arity)?;
        self.canonicalise(arity);
        self.branch_args.clear();
        let from = self.stack.len() - arity;
        self.branch_args.extend(self.stack[from..].iter().map(|&v| BlockArg::Value(v)));
        Ok(())
    }

    /// Continues in a block whose predecessors all come from where the oldest `marks` marks had been made.
    fn enter(&mut self, block: Block, marks: usize) {
        self.builder.switch_to_block(block);
        self.marks.keep(marks);
    }

    /// Continues in a block whose only predecessor is the one that has just ended, so that all that was done there holds.
    pub(super) fn fall_into(&mut self, block: Block) {
        self.builder.switch_to_block(block);
        self.builder.seal_block(block);
    }

    /// Raises the trap code in `code` if it is not 0.
    pub(super) fn raise_if_nonzero(&mut self, code: Value) {
        let failed = self.builder.create_block();
        let next = self.builder.create_block();
        self.builder.set_cold_block(failed);
        self.builder.ins().brif(code, failed, &[], next, &[]);
        self.builder.switch_to_block(failed);
        self.builder.seal_block(failed);
        self.call_builtin(&builtin::RAISE, &[code]);
        self.builder.ins().trap(traps::NEVER);
        self.fall_into(next);
    }
}
