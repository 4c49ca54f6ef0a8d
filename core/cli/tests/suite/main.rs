//! The program as its users see it: arguments in; exit code, stdout and stderr out.

mod compile;
mod files;
mod inspect;
mod kit;
mod objdump;
mod output;
mod run;
mod script;
mod usage;
mod validate;
mod wasi;
