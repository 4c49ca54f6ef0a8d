//! The target: this machine, with the settings that our compiled code relies on.
//!
//! Invariant: compiled code calls no library function, so it needs no load-time relocation. On x86-64 that takes SSSE3, whose
//! `pshufb` replaces the call for `i8x16.swizzle`, and SSE4.1, whose rounding instructions replace those for `ceil`, `floor`,
//! `trunc` and `nearest`. Multiplication and addition in one are used where the processor has them.

use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_codegen::settings::{self, Configurable};

use crate::config::{OptLevel, Tunables};
use crate::error::{Result, error};

/// Settings that do not depend on the tunables. Frame pointers let the runtime walk from a trap to the innermost entry;
/// stack probes are needless because every prologue compares with the stack limit.
const SETTINGS: &[(&str, &str)] = &[
    ("is_pic", "true"),
    ("preserve_frame_pointers", "true"),
    ("unwind_info", "false"),
    ("enable_probestack", "false"),
    ("enable_alias_analysis", "true"),
];

/// The instruction set of this machine with all its extensions.
///
/// # Errors
///
/// [`ErrorKind::Os`](crate::error::ErrorKind::Os) when the processor is not supported.
pub(super) fn native(tunables: &Tunables) -> Result<OwnedTargetIsa> {
    #[cfg(target_arch = "x86_64")]
    for (name, present) in
        [("SSSE3", std::is_x86_feature_detected!("ssse3")), ("SSE4.1", std::is_x86_feature_detected!("sse4.1"))]
    {
        if !present {
            crate::error::bail!(Os, "the processor lacks {name}, which Instar needs on x86-64");
        }
    }
    let builder = cranelift_native::builder().map_err(|e| error!(Os, "the processor is not supported: {e}"))?;
    let mut flags = settings::builder();
    let switch = |on| if on { "true" } else { "false" };
    let opt_level = match tunables.opt_level {
        OptLevel::None => "none",
        OptLevel::Speed => "speed",
        OptLevel::SpeedAndSize => "speed_and_size",
    };
    let chosen = [
        ("opt_level", opt_level),
        ("enable_verifier", switch(tunables.debug_verifier)),
        ("enable_nan_canonicalization", switch(tunables.nan_canonicalization)),
        ("enable_heap_access_spectre_mitigation", switch(tunables.heap_spectre_mitigation)),
        ("enable_table_access_spectre_mitigation", switch(tunables.table_spectre_mitigation)),
    ];
    for (name, value) in SETTINGS.iter().copied().chain(chosen) {
        flags.set(name, value).map_err(|e| error!(Bug, "Cranelift setting {name}={value}: {e}"))?;
    }
    builder.finish(settings::Flags::new(flags)).map_err(|e| error!(Os, "the processor is not supported: {e}"))
}
