//! Decides what goes into a module's image: as much as is known before instantiation, per memory and per table.

use super::{InstanceImage, MemoryImage};
use crate::artifact::info::{ConstOp, Elements, ModuleInfo, SegmentMode};
use crate::error::Result;

/// A null element in a table's image.
const NULL: u32 = u32::MAX;

pub(super) fn build(info: &ModuleInfo) -> Result<InstanceImage> {
    let (tables, dynamic_elements) = tables(info);
    // When elements can trap, data must not be there before them: see `visible_when_failed`.
    let (memories, dynamic_data) = memories(info, visible_when_failed(info) && !dynamic_elements.is_empty())?;
    Ok(InstanceImage { memories, tables, dynamic_elements, dynamic_data })
}

/// Whether an instance that failed to start can be seen: by a function of it that went into an imported table. Then what
/// follows the first segment that depends on the instance, and may trap, is not in the image either.
fn visible_when_failed(info: &ModuleInfo) -> bool {
    info.imported_tables > 0
}

/// The value of an offset that does not depend on the instance.
fn constant(expression: &[ConstOp]) -> Option<u64> {
    match expression {
        [ConstOp::Bits(bits)] => Some(*bits),
        _ => None,
    }
}

/// A funcref whose function does not depend on the instance.
fn constant_function(expression: &[ConstOp]) -> Option<u32> {
    match expression {
        [ConstOp::Bits(0)] => Some(NULL),
        [ConstOp::RefFunc(index)] => Some(*index),
        _ => None,
    }
}

/// Images of the tables a module defines, and the element segments that are left out.
type TableImages = (Box<[Box<[u32]>]>, Box<[u32]>);

fn tables(info: &ModuleInfo) -> TableImages {
    let imported = info.imported_tables as usize;
    let mut images: Vec<Vec<u32>> = vec![Vec::new(); info.tables.len() - imported];
    // A table leaves the image at its first segment that depends on the instance: later ones must not go before it.
    let mut closed = vec![false; images.len()];
    for (image, decl) in images.iter_mut().zip(&info.tables[imported..]) {
        if let Some(function) = decl.init.as_ref().and_then(|e| constant_function(e)).filter(|&f| f != NULL) {
            image.resize(decl.ty.minimum as usize, function);
        }
    }
    let mut dynamic = Vec::new();
    for (i, segment) in info.element_segments.iter().enumerate() {
        let SegmentMode::Active { target, offset } = &segment.mode else { continue };
        let functions = |elements: &Elements| -> Option<Vec<u32>> {
            match elements {
                Elements::Functions(list) => Some(list.to_vec()),
                Elements::Expressions(list) => list.iter().map(|e| constant_function(e)).collect(),
            }
        };
        let late = visible_when_failed(info) && !dynamic.is_empty();
        let place = (*target as usize).checked_sub(imported).filter(|&t| !closed[t] && !late);
        let known = place.and_then(|table| {
            let ty = info.tables[imported + table].ty;
            let start = constant(offset)?;
            let end = start.checked_add(segment.elements.len() as u64)?;
            (end <= ty.minimum && ty.element.is_function()).then_some(())?;
            Some((table, start as usize, functions(&segment.elements)?))
        });
        match known {
            Some((table, start, functions)) => {
                let image = &mut images[table];
                image.resize(info.tables[imported + table].ty.minimum as usize, NULL);
                image[start..start + functions.len()].copy_from_slice(&functions);
            }
            None => {
                if let Some(table) = place {
                    closed[table] = true;
                }
                dynamic.push(i as u32);
            }
        }
    }
    (images.into_iter().map(Vec::into_boxed_slice).collect(), dynamic.into())
}

/// Images of the memories a module defines, and the data segments that are left out.
type MemoryImages = (Box<[Option<MemoryImage>]>, Box<[u32]>);

/// `late`: whether all segments are left out.
fn memories(info: &ModuleInfo, late: bool) -> Result<MemoryImages> {
    let imported = info.imported_memories as usize;
    let mut contents: Vec<Vec<(usize, &[u8])>> = vec![Vec::new(); info.memories.len() - imported];
    let mut closed = vec![false; contents.len()];
    let mut dynamic = Vec::new();
    for (i, segment) in info.data_segments.iter().enumerate() {
        let SegmentMode::Active { target, offset } = &segment.mode else { continue };
        let bytes = &info.data[segment.bytes.clone()];
        let place = (*target as usize).checked_sub(imported).filter(|&m| !closed[m] && !late);
        let known = place.and_then(|memory| {
            let start = constant(offset)?;
            let end = start.checked_add(bytes.len() as u64)?;
            (end <= info.memories[imported + memory].minimum_bytes()).then_some((memory, start as usize))
        });
        match known {
            Some((memory, start)) => contents[memory].push((start, bytes)),
            None => {
                if let Some(memory) = place {
                    closed[memory] = true;
                }
                dynamic.push(i as u32);
            }
        }
    }
    let images = contents.iter().map(|segments| MemoryImage::new(segments)).collect::<Result<Box<[_]>>>()?;
    Ok((images, dynamic.into()))
}
