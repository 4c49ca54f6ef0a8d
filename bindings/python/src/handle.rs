//! [`Handle`]: an instance, named so that any number of Python objects may do so.
//!
//! Core's own `SharedInstance` closes when it is dropped and cannot be cloned. A handle is its two numbers and the pre, so
//! cloning costs one counter; nothing happens when one is dropped. Closing is up to `Instance` and its exports object.

use instar::{Claim, Result, SharedInstance};

use crate::data::Data;

/// Names an instance, open or closed. Every use is checked.
#[derive(Clone)]
pub struct Handle {
    pre: instar::InstancePre<Data>,
    cell: u64,
    id: u64,
}

impl Handle {
    /// A fresh instance.
    ///
    /// # Errors
    ///
    /// Those of `InstancePre::shared_raw`.
    #[inline]
    pub fn open(pre: &instar::InstancePre<Data>, data: Data) -> Result<Self> {
        let (cell, id) = pre.shared_raw(data)?;
        Ok(Handle { pre: pre.clone(), cell, id })
    }

    /// The instance, for this thread alone.
    ///
    /// # Errors
    ///
    /// `Busy`, `StaleHandle`.
    #[inline]
    pub fn enter(&self) -> Result<Claim<'_, Data>> {
        // SAFETY: the numbers come from an instance of this very pre, which keeps the engine alive.
        unsafe { SharedInstance::enter_raw(&self.pre, self.cell, self.id) }
    }

    /// Ends the instance. Again is fine.
    ///
    /// # Errors
    ///
    /// `Busy`.
    pub fn close(&self) -> Result<()> {
        // SAFETY: as in `enter`.
        unsafe { SharedInstance::<Data>::close_raw(self.cell, self.id) }
    }

    /// Ends the instance when its last Python object goes. Nobody can be calling it then, but if somebody were, it would
    /// be ended by the next instantiation.
    pub fn close_or_abandon(&self) {
        if self.close().is_err() {
            // SAFETY: as in `enter`.
            unsafe { SharedInstance::<Data>::abandon_raw(self.pre.engine(), self.cell, self.id) };
        }
    }
}
