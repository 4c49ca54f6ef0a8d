//! The tracking modes of Instar that are measured.

use instar::{Config, DirtyTracking, Engine, ErrorKind};

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
        self.tracking == DirtyTracking::default()
    }

    pub fn named(name: &str) -> Option<&'static Mode> {
        MODES.iter().find(|mode| mode.name == name)
    }

    pub fn default() -> &'static Mode {
        MODES.iter().find(|mode| mode.is_default()).expect("the default is one of the modes")
    }
}
