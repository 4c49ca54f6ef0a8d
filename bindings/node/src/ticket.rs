//! [`Ticket`]: how JavaScript holds an [`Operation`], which it selects by number.

use std::rc::Rc;
use std::sync::Arc;

use instar::{Error, ErrorKind, Result};

use crate::failure::guard;
use crate::hot::Operation;
use crate::state::State;

/// The operations of a state, by number. A freed place is used again.
#[derive(Default)]
pub struct Operations {
    places: Vec<Option<Rc<dyn Operation>>>,
    free: Vec<usize>,
}

impl Operations {
    pub fn operation(&self, number: i32) -> Result<Rc<dyn Operation>> {
        self.places.get(number as usize).and_then(Clone::clone).ok_or_else(|| no_operation(number))
    }
}

/// Owns the place of an operation in its state. JavaScript holds it as long as it may run the operation.
pub struct Ticket {
    state: Arc<State>,
    number: usize,
}

impl Ticket {
    pub fn new(state: Arc<State>, operation: impl Operation) -> Self {
        let mut operations = state.operations().borrow_mut();
        let number = operations.free.pop().unwrap_or_else(|| {
            operations.places.push(None);
            operations.places.len() - 1
        });
        operations.places[number] = Some(Rc::new(operation));
        drop(operations);
        Ticket { state, number }
    }

    /// For [`slots::ENTRY`].
    pub fn number(&self) -> u32 {
        self.number as u32
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut operations = self.state.operations().borrow_mut();
        let operation = operations.places[self.number].take();
        operations.free.push(self.number);
        // It may be the last that holds an engine. A finalizer has nobody to report a panic to.
        drop(operations);
        let _ = guard(|| {
            drop(operation);
            Ok(())
        });
    }
}

#[cold]
fn no_operation(number: i32) -> Error {
    Error::new(ErrorKind::Bug, format!("no operation {number}"))
}
