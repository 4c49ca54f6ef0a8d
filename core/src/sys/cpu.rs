//! The machine that code runs on.

/// Architecture and system, such as `x86_64-linux`.
pub fn target() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

/// Whether the processor has an extension, by the compiler's name for it (`has_avx2`); `None` when that is not known here.
pub fn has(feature: &str) -> Option<bool> {
    macro_rules! detect {
        ($detect:ident: $($name:literal $detected:tt,)*) => {
            match feature { $($name => Some(std::arch::$detect!($detected)),)* _ => None }
        };
    }
    #[cfg(target_arch = "x86_64")]
    return detect!(is_x86_feature_detected:
        "has_sse3" "sse3", "has_ssse3" "ssse3", "has_cmpxchg16b" "cmpxchg16b", "has_sse41" "sse4.1", "has_sse42" "sse4.2",
        "has_avx" "avx", "has_avx2" "avx2", "has_fma" "fma", "has_avx_vnni" "avxvnni", "has_popcnt" "popcnt",
        "has_bmi1" "bmi1", "has_bmi2" "bmi2", "has_lzcnt" "lzcnt", "has_avx512bitalg" "avx512bitalg",
        "has_avx512dq" "avx512dq", "has_avx512f" "avx512f", "has_avx512vl" "avx512vl", "has_avx512vbmi" "avx512vbmi",
        "has_avx512vnni" "avx512vnni",
    );
    #[cfg(target_arch = "aarch64")]
    return detect!(is_aarch64_feature_detected:
        "has_lse" "lse", "has_pauth" "paca", "has_fp16" "fp16", "has_dotprod" "dotprod", "has_i8mm" "i8mm",
    );
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    None
}
