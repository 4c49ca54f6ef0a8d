//! [`FEATURES`]: what generated modules may use, and the switches for it in everything that is involved.

use wasmparser::WasmFeatures;

use crate::random::Random;

/// A part of WebAssembly that can be switched.
pub struct Feature {
    /// Whether Instar has it yet.
    pub there: bool,
    /// Whether modules with it can be run and their results compared.
    pub compared: bool,
    /// Its switch in Instar.
    pub instar: fn(&mut instar::Config, bool) -> &mut instar::Config,
    /// Its switch in wasmi.
    pub wasmi: fn(&mut wasmi::Config, bool) -> &mut wasmi::Config,
    /// Lets wasm-smith generate it.
    pub generate: fn(&mut wasm_smith::Config),
    /// Lets wasmparser accept it.
    pub valid: WasmFeatures,
}

/// Everything that can be switched and is not on everywhere.
pub const FEATURES: &[Feature] = &[
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_simd,
        wasmi: wasmi::Config::wasm_simd,
        generate: |config| config.simd_enabled = true,
        valid: WasmFeatures::SIMD,
    },
    // The generator does not make the NaNs of relaxed operations canonical.
    Feature {
        there: false,
        compared: false,
        instar: instar::Config::wasm_relaxed_simd,
        wasmi: wasmi::Config::wasm_relaxed_simd,
        generate: |config| (config.simd_enabled, config.relaxed_simd_enabled) = (true, true),
        valid: WasmFeatures::RELAXED_SIMD,
    },
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_multi_memory,
        wasmi: wasmi::Config::wasm_multi_memory,
        generate: |config| config.max_memories = 3,
        valid: WasmFeatures::MULTI_MEMORY,
    },
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_memory64,
        wasmi: wasmi::Config::wasm_memory64,
        generate: |config| config.memory64_enabled = true,
        valid: WasmFeatures::MEMORY64,
    },
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_custom_page_sizes,
        wasmi: wasmi::Config::wasm_custom_page_sizes,
        generate: |config| config.custom_page_sizes_enabled = true,
        valid: WasmFeatures::CUSTOM_PAGE_SIZES,
    },
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_tail_call,
        wasmi: wasmi::Config::wasm_tail_call,
        generate: |config| config.tail_call_enabled = true,
        valid: WasmFeatures::TAIL_CALL,
    },
    Feature {
        there: true,
        compared: true,
        instar: instar::Config::wasm_extended_const,
        wasmi: wasmi::Config::wasm_extended_const,
        generate: |config| config.extended_const_enabled = true,
        valid: WasmFeatures::EXTENDED_CONST,
    },
    Feature {
        there: false,
        compared: true,
        instar: instar::Config::wasm_wide_arithmetic,
        wasmi: wasmi::Config::wasm_wide_arithmetic,
        generate: |config| config.wide_arithmetic_enabled = true,
        valid: WasmFeatures::WIDE_ARITHMETIC,
    },
    // The generator has them only together with garbage collection, and wasmi does not have them: they come from `corpus/`.
    Feature {
        there: false,
        compared: false,
        instar: instar::Config::wasm_function_references,
        wasmi: |config, _| config,
        generate: |_| {},
        valid: WasmFeatures::FUNCTION_REFERENCES,
    },
    // Waiting may never end, and wasmi does not have them.
    Feature {
        there: false,
        compared: false,
        instar: instar::Config::wasm_threads,
        wasmi: |config, _| config,
        generate: |config| config.threads_enabled = true,
        valid: WasmFeatures::THREADS,
    },
];

/// Switches on what Instar has.
pub fn configure_instar(config: &mut instar::Config) {
    for feature in FEATURES {
        (feature.instar)(config, feature.there);
    }
}

/// Switches on what is compared.
pub fn configure_wasmi(config: &mut wasmi::Config) {
    for feature in FEATURES {
        (feature.wasmi)(config, feature.there && feature.compared);
    }
}

/// What a module must be valid with to be accepted.
pub fn valid() -> WasmFeatures {
    let always = WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::FLOATS
        | WasmFeatures::GC_TYPES;
    FEATURES.iter().filter(|feature| feature.there).fold(always, |all, feature| all | feature.valid)
}

/// A generator of modules with some of the features: those that are compared, or any that Instar has.
pub fn generator(random: &mut Random, compared: bool) -> wasm_smith::Config {
    let mut config = wasm_smith::Config {
        bulk_memory_enabled: true,
        reference_types_enabled: true,
        multi_value_enabled: true,
        saturating_float_to_int_enabled: true,
        sign_extension_ops_enabled: true,
        extended_const_enabled: false,
        simd_enabled: false,
        relaxed_simd_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        custom_descriptors_enabled: false,
        custom_page_sizes_enabled: false,
        memory64_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        wide_arithmetic_enabled: false,
        max_memories: 1,
        ..wasm_smith::Config::default()
    };
    for feature in FEATURES.iter().filter(|feature| feature.there && (feature.compared || !compared)) {
        if random.once_in(2) {
            (feature.generate)(&mut config);
        }
    }
    config
}
