//! `instar objdump`: the machine code of a module beside the places in the module that it comes from.

use crate::args::ObjdumpArgs;
use crate::disasm::Architecture;
use crate::failure::Result;
use crate::input::Input;
use crate::listing::{Function, Listing};
use crate::load;
use crate::output::Output;

/// Prints the functions that were asked for, or all.
pub fn objdump(args: &ObjdumpArgs) -> Result<u8> {
    let input = Input::read(&args.file)?;
    let engine = args.engine.engine()?;
    let module = load::module(&engine, &input)?;
    let mut functions: Vec<Function> = module
        .functions()
        .map(|f| Function { index: f.index, name: f.name.map(String::from), range: f.range })
        .collect();
    functions.sort_by_key(|f| f.range.start);
    let listing = Listing {
        architecture: Architecture::HOST,
        code: module.text(),
        functions,
        address_map: module.address_map().into_iter().flatten().collect(),
    };
    let selected = listing.select(&args.functions).map_err(|e| e.in_file(input.shown()))?;
    let mut out = Output::new();
    listing.print(&mut out, &selected).map_err(|e| e.in_file(input.shown()))?;
    out.finish()?;
    Ok(0)
}
