//! One slot: an instance with its image, and a store cell of its own for when it stands alone.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;

use super::cell::StoreCell;
use super::engine::EnginePool;
use super::warm::WarmPool;
use crate::error::{Result, bail};
use crate::image::{self, GlobalsImage, InstanceImage};
use crate::vm::instance::{ImportValue, InstanceLimits, VmInstance};
use crate::vm::module::VmModule;
use crate::vm::shared::InstanceMemory;

/// All that is needed to make a slot.
pub struct SlotRecipe {
    pub module: Arc<VmModule>,
    pub image: Arc<InstanceImage>,
    pub imports: Box<[ImportValue]>,
    pub limits: InstanceLimits,
    /// Keeps what `imports` points to alive.
    #[expect(dead_code, reason = "held, not used")]
    pub keeps: Box<dyn Any + Send + Sync>,
    /// Compare each slot with its image after each reset.
    pub paranoid: bool,
}

// SAFETY: `imports` points to host functions and shared memories that `keeps` owns and that are Send + Sync, or into a
// store; then the pool that holds the recipe is used only together with that store.
unsafe impl Send for SlotRecipe {}
// SAFETY: as for Send; a recipe is immutable.
unsafe impl Sync for SlotRecipe {}

/// A reusable place for an instance.
pub struct Slot {
    pub instance: Box<VmInstance>,
    globals: GlobalsImage,
    /// Whether it must not be used again.
    broken: bool,
    cell: Option<NonNull<StoreCell>>,
    engine: Arc<EnginePool>,
    /// The pool it belongs to, which lives as long as its slots are live.
    pub(super) pool: NonNull<WarmPool>,
    /// The shard that counts it as live.
    pub(super) home: usize,
}

// SAFETY: a slot is used by one thread at a time; `pool` is Sync, and `cell` is owned by the slot.
unsafe impl Send for Slot {}

impl Slot {
    /// Makes a slot whose instance equals its image. `engine` has counted it already.
    pub(super) fn new(recipe: &SlotRecipe, engine: Arc<EnginePool>, pool: NonNull<WarmPool>) -> Result<Box<Self>> {
        // SAFETY: the recipe's imports match its module; they outlive the pool's slots.
        let mut instance = unsafe { VmInstance::new(recipe.module.clone(), &recipe.imports, recipe.limits) }?;
        let globals = image::prepare(&mut instance, &recipe.image)?;
        Ok(Box::new(Slot { instance, globals, broken: false, cell: None, engine, pool, home: 0 }))
    }

    /// Brings the instance back to its image.
    ///
    /// # Errors
    ///
    /// When that fails; the slot must be thrown away then.
    #[inline]
    pub(super) fn reset(&mut self, recipe: &SlotRecipe) -> Result<()> {
        // SAFETY: a slot that is given back is not in use; image and globals are those it was made with.
        unsafe {
            image::reset(&mut self.instance, &recipe.image, &self.globals)?;
            if recipe.paranoid {
                image::check(&mut self.instance, &recipe.image, &self.globals)?;
            }
        }
        Ok(())
    }

    /// Brings the instance of a live slot back to its image, while others may be linked to it.
    ///
    /// # Errors
    ///
    /// As for [`Slot::reset`]; the slot is broken then. `Unsupported` for an instance that cannot be reset; nothing has happened
    /// then.
    pub(super) fn reset_live(&mut self, recipe: &SlotRecipe) -> Result<()> {
        let memories = self.instance.memories();
        if memories.iter().any(|memory| matches!(memory, InstanceMemory::Shared(_))) {
            bail!(
                Unsupported,
                "the instance defines a shared memory, which others may be using, so it cannot be reset: make another instance"
            );
        }
        let exposed: Vec<usize> = (0..memories.len()).filter(|&i| memories[i].linear().is_exposed()).collect();
        self.broken = true;
        self.reset(recipe)?;
        self.broken = false;
        for i in exposed {
            self.instance.memories()[i].linear().expose();
        }
        Ok(())
    }

    /// Whether the slot must not be used again.
    #[inline]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Does not let the slot be used again.
    pub(super) fn give_up(&mut self) {
        self.broken = true;
    }

    /// Whether a reset has more than `threshold` bytes of memories to restore.
    #[inline]
    pub(super) fn has_more_to_restore(&self, threshold: usize) -> bool {
        // SAFETY: a slot that is given back is not in use.
        unsafe { image::exceeds(&self.instance, threshold) }
    }

    /// The slot's own cell, with the instance handed to it.
    #[inline]
    pub fn own_cell(&mut self) -> NonNull<StoreCell> {
        let cell = match self.cell {
            Some(cell) => cell,
            None => *self.cell.insert(self.engine.acquire_cell()),
        };
        // SAFETY: the cell is the slot's own until the slot is dropped.
        let vm = unsafe { (*cell.as_ptr()).vm() };
        self.instance.set_store(vm);
        cell
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(cell) = self.cell.take() {
            self.engine.release_cell(cell);
        }
        self.engine.slot_gone();
    }
}
