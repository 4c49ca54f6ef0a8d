//! The tracking modes of Instar that are measured.

use std::sync::OnceLock;

use instar::{Config, DirtyTracking, Engine, ErrorKind, Module};

use crate::AnyResult;

/// A way in which an engine knows what instances have written.
#[derive(Debug)]
pub struct Mode {
    pub name: &'static str,
    tracking: DirtyTracking,
    /// Whether compiled code is other than plain: the guest itself is slower then, and by how much is shown.
    pub marks: bool,
}

/// All of them. A mode that an engine refuses on this machine is shown as "–".
pub const MODES: &[Mode] = &[
    Mode { name: "Lines", tracking: DirtyTracking::Lines, marks: true },
    Mode { name: "Touched", tracking: DirtyTracking::Touched, marks: false },
    Mode { name: "Pages", tracking: DirtyTracking::Pages, marks: false },
    Mode { name: PLAIN, tracking: DirtyTracking::Off, marks: false },
];

/// The mode with plain code that every engine has: what guests are compared with that mark.
pub const PLAIN: &str = "Off";

impl Mode {
    /// An engine in this mode, otherwise as it is by default; `None` when engines refuse the mode here.
    pub fn engine(&self) -> AnyResult<Option<Engine>> {
        let mut config = Config::new();
        config.dirty_tracking(self.tracking);
        match Engine::new(&config) {
            Ok(engine) => Ok(Some(engine)),
            Err(error) if error.kind() == ErrorKind::Config => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether an engine without a knob turned works in this mode.
    pub fn is_default(&self) -> bool {
        static DEFAULT: OnceLock<DirtyTracking> = OnceLock::new();
        let default = || Module::new(&Engine::default(), "(module)").expect("an empty module").dirty_tracking();
        self.tracking == *DEFAULT.get_or_init(default)
    }

    pub fn named(name: &str) -> Option<&'static Mode> {
        MODES.iter().find(|mode| mode.name == name)
    }

    pub fn default() -> &'static Mode {
        MODES.iter().find(|mode| mode.is_default()).expect("the default is one of the modes")
    }
}
