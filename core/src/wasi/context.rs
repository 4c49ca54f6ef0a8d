//! [`WasiCtx`], what a guest was granted, and [`WasiCtxBuilder`], which grants.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::clock::{Clocks, HostMonotonicClock, HostWallClock};
use super::descriptor::{Descriptor, FdTable};
use super::directory::{DirPerms, FilePerms, OpenDir};
use super::random::{Random, Seeded};
use super::stream::{HostStderr, HostStdin, HostStdout, InputStream, OutputStream};
use crate::Result;

/// A list of strings as a guest gets them: each ends with a zero.
#[derive(Clone, Default)]
pub(super) struct Strings {
    pub bytes: Vec<u8>,
    /// Where each string begins.
    pub starts: Vec<usize>,
}

impl Strings {
    fn push(&mut self, parts: &[&[u8]]) {
        self.starts.push(self.bytes.len());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.push(0);
    }
}

/// What never changes, shared by all contexts made from one.
struct Template {
    args: Strings,
    env: Strings,
    clocks: Clocks,
}

/// What a guest was granted, and what it has open. Belongs to one instance at a time; made by [`WasiCtxBuilder`].
///
/// Cloning is cheap: two counters, and nothing per argument, variable or directory. So make one when the service starts and a
/// clone for each request, with the request's own streams put in by [`WasiCtx::set_stdin`] and its like. A clone shares what
/// was open when it was made, as a forked process does.
#[derive(Clone)]
pub struct WasiCtx {
    template: Arc<Template>,
    /// Arguments that are not the template's.
    args: Option<Arc<Strings>>,
    env: Option<Arc<Strings>>,
    pub(super) fds: FdTable,
    pub(super) random: Random,
}

impl WasiCtx {
    /// As [`WasiCtxBuilder::new`].
    pub fn builder() -> WasiCtxBuilder {
        WasiCtxBuilder::new()
    }

    /// Replaces descriptor 0.
    pub fn set_stdin(&mut self, stream: impl InputStream) -> &mut Self {
        self.fds.set(0, Descriptor::input(Arc::new(stream)));
        self
    }

    /// Replaces descriptor 1.
    pub fn set_stdout(&mut self, stream: impl OutputStream) -> &mut Self {
        self.fds.set(1, Descriptor::output(Arc::new(stream)));
        self
    }

    /// Replaces descriptor 2.
    pub fn set_stderr(&mut self, stream: impl OutputStream) -> &mut Self {
        self.fds.set(2, Descriptor::output(Arc::new(stream)));
        self
    }

    /// Replaces all arguments. The first is the program's name.
    pub fn set_args(&mut self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> &mut Self {
        let mut strings = Strings::default();
        args.into_iter().for_each(|arg| strings.push(&[arg.as_ref()]));
        self.args = Some(Arc::new(strings));
        self
    }

    /// Replaces all environment variables.
    pub fn set_envs(&mut self, env: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>) -> &mut Self {
        let mut strings = Strings::default();
        env.into_iter().for_each(|(name, value)| strings.push(&[name.as_ref(), b"=", value.as_ref()]));
        self.env = Some(Arc::new(strings));
        self
    }

    pub(super) fn args(&self) -> &Strings {
        self.args.as_deref().unwrap_or(&self.template.args)
    }

    pub(super) fn env(&self) -> &Strings {
        self.env.as_deref().unwrap_or(&self.template.env)
    }

    pub(super) fn clocks(&self) -> &Clocks {
        &self.template.clocks
    }
}

/// Grants things to guests. A new one grants nothing but the clocks and random bytes of the system: standard input has ended,
/// what is written to standard output and error is forgotten, there are no arguments, variables or directories.
///
/// ```
/// use instar::wasi::{self, WasiCtxBuilder};
/// use instar::{Engine, Linker};
///
/// # fn main() -> instar::Result<()> {
/// let engine = Engine::default();
/// let mut linker = Linker::<wasi::WasiCtx>::new(&engine);
/// wasi::add_to_linker(&mut linker, |context| context)?;
/// let template = WasiCtxBuilder::new().arg("program").env("LANG", "C").inherit_stderr().build();
/// for _request in 0..3 {
///     let context = template.clone();
///     // pre.fresh(context)?, or Store::new(&engine, context)
/// #   drop(context);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WasiCtxBuilder {
    args: Strings,
    env: Strings,
    stdin: Arc<dyn InputStream>,
    stdout: Arc<dyn OutputStream>,
    stderr: Arc<dyn OutputStream>,
    preopens: Vec<Arc<OpenDir>>,
    max_open: usize,
    clocks: Clocks,
    random: Random,
}

impl Default for WasiCtxBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl WasiCtxBuilder {
    /// Grants nothing.
    pub fn new() -> Self {
        WasiCtxBuilder {
            args: Strings::default(),
            env: Strings::default(),
            stdin: Arc::new(io::empty()),
            stdout: Arc::new(io::sink()),
            stderr: Arc::new(io::sink()),
            preopens: Vec::new(),
            max_open: 256,
            clocks: Clocks { wall: None, monotonic: None, start: Instant::now() },
            random: Random::System,
        }
    }

    /// Adds an argument. The first is the program's name. A guest sees it up to its first zero byte.
    pub fn arg(&mut self, arg: impl AsRef<[u8]>) -> &mut Self {
        self.args.push(&[arg.as_ref()]);
        self
    }

    /// Adds arguments.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<[u8]>>) -> &mut Self {
        args.into_iter().for_each(|arg| self.args.push(&[arg.as_ref()]));
        self
    }

    /// Adds an environment variable.
    pub fn env(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> &mut Self {
        self.env.push(&[name.as_ref(), b"=", value.as_ref()]);
        self
    }

    /// Adds environment variables.
    pub fn envs(&mut self, env: impl IntoIterator<Item = (impl AsRef<[u8]>, impl AsRef<[u8]>)>) -> &mut Self {
        env.into_iter().for_each(|(name, value)| self.env.push(&[name.as_ref(), b"=", value.as_ref()]));
        self
    }

    /// Adds this process's arguments, its name first.
    pub fn inherit_args(&mut self) -> &mut Self {
        std::env::args_os().for_each(|arg| self.args.push(&[arg.as_encoded_bytes()]));
        self
    }

    /// Adds all of this process's environment variables.
    pub fn inherit_env(&mut self) -> &mut Self {
        std::env::vars_os()
            .for_each(|(name, value)| self.env.push(&[name.as_encoded_bytes(), b"=", value.as_encoded_bytes()]));
        self
    }

    /// What descriptor 0 reads. Default: it has ended.
    pub fn stdin(&mut self, stream: impl InputStream) -> &mut Self {
        self.stdin = Arc::new(stream);
        self
    }

    /// What descriptor 1 writes to. Default: it is forgotten.
    pub fn stdout(&mut self, stream: impl OutputStream) -> &mut Self {
        self.stdout = Arc::new(stream);
        self
    }

    /// What descriptor 2 writes to. Default: it is forgotten.
    pub fn stderr(&mut self, stream: impl OutputStream) -> &mut Self {
        self.stderr = Arc::new(stream);
        self
    }

    /// Descriptor 0 reads this process's standard input, past what [`std::io::Stdin`] has buffered.
    pub fn inherit_stdin(&mut self) -> &mut Self {
        self.stdin(HostStdin)
    }

    /// Descriptor 1 writes to this process's standard output, unbuffered.
    pub fn inherit_stdout(&mut self) -> &mut Self {
        self.stdout(HostStdout)
    }

    /// Descriptor 2 writes to this process's standard error, unbuffered.
    pub fn inherit_stderr(&mut self) -> &mut Self {
        self.stderr(HostStderr)
    }

    /// All three standard streams are this process's.
    pub fn inherit_stdio(&mut self) -> &mut Self {
        self.inherit_stdin().inherit_stdout().inherit_stderr()
    }

    /// Grants a directory of the host and all below it. The guest sees it as `guest`, `/` or `.` say, at the next
    /// descriptor from 3 on. The directory is opened here, once, and shared by all contexts.
    ///
    /// # Errors
    ///
    /// `Os` when the directory cannot be opened.
    pub fn preopened_dir(
        &mut self,
        host: impl AsRef<Path>,
        guest: impl AsRef<str>,
        dir_perms: DirPerms,
        file_perms: FilePerms,
    ) -> Result<&mut Self> {
        let dir = OpenDir::ambient(host.as_ref(), guest.as_ref(), dir_perms, file_perms)?;
        self.preopens.push(Arc::new(dir));
        Ok(self)
    }

    /// Most descriptors a guest can have at once, standard streams and granted directories included. Default: 256. More is
    /// `EMFILE`. What was granted is never too much.
    pub fn max_open_files(&mut self, limit: usize) -> &mut Self {
        self.max_open = limit;
        self
    }

    /// The time of day. Default: the system's.
    pub fn wall_clock(&mut self, clock: impl HostWallClock) -> &mut Self {
        self.clocks.wall = Some(Arc::new(clock));
        self
    }

    /// The time that never goes back, by which guests also wait. Default: the system's, counted from when this builder was
    /// made.
    pub fn monotonic_clock(&mut self, clock: impl HostMonotonicClock) -> &mut Self {
        self.clocks.monotonic = Some(Arc::new(clock));
        self
    }

    /// Where random bytes come from. Default: the operating system. The closure fills the slice and is called by one thread at
    /// a time.
    pub fn secure_random(&mut self, fill: impl FnMut(&mut [u8]) + Send + 'static) -> &mut Self {
        self.random = Random::Own(Arc::new(Mutex::new(fill)));
        self
    }

    /// Makes random bytes repeatable: each context made from this builder gives the same ones. They are no secret to anybody.
    pub fn random_seed(&mut self, seed: u64) -> &mut Self {
        self.random = Random::Seeded(Seeded::new(seed));
        self
    }

    /// A context with all that was granted so far.
    pub fn build(&self) -> WasiCtx {
        let mut fds = vec![
            Descriptor::input(self.stdin.clone()),
            Descriptor::output(self.stdout.clone()),
            Descriptor::output(self.stderr.clone()),
        ];
        fds.extend(self.preopens.iter().cloned().map(Descriptor::preopen));
        let clocks = self.clocks.clone();
        WasiCtx {
            template: Arc::new(Template { args: self.args.clone(), env: self.env.clone(), clocks }),
            args: None,
            env: None,
            fds: FdTable::new(fds, self.max_open),
            random: self.random.clone(),
        }
    }
}
