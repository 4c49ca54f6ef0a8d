//! Function types of an engine: one id for each, whichever module or host function brought it; and types in words.
//!
//! Ids make the checks of `call_indirect`, of references and of imports a comparison of numbers. Types are equal as the
//! specification has it (iso-recursive equality): same parameters and results, where concrete references mention equal
//! types. A type may mention types that were there before it, and itself:
//!
//! ```text
//!   module                                   key                          id   type
//!   (type $a (func (param i32)))             (i32) -> ()                   0   (i32) -> ()
//!   (type $b (func (param (ref $a))))        ((ref 0)) -> ()               1   ((ref 0)) -> ()
//!   (type $c (func (param (ref $c))))        ((ref SELF)) -> ()            2   ((ref 2)) -> (), recursive
//!   (type $d (func (param (ref $c))))        ((ref 2)) -> ()               3   ((ref 2)) -> ()
//! ```
//!
//! Keys are bytes as in artifacts, so that types which mention no other are looked up as they lie in the file: most modules
//! bring few types that an engine has not seen, and no type is decoded twice.
//!
//! Invariant: what a type mentions has a smaller id, or is itself. So there is no cycle but the one of length one.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write;

use foldhash::quality::RandomState;

use crate::artifact::func_types::{Packed, PackedTypes, pack, unpack};
use crate::artifact::info::{FuncType, HeapType, RefType, ValType};
use crate::error::{Result, bail, error};

/// What a type in a key mentions when it mentions itself. No id, since the registry ends before.
const SELF: u32 = u32::MAX;

/// How many value types are written out to show what concrete references mention; the rest are shown as numbers. Types
/// can double with each mention, so their text must have an end.
const SHOWN: usize = 64;

/// The function types of an engine.
#[derive(Default)]
pub(crate) struct TypeRegistry {
    /// By key: the packed type, with [`SELF`] where it mentions itself.
    ids: HashMap<Box<[u8]>, u32, RandomState>,
    types: Vec<FuncType>,
}

impl TypeRegistry {
    /// The type with this id.
    pub fn get(&self, id: u32) -> Option<&FuncType> {
        self.types.get(id as usize)
    }

    /// The id of a type of this engine.
    ///
    /// # Errors
    ///
    /// `Type` when it mentions an id that is none.
    pub fn id(&mut self, ty: &FuncType) -> Result<u32> {
        if let Some(id) = ty.recursive() {
            return match self.get(id) {
                Some(known) if known == ty => Ok(id),
                _ => bail!(Type, "the type {ty} belongs to another engine"),
            };
        }
        self.check(ty.mentioned())?;
        self.intern(ty.clone())
    }

    /// Checks that all of these are ids.
    pub fn check(&self, mut mentioned: impl Iterator<Item = u32>) -> Result<()> {
        match mentioned.find(|&id| self.get(id).is_none()) {
            Some(id) => {
                bail!(Type, "there is no type {id} in this engine; ids come from Engine::type_id of the same engine")
            }
            None => Ok(()),
        }
    }

    fn intern(&mut self, ty: FuncType) -> Result<u32> {
        let mut key = Vec::new();
        pack(&ty, &mut key);
        match self.ids.get(&*key) {
            Some(&id) => Ok(id),
            None => self.add(key.into(), ty),
        }
    }

    fn intern_plain(&mut self, key: &[u8]) -> Result<u32> {
        match self.ids.get(key) {
            Some(&id) => Ok(id),
            None => self.add(key.into(), unpack(key)?),
        }
    }

    #[cold]
    fn add(&mut self, key: Box<[u8]>, ty: FuncType) -> Result<u32> {
        let id = u32::try_from(self.types.len()).ok().filter(|&id| id != SELF);
        let id = id.ok_or_else(|| error!(Limit, "the engine has too many types"))?;
        self.types.push(match ty.recursive() {
            Some(_) => ty.with_concrete(|mentioned| if mentioned == SELF { id } else { mentioned }, Some(id)),
            None => ty,
        });
        self.ids.insert(key, id);
        Ok(id)
    }

    /// The types of a module that was just compiled or mapped, as this engine has them, and their ids.
    ///
    /// # Errors
    ///
    /// `Artifact` when a type is damaged; `InvalidModule` when one mentions one that comes later, which validation lets
    /// nobody do.
    pub fn adopt(&mut self, packed: PackedTypes<'_>) -> Result<(Vec<FuncType>, Box<[u32]>)> {
        let mut ids: Vec<u32> = Vec::with_capacity(packed.len());
        let mut types = Vec::with_capacity(packed.len());
        for ty in packed {
            let id = match ty? {
                Packed::Plain(key) => self.intern_plain(key)?,
                Packed::Other(ty) => {
                    let own = ids.len() as u32;
                    if let Some(later) = ty.mentioned().find(|&mentioned| mentioned > own) {
                        bail!(InvalidModule, "type {own} mentions type {later}, which comes after it");
                    }
                    let recursive = ty.mentioned().any(|mentioned| mentioned == own);
                    self.intern(ty.with_concrete(
                        |mentioned| if mentioned == own { SELF } else { ids[mentioned as usize] },
                        recursive.then_some(SELF),
                    ))?
                }
            };
            ids.push(id);
            types.push(self.types[id as usize].clone());
        }
        Ok((types, ids.into()))
    }

    /// These ids and all that their types mention, in turn, ascending: no type before those that it mentions.
    pub fn closure(&self, roots: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut found = BTreeSet::new();
        let mut open: Vec<u32> = roots.into_iter().collect();
        while let Some(id) = open.pop() {
            if found.insert(id) {
                open.extend(self.get(id).into_iter().flat_map(FuncType::mentioned));
            }
        }
        found.into_iter().collect()
    }

    /// A function type in words, with the types that its references mention.
    pub fn show_func(&self, ty: &FuncType) -> String {
        let mut text = Text { registry: self, out: String::new(), left: SHOWN };
        text.func(ty);
        text.out
    }

    /// A value type in words, with the type that it mentions.
    pub fn show(&self, ty: ValType) -> String {
        let mut text = Text { registry: self, out: String::new(), left: SHOWN };
        text.value(ty, None);
        text.out
    }
}

/// The text of a type, as far as it is written.
struct Text<'a> {
    registry: &'a TypeRegistry,
    out: String,
    left: usize,
}

impl Text<'_> {
    fn func(&mut self, ty: &FuncType) {
        for (list, end) in [(ty.params(), " -> "), (ty.results(), "")] {
            self.out.push('(');
            for (i, &value) in list.iter().enumerate() {
                self.out.push_str(if i == 0 { "" } else { ", " });
                self.value(value, ty.recursive());
            }
            self.out.push(')');
            self.out.push_str(end);
        }
    }

    /// `within`: the type that is being written, if it mentions itself.
    fn value(&mut self, ty: ValType, within: Option<u32>) {
        let ValType::Ref(RefType { nullable, heap: HeapType::Concrete(id) }) = ty else {
            // Writing to a string cannot fail.
            let _ = write!(self.out, "{ty}");
            return;
        };
        let prefix = if nullable { "(ref null " } else { "(ref " };
        let mentioned = self.registry.get(id);
        let cost = mentioned.map_or(0, |ty| 1 + ty.params().len() + ty.results().len());
        match mentioned {
            _ if within == Some(id) => {
                let _ = write!(self.out, "{prefix}self)");
            }
            Some(mentioned) if cost <= self.left => {
                self.left -= cost;
                self.out.push_str(prefix);
                self.func(mentioned);
                self.out.push(')');
            }
            _ => {
                let _ = write!(self.out, "{ty}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(id: u32) -> ValType {
        ValType::Ref(RefType { nullable: false, heap: HeapType::Concrete(id) })
    }

    fn try_adopt(registry: &mut TypeRegistry, types: Vec<FuncType>) -> Result<(Vec<FuncType>, Box<[u32]>)> {
        let mut bytes = Vec::new();
        types.iter().for_each(|ty| pack(ty, &mut bytes));
        registry.adopt(PackedTypes::new(&bytes, types.len())?)
    }

    fn adopt(registry: &mut TypeRegistry, types: Vec<FuncType>) -> Vec<u32> {
        let (types, ids) = try_adopt(registry, types).unwrap();
        for (&id, ty) in ids.iter().zip(&types) {
            assert_eq!(registry.get(id), Some(ty));
            assert_eq!(registry.id(ty).unwrap(), id);
        }
        ids.into()
    }

    #[test]
    fn equal_types_have_one_id_whatever_their_indices() {
        let mut registry = TypeRegistry::default();
        let leaf = || FuncType::new([ValType::I32], []);
        let a = adopt(&mut registry, vec![leaf(), FuncType::new([to(0)], [to(0)]), leaf()]);
        assert_eq!(a[0], a[2]);
        let other = FuncType::new([], [ValType::I64]);
        let b =
            adopt(&mut registry, vec![other, leaf(), FuncType::new([to(1)], [to(1)]), FuncType::new([to(0)], [to(1)])]);
        assert_eq!((b[1], b[2]), (a[0], a[1]));
        assert!(!a.contains(&b[0]) && !a.contains(&b[3]));
        assert_eq!(registry.id(&FuncType::new([to(a[0])], [to(a[0])])).unwrap(), a[1]);
    }

    #[test]
    fn a_type_that_mentions_itself_is_not_one_that_mentions_it() {
        let mut registry = TypeRegistry::default();
        let mentions = |index| FuncType::new([to(index)], []);
        let ids = adopt(&mut registry, vec![mentions(0), mentions(0), mentions(2), mentions(1)]);
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
        assert_ne!(ids[1], ids[3]);
        let [own, outer] = [ids[0], ids[1]].map(|id| registry.get(id).unwrap().clone());
        assert_eq!(own.params(), outer.params());
        assert_ne!(own, outer);
        assert_eq!(registry.show_func(&own), "((ref self)) -> ()");
        assert_eq!(registry.show_func(&outer), "((ref ((ref self)) -> ())) -> ()");
        // In another engine the same number is another type.
        assert!(TypeRegistry::default().id(&own).is_err());
    }

    #[test]
    fn types_that_an_engine_knows_are_the_same_however_they_are_written() {
        let mut registry = TypeRegistry::default();
        let id = registry.id(&FuncType::new([ValType::FUNCREF], [])).unwrap();
        // As compilers of Instar write it, and with numbers of two bytes.
        for bytes in [&[1, 6, 0, 0][..], &[0x81, 0, 6, 0x80, 0, 0]] {
            let (types, ids) = registry.adopt(PackedTypes::new(bytes, 1).unwrap()).unwrap();
            assert_eq!((&*ids, types[0].params()), (&[id][..], &[ValType::FUNCREF][..]));
        }
        assert_eq!(registry.types.len(), 1);
    }

    #[test]
    fn mentions_of_what_is_not_there_are_errors() {
        let mut registry = TypeRegistry::default();
        assert!(registry.id(&FuncType::new([to(0)], [])).is_err());
        let later = vec![FuncType::new([to(1)], []), FuncType::new([], [])];
        assert!(try_adopt(&mut registry, later).is_err());
        assert_eq!(registry.show(to(9)), "(ref type 9)");
    }

    #[test]
    fn text_ends_however_large_the_type_is() {
        let mut registry = TypeRegistry::default();
        let mut types = vec![FuncType::new([ValType::I32], [])];
        types.extend((0..1000).map(|i| FuncType::new([to(i), to(i)], [])));
        let ids = adopt(&mut registry, types);
        let text = registry.show(to(ids[1000]));
        assert!(text.starts_with("(ref ((ref ((ref") && text.contains("(ref type "), "{text}");
        assert!(text.len() < 2000, "{}", text.len());
        assert_eq!(registry.show(to(ids[1])), "(ref ((ref (i32) -> ()), (ref (i32) -> ())) -> ())");
        assert_eq!(registry.closure([ids[5]]), ids[..6]);
    }
}
