//! [`Error`], the numbered list of [`ErrorKind`]s, and [`TrapCode`]s with the spec's texts.
//!
//! The two lists are the only ones: every binding's copy is generated from them.

use std::any::Any;
use std::fmt;

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// All values, ascending by number.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The value with this number.
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($number => Some($name::$variant),)* _ => None }
            }

            /// The stable number, the same in every language.
            pub const fn code(self) -> u32 {
                self as u32
            }

            /// The name of the value, as written here.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)* }
            }

            /// What the value means, in a few words.
            pub const fn text(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

numbered! {
    /// What went wrong, as a stable number.
    ErrorKind {
        /// The bytes are not a valid WebAssembly module.
        InvalidModule = 1, "invalid module";
        /// The module needs a feature that this engine does not have or that is switched off.
        Unsupported = 2, "unsupported feature";
        /// An import is missing or has another type.
        Link = 3, "import cannot be resolved";
        /// A value has the wrong type, or there are too few or too many.
        Type = 4, "type mismatch";
        /// There is no export of that name.
        MissingExport = 5, "no such export";
        /// The guest trapped.
        Trap = 6, "trap";
        /// A host function failed.
        Host = 7, "host function failed";
        /// All slots of the pool are in use.
        PoolExhausted = 8, "pool exhausted";
        /// A limit was reached.
        Limit = 9, "limit reached";
        /// The host accessed memory or a table out of bounds.
        OutOfBounds = 10, "out of bounds";
        /// A handle outlived its store or instance, or belongs to another store.
        StaleHandle = 11, "stale handle";
        /// The store is in use.
        Busy = 12, "store is in use";
        /// The configuration contradicts itself.
        Config = 13, "invalid configuration";
        /// The guest broke the bytes-in, bytes-out convention.
        GuestProtocol = 14, "guest broke the calling convention";
        /// The operating system refused something.
        Os = 15, "operating system error";
        /// A reset of one of its instances failed half-way, and the store lets no call in any more.
        Poisoned = 16, "store is poisoned";
        /// Instar itself is wrong; please report it.
        Bug = 17, "bug in Instar";
        /// A precompiled module is damaged, or was made by another version, for another machine or with other settings.
        Artifact = 18, "precompiled module cannot be used";
    }
}

numbered! {
    /// Why a guest trapped, with the texts of the specification's reference interpreter.
    TrapCode {
        Unreachable = 1, "unreachable";
        IntegerDivideByZero = 2, "integer divide by zero";
        IntegerOverflow = 3, "integer overflow";
        InvalidConversionToInteger = 4, "invalid conversion to integer";
        MemoryOutOfBounds = 5, "out of bounds memory access";
        TableOutOfBounds = 6, "out of bounds table access";
        UndefinedElement = 7, "undefined element";
        UninitializedElement = 8, "uninitialized element";
        IndirectCallTypeMismatch = 9, "indirect call type mismatch";
        NullReference = 10, "null reference";
        StackOverflow = 11, "call stack exhausted";
        /// Not a guest's trap: a host function failed and its error waits in the store.
        HostError = 12, "host function failed";
        UnalignedAtomic = 13, "unaligned atomic";
        ExpectedSharedMemory = 14, "expected shared memory";
        NullFunctionReference = 15, "null function reference";
    }
}

/// A [`Result`](std::result::Result) with Instar's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every operation: a kind with a stable number, and a message that says what was wrong and what would be
/// right.
///
/// An error that a host function returned comes back unchanged as the [source](std::error::Error::source) and can be
/// taken out again with [`Error::downcast_ref`].
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    trap: Option<TrapCode>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// Something about the error that higher layers know.
    attachment: Option<Box<dyn Attachment>>,
}

/// What a higher layer adds to an error. Debug output shows it below the message.
pub(crate) trait Attachment: Any + fmt::Display + Send + Sync {}

impl Error {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner { kind, trap: None, message: message.into(), source: None, attachment: None }))
    }

    /// The error of a host function, carried to whoever called the guest.
    pub fn host(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let source = source.into();
        Error(Box::new(Inner {
            kind: ErrorKind::Host,
            trap: None,
            message: source.to_string(),
            source: Some(source),
            attachment: None,
        }))
    }

    /// A trap. A host function that returns it traps like the guest itself.
    pub fn trap(code: TrapCode) -> Self {
        Error(Box::new(Inner {
            kind: ErrorKind::Trap,
            trap: Some(code),
            message: code.text().to_string(),
            source: None,
            attachment: None,
        }))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Why the guest trapped, if it did.
    pub fn trap_code(&self) -> Option<TrapCode> {
        self.0.trap
    }

    /// The message without the kind.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The host function's own error, if it is an `E`.
    pub fn downcast_ref<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.0.source.as_ref()?.downcast_ref()
    }

    /// Takes the host function's own error out, if it is an `E`.
    ///
    /// # Errors
    ///
    /// Gives the error back if it is none.
    pub fn downcast<E: std::error::Error + 'static>(mut self) -> Result<E> {
        match self.0.source.take() {
            Some(source) => match source.downcast() {
                Ok(error) => Ok(*error),
                Err(source) => {
                    self.0.source = Some(source);
                    Err(self)
                }
            },
            None => Err(self),
        }
    }

    /// What was added to the error, if it is an `A`.
    pub(crate) fn attachment<A: Attachment>(&self) -> Option<&A> {
        let any: &dyn Any = self.0.attachment.as_deref()?;
        any.downcast_ref()
    }

    /// What was added to the error, if it is an `A`.
    pub(crate) fn attachment_mut<A: Attachment>(&mut self) -> Option<&mut A> {
        let any: &mut dyn Any = self.0.attachment.as_deref_mut()?;
        any.downcast_mut()
    }

    /// Adds something to the error, in place of what was there.
    pub(crate) fn attach(&mut self, attachment: impl Attachment) {
        self.0.attachment = Some(Box::new(attachment));
    }

    /// Puts a few words in front of the message, keeping everything else.
    pub(crate) fn context(mut self, prefix: impl fmt::Display) -> Self {
        self.0.message = format!("{prefix}: {}", self.0.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.trap {
            Some(_) => write!(f, "wasm trap: {}", self.0.message),
            None => f.write_str(&self.0.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.0.kind.name())?;
        match &self.0.attachment {
            Some(attachment) => write!(f, "\n{attachment}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| &**e as _)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::new(ErrorKind::Os, error.to_string())
    }
}

/// Builds an [`Error`] of a kind with a formatted message.
macro_rules! error {
    ($kind:ident, $($arg:tt)*) => {
        $crate::error::Error::new($crate::error::ErrorKind::$kind, format!($($arg)*))
    };
}

/// Returns an [`Error`] of a kind with a formatted message.
macro_rules! bail {
    ($kind:ident, $($arg:tt)*) => {
        return Err($crate::error::error!($kind, $($arg)*))
    };
}

pub(crate) use {bail, error};
