//! The header of an artifact: for which engine it was made, as lines `field=value`.
//!
//! ```text
//!   instar=0.1.0                   version of the compiler and of the runtime it was made for
//!   target=x86_64-linux            architecture and system
//!   page_size=4096                 of the host: sections that are mapped are aligned to it
//!   cpu=has_sse3 has_sse41 …       extensions of the processor that the code may use
//!   features=1535                  parts of WebAssembly that the module may use, as bits
//!   signals_based_traps=true       settings that change the code, by their names in `Config`
//!   …
//!   dirty_tracking=Lines           how writes of its instances are tracked: a choice for each module, not for the engine
//! ```
//!
//! It is text so that `readelf -p .instar.header` shows it, and so that a version can say what another one wrote.

use crate::config::DirtyTracking;
use crate::error::{Result, bail};
use crate::sys::{cpu, page_size};

/// For which engine an artifact is made, or what an engine can run: everything but how writes are tracked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Names and values.
    fields: Vec<(String, String)>,
    text: String,
}

const CPU: &str = "cpu";
const FEATURES: &str = "features";
const TRACKING: &str = "dirty_tracking=";

impl Header {
    /// The header for this machine and version. `cpu` lists the extensions that compiled code uses.
    pub fn new(cpu: &[&str], features: u32, settings: Vec<(&'static str, String)>) -> Self {
        let fixed = [
            ("instar", env!("CARGO_PKG_VERSION").to_string()),
            ("target", cpu::target()),
            ("page_size", page_size().to_string()),
            (CPU, cpu.join(" ")),
            (FEATURES, features.to_string()),
        ];
        let fields: Vec<(String, String)> =
            fixed.into_iter().chain(settings).map(|(field, value)| (field.to_string(), value)).collect();
        let text = fields.iter().map(|(field, value)| format!("{field}={value}\n")).collect();
        Header { fields, text }
    }

    /// The lines, for an artifact whose instances are tracked in this way.
    #[cfg(any(feature = "compile", test))]
    pub fn text(&self, tracking: DirtyTracking) -> String {
        format!("{}{TRACKING}{tracking:?}\n", self.text)
    }

    /// Checks that this engine can run what was made with the header `text`, and gives how its instances are tracked. `names`
    /// are those of feature bits.
    ///
    /// # Errors
    ///
    /// `Artifact`, with the first field that differs and both values.
    pub fn check(&self, text: &[u8], names: fn(u32) -> Vec<String>) -> Result<DirtyTracking> {
        if let Some(rest) = text.strip_prefix(self.text.as_bytes())
            && let Some(tracking) = tracking(rest)
        {
            return Ok(tracking);
        }
        let mut lines = text.split(|&b| b == b'\n').map(|line| String::from_utf8_lossy(line));
        for (field, ours) in &self.fields {
            let line = lines.next().unwrap_or_default();
            let Some(theirs) = line.strip_prefix(field.as_str()).and_then(|l| l.strip_prefix('=')) else {
                bail!(Artifact, "the artifact's header says {line:?} where {field}={ours} is expected");
            };
            match field.as_str() {
                _ if theirs == ours && field != CPU => {}
                CPU => check_cpu(theirs)?,
                FEATURES => check_features(theirs, ours, names)?,
                _ => bail!(Artifact, "the artifact was made with {field}={theirs}; this engine has {field}={ours}"),
            }
        }
        let last = lines.next().unwrap_or_default();
        let Some(tracking) = tracking(format!("{last}\n").as_bytes()) else {
            bail!(Artifact, "the artifact's header says {last:?} where one of {} is expected", trackings().join(", "));
        };
        match lines.find(|line| !line.is_empty()) {
            Some(line) => bail!(Artifact, "the artifact was made with {line}; this engine has no such setting"),
            None => Ok(tracking),
        }
    }
}

/// The last line of a header.
fn tracking(line: &[u8]) -> Option<DirtyTracking> {
    let name = line.strip_prefix(TRACKING.as_bytes())?.strip_suffix(b"\n")?;
    DirtyTracking::MODES.into_iter().find(|mode| format!("{mode:?}").as_bytes() == name)
}

fn trackings() -> Vec<String> {
    DirtyTracking::MODES.iter().map(|mode| format!("{TRACKING}{mode:?}")).collect()
}

fn check_cpu(theirs: &str) -> Result<()> {
    for feature in theirs.split_whitespace() {
        match cpu::has(feature) {
            Some(true) => {}
            Some(false) => {
                bail!(Artifact, "the artifact was made for processors with {feature}; this one lacks it")
            }
            None => bail!(Artifact, "the artifact was made for processors with {feature}, which Instar does not know"),
        }
    }
    Ok(())
}

/// An engine may have more features switched on.
fn check_features(theirs: &str, ours: &str, names: fn(u32) -> Vec<String>) -> Result<()> {
    let (Ok(theirs), Ok(ours)) = (theirs.parse::<u32>(), ours.parse::<u32>()) else {
        bail!(Artifact, "the artifact's header says features={theirs}, which is no number");
    };
    match theirs & !ours {
        0 => Ok(()),
        missing => bail!(
            Artifact,
            "the artifact was made with features={theirs:#x} and this engine has features={ours:#x}: {} is off here",
            names(missing).join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bits: u32) -> Vec<String> {
        vec![format!("bits {bits}")]
    }

    fn header() -> Header {
        Header::new(&[], 6, vec![("a", "1".into()), ("b", "x".into())])
    }

    fn text() -> String {
        header().text(DirtyTracking::Lines)
    }

    fn refusal(change: impl Fn(String) -> String) -> String {
        header().check(change(text()).as_bytes(), names).unwrap_err().to_string()
    }

    #[test]
    fn the_same_header_and_one_with_fewer_features_are_accepted() {
        header().check(text().as_bytes(), names).unwrap();
        header().check(text().replace("features=6", "features=2").as_bytes(), names).unwrap();
    }

    #[test]
    fn every_way_of_tracking_is_accepted_and_told() {
        for mode in DirtyTracking::MODES {
            assert_eq!(header().check(header().text(mode).as_bytes(), names).unwrap(), mode);
            let fewer = header().text(mode).replace("features=6", "features=2");
            assert_eq!(header().check(fewer.as_bytes(), names).unwrap(), mode);
        }
        for bad in ["Auto", "", "Line", "Lines "] {
            assert!(refusal(|t| t.replace("=Lines", &format!("={bad}"))).contains("dirty_tracking=Touched"), "{bad}");
        }
        assert!(refusal(|t| t.replace("dirty_tracking=Lines\n", "")).contains("dirty_tracking=Lines"));
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let version = concat!("instar=", env!("CARGO_PKG_VERSION"));
        let message = refusal(|t| t.replace(version, "instar=99.1.0"));
        assert!(message.contains("instar=99.1.0") && message.contains(version), "{message}");
        let message = refusal(|t| t.replace("b=x", "b=y"));
        assert!(message.contains("b=y") && message.contains("b=x"), "{message}");
        let message = refusal(|t| t.replace("page_size=", "page_size=1"));
        assert!(message.contains("page_size=1") && message.contains(&page_size().to_string()), "{message}");
        assert!(refusal(|t| t.replace("features=6", "features=11")).contains("bits 9 is off"));
        assert!(refusal(|t| t.replace("features=6", "features=-1")).contains("no number"));
        assert!(refusal(|t| t.replace("cpu=", "cpu=has_a_dishwasher")).contains("has_a_dishwasher"));
        assert!(refusal(|t| t.replace("a=1\n", "")).contains("a=1"));
        assert!(refusal(|t| t + "c=3\n").contains("c=3"));
        assert!(refusal(|_| String::new()).contains("instar="));
    }
}
