//! Modules.

use crate::engine::ENGINES;
use crate::errors::{ignore, report};
use crate::raw::{self, Out};
use crate::signature;
use crate::table::{Kind, Table};
use instar::{Error, ErrorKind, ExternType, Module};

pub(crate) static MODULES: Table<Module> = Table::new(Kind::Module);

const NO_EXTERN: u64 = 0;

fn kind_number(ty: &ExternType) -> u64 {
    match ty {
        ExternType::Func(_) => 1,
        ExternType::Memory(_) => 2,
        ExternType::Table(_) => 3,
        ExternType::Global(_) => 4,
        #[allow(unreachable_patterns, reason = "for what the core learns later")]
        _ => 5,
    }
}

/// Compiles a module.
#[uniffi::export]
pub fn module_new(engine: u64, ptr: u64, len: u64, out_module: u64) -> u64 {
    report(|| {
        let out = Out::new("out_module", out_module)?;
        let bytes = raw::bytes("the module", ptr, len)?;
        let module = ENGINES.with(engine, |engine| Module::new(engine, bytes))?;
        out.write(MODULES.insert(module)?);
        Ok(())
    })
}

#[uniffi::export]
pub fn module_free(module: u64) {
    ignore(|| {
        MODULES.free(module);
    });
}

/// What kind of thing is exported under a name.
#[uniffi::export]
pub fn module_export_kind(module: u64, name_ptr: u64, name_len: u64, out_kind: u64) -> u64 {
    report(|| {
        let out = Out::new("out_kind", out_kind)?;
        let name = raw::text("name", name_ptr, name_len)?;
        MODULES.with(module, |module| {
            out.write(module.export(name).map_or(NO_EXTERN, |ty| kind_number(&ty)));
            Ok(())
        })
    })
}

/// The export of a number.
#[uniffi::export]
pub fn module_export(module: u64, index: u64, buf: u64, cap: u64, out_len: u64, out_kind: u64) -> u64 {
    report(|| {
        let (len, kind) = (Out::new("out_len", out_len)?, Out::new("out_kind", out_kind)?);
        MODULES.with(module, |module| {
            match module.exports().nth(usize::try_from(index).unwrap_or(usize::MAX)) {
                Some(export) => {
                    len.write(raw::copy_text(export.name, buf, cap));
                    kind.write(kind_number(&export.ty));
                }
                None => {
                    len.write(0);
                    kind.write(NO_EXTERN);
                }
            }
            Ok(())
        })
    })
}

/// The import of a number.
#[uniffi::export]
pub fn module_import(
    module: u64,
    index: u64,
    buf: u64,
    cap: u64,
    out_len: u64,
    out_module_len: u64,
    out_kind: u64,
) -> u64 {
    report(|| {
        let (len, kind) = (Out::new("out_len", out_len)?, Out::new("out_kind", out_kind)?);
        let module_len = Out::new("out_module_len", out_module_len)?;
        MODULES.with(module, |module| {
            match module.imports().nth(usize::try_from(index).unwrap_or(usize::MAX)) {
                Some(import) => {
                    len.write(raw::copy_text(&format!("{}{}", import.module, import.name), buf, cap));
                    module_len.write(import.module.len() as u64);
                    kind.write(kind_number(&import.ty));
                }
                None => {
                    len.write(0);
                    module_len.write(0);
                    kind.write(NO_EXTERN);
                }
            }
            Ok(())
        })
    })
}

/// The signature of an exported function.
#[uniffi::export]
pub fn module_func_signature(module: u64, name_ptr: u64, name_len: u64, buf: u64, cap: u64, out_len: u64) -> u64 {
    report(|| {
        let out = Out::new("out_len", out_len)?;
        let name = raw::text("name", name_ptr, name_len)?;
        MODULES.with(module, |module| match module.export(name) {
            Some(ExternType::Func(ty)) => {
                out.write(raw::copy_text(&signature::format(&ty), buf, cap));
                Ok(())
            }
            _ => Err(Error::new(ErrorKind::MissingExport, format!("no exported function `{name}`"))),
        })
    })
}
