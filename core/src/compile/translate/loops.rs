//! What is known of a loop before its body is translated.
//!
//! One pass over the operators of a function finds the locals that each of its loops reads and never writes. They are the same
//! values inside as outside: Cranelift's frontend need not find that out afterwards, and a mark that was made before the
//! loop for an address made of them is known inside.
//!
//! Nothing has been validated here: whatever is odd ends the pass, and the loops after it, and around, count as unknown.

use wasmparser::{Operator, OperatorsReader};

/// Loops of more operators are not tight.
const TIGHT_OPERATORS: usize = 40;

/// How many words the sets of locals of all open loops may have, and how many locals all lists of a function. Modules could
/// ask for billions.
const SET_WORDS: usize = 1 << 16;
const LISTED: usize = 1 << 16;

/// What is known of a loop.
#[derive(Default)]
pub(super) struct LoopFacts {
    /// Locals that are read in the loop and not written.
    pub unchanged: Vec<u32>,
    /// Whether it is short, with no loop and no call in it: one that may do little but store.
    pub tight: bool,
}

/// A loop whose end has not been reached.
struct Open {
    index: usize,
    first_operator: usize,
    /// Whether no loop and no call has been found in it.
    alone: bool,
}

/// Facts of the loops of a function, in the order in which they start; perhaps not of all.
pub(super) fn facts(mut operators: OperatorsReader<'_>, locals: usize) -> Vec<LoopFacts> {
    use Operator as O;
    let words = locals.div_ceil(64);
    let mut facts: Vec<LoopFacts> = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    // Whether each open frame is a loop.
    let mut frames: Vec<bool> = Vec::new();
    // For each open loop the set of locals that it reads, and that of those which it writes.
    let mut sets: Vec<u64> = Vec::new();
    let mut listed = 0;
    for at in 0.. {
        let Ok(operator) = operators.read() else { break };
        match operator {
            O::Block { .. } | O::If { .. } => frames.push(false),
            O::Loop { .. } => {
                if let Some(outer) = open.last_mut() {
                    outer.alone = false;
                }
                open.push(Open { index: facts.len(), first_operator: at, alone: true });
                facts.push(LoopFacts::default());
                frames.push(true);
                sets.resize(sets.len() + 2 * words, 0);
                if sets.len() > SET_WORDS {
                    break;
                }
            }
            O::End => match frames.pop() {
                Some(false) => {}
                Some(true) => {
                    let Some(closed) = open.pop() else { break };
                    let fact = &mut facts[closed.index];
                    fact.tight = closed.alone && at - closed.first_operator <= TIGHT_OPERATORS;
                    let own = sets.split_off(sets.len() - 2 * words);
                    let (read, written) = own.split_at(words);
                    for (word, (&read, &written)) in read.iter().zip(written).enumerate() {
                        let mut unchanged = read & !written;
                        while unchanged != 0 && listed < LISTED {
                            fact.unchanged.push((word * 64) as u32 + unchanged.trailing_zeros());
                            unchanged &= unchanged - 1;
                            listed += 1;
                        }
                    }
                    if !open.is_empty() {
                        let outer = sets.len() - 2 * words;
                        sets[outer..].iter_mut().zip(&own).for_each(|(outer, own)| *outer |= own);
                    }
                }
                // The function's own.
                None => break,
            },
            O::LocalGet { local_index } | O::LocalSet { local_index } | O::LocalTee { local_index } => {
                let local = local_index as usize;
                if local >= locals {
                    break;
                }
                if !open.is_empty() {
                    let set = if matches!(operator, O::LocalGet { .. }) { 2 * words } else { words };
                    let place = sets.len() - set + local / 64;
                    sets[place] |= 1 << (local % 64);
                }
            }
            O::Call { .. } | O::CallIndirect { .. } | O::CallRef { .. } => {
                if let Some(inner) = open.last_mut() {
                    inner.alone = false;
                }
            }
            _ => {}
        }
    }
    facts
}

#[cfg(all(test, feature = "wat"))]
mod tests {
    use super::*;

    /// Facts of the loops of the only function of a module, which has 70 locals.
    fn facts_of(body: &str) -> Vec<(Vec<u32>, bool)> {
        let locals = "i32 ".repeat(70);
        let wasm = wat::parse_str(format!("(module (func $f (local {locals}) {body}))")).unwrap();
        let body = wasmparser::Parser::new(0).parse_all(&wasm).find_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        let operators = body.unwrap().get_operators_reader().unwrap();
        facts(operators, 70).into_iter().map(|facts| (facts.unchanged, facts.tight)).collect()
    }

    #[test]
    fn locals_that_a_loop_or_one_in_it_writes_are_not_unchanged() {
        let facts = facts_of(
            "(drop (local.get 9))
             (loop
               (drop (local.get 1)) (drop (local.get 69))
               (block (loop (local.set 2 (local.get 3)) (drop (local.get 2)) (drop (local.get 66))))
               (if (local.get 4) (then (local.set 66 (local.tee 1 (local.get 5))))))
             (local.set 3 (local.get 4))
             (loop (drop (local.get 3)))",
        );
        assert_eq!(facts, [(vec![3, 4, 5, 69], false), (vec![3, 66], true), (vec![3], true)]);
    }

    #[test]
    fn loops_that_are_long_or_call_are_not_tight() {
        let tight = |body: &str| facts_of(body).iter().map(|(_, tight)| *tight).collect::<Vec<_>>();
        assert_eq!(tight("(loop (call $f))"), [false]);
        assert_eq!(tight(&format!("(loop {}) (loop)", "nop ".repeat(300))), [false, true]);
        assert_eq!(tight("(loop (block (loop (br 1))))"), [false, true]);
    }

    #[test]
    fn deep_nests_of_loops_with_many_locals_count_as_unknown() {
        let nest = |depth: usize| format!("{} (drop (local.get 1)) {}", "(loop ".repeat(depth), ")".repeat(depth));
        assert!(facts_of(&nest(100)).iter().all(|(unchanged, _)| *unchanged == [1]));
        let facts = facts_of(&nest(SET_WORDS));
        assert!(facts.iter().all(|(unchanged, tight)| unchanged.is_empty() && !tight));
    }
}
