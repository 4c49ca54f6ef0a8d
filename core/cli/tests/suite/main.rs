//! The program as its users see it: arguments in; exit code, stdout and stderr out.

mod files;
mod inspect;
mod kit;
mod output;
mod run;
mod usage;
mod validate;
