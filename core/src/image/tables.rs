//! The image of one table: a code for each element up to the last one that a segment sets. What the codes stand for is known
//! to each instance only: references point into its context.
//!
//! ```text
//!   codes       | 17 | 18 | INIT | VALUES+1 | NULL | …        shared by all slots
//!   slot        values[0]: what the table is initialised with; values[1..]: elements given by expressions
//! ```

use super::InstanceImage;
use crate::artifact::image::Placed;
use crate::artifact::info::{Elements, ModuleInfo, NULL_ELEMENT};
use crate::error::{Result, bail};
use crate::vm::instance::{References, VmInstance};

/// The element is the value of its number less this. Smaller codes are positions of escaped functions.
const VALUES: u32 = 1 << 31;
/// The element is as the table was initialised.
const INIT: u32 = VALUES;

/// Initial elements of a table.
#[derive(Debug, Default)]
pub struct TableImage {
    codes: Box<[u32]>,
    /// Segment and position of each element that an expression gives, in the order of values from 1 on.
    expressions: Box<[(u32, u32)]>,
}

impl TableImage {
    /// The image of a table to which element segments are applied in order. They fit it.
    pub fn new(info: &ModuleInfo, segments: &Placed) -> Self {
        let elements = |segment: u32| &info.element_segments[segment as usize].elements;
        let end = segments.iter().map(|&(at, segment)| at + elements(segment).len()).max();
        let mut codes = vec![INIT; end.unwrap_or(0)];
        let mut expressions = Vec::new();
        for &(at, segment) in segments {
            match elements(segment) {
                Elements::Functions(places) => codes[at..at + places.len()].copy_from_slice(places),
                Elements::Expressions(list) => {
                    for (i, code) in (0..).zip(&mut codes[at..at + list.len()]) {
                        expressions.push((segment, i));
                        // There are fewer than 2^31, as each takes bytes of a module.
                        *code = INIT + expressions.len() as u32;
                    }
                }
            }
        }
        TableImage { codes: codes.into(), expressions: expressions.into() }
    }

    /// Sets the elements from `at` on to those of the image.
    fn restore(&self, elements: &mut [u64], at: usize, references: References, values: &[u64]) {
        let known = self.codes.len().saturating_sub(at).min(elements.len());
        let (elements, rest) = elements.split_at_mut(known);
        let codes = &self.codes[self.codes.len().min(at)..][..known];
        if values.len() <= 1 && values.first().is_none_or(|&init| init == 0) {
            // Anything that is no function is null.
            elements.iter_mut().zip(codes).for_each(|(element, &code)| *element = references.element(code));
        } else {
            for (element, &code) in elements.iter_mut().zip(codes) {
                *element = match code.checked_sub(VALUES) {
                    Some(place) if code != NULL_ELEMENT => values.get(place as usize).copied().unwrap_or(0),
                    _ => references.element(code),
                };
            }
        }
        rest.fill(values.first().copied().unwrap_or(0));
    }

    /// What only the instance knows: the initial element, then those of expressions.
    fn values(&self, instance: &VmInstance, index: usize) -> Box<[u64]> {
        let info = &instance.module().info;
        let decl = &info.tables[info.imported_tables as usize + index];
        let init = decl.init.as_ref().map_or(0, |init| instance.evaluate_word(init));
        if init == 0 && self.expressions.is_empty() {
            return [].into();
        }
        let expression = |&(segment, i): &(u32, u32)| match &info.element_segments[segment as usize].elements {
            Elements::Expressions(list) => instance.evaluate_word(&list[i as usize]),
            Elements::Functions(_) => 0,
        };
        std::iter::once(init).chain(self.expressions.iter().map(expression)).collect()
    }
}

/// Fills the `index`-th table of a new instance.
pub fn prepare(instance: &mut VmInstance, image: &TableImage, index: usize) {
    let values = image.values(instance, index);
    let references = instance.references();
    let storage = instance.table_storage(index);
    // A fresh table has nulls already.
    if !values.is_empty() || !image.codes.is_empty() {
        image.restore(storage.elements_mut(), 0, references, &values);
    }
    storage.set_values(values);
}

/// Brings the `index`-th table of an instance back to its image.
#[cold]
pub fn reset(instance: &mut VmInstance, image: &TableImage, index: usize) {
    let references = instance.references();
    let storage = instance.table_storage(index);
    storage.reset(|range, elements, values| image.restore(elements, range.start, references, values));
    let fresh = storage.definition();
    let place = instance.table(instance.module().info.imported_tables + index as u32);
    // SAFETY: the definition of a table that this instance defines.
    unsafe { place.write(fresh) };
}

/// Compares all elements, sizes and marks of the tables of an instance with their images.
///
/// # Errors
///
/// `Bug`, naming the table.
pub fn check(instance: &mut VmInstance, image: &InstanceImage) -> Result<()> {
    let module = instance.module().clone();
    for (i, table) in image.tables().iter().enumerate() {
        let index = module.info.imported_tables + i as u32;
        let values = table.values(instance, i);
        let mut expected = vec![0; module.info.tables[index as usize].ty.minimum as usize];
        table.restore(&mut expected, 0, instance.references(), &values);
        // SAFETY: the definition of a table that this instance defines.
        let (length, dirty) = unsafe { ((*instance.table(index)).length, (*instance.table(index)).dirty) };
        let storage = instance.table_storage(i);
        if storage.elements_mut() != expected || length != expected.len() {
            bail!(Bug, "table {i} differs from its image after a reset");
        }
        if dirty != 0 || !storage.is_unmarked() {
            bail!(Bug, "table {i} is still marked after a reset");
        }
    }
    Ok(())
}
