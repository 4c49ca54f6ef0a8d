//! WASI preview 1, function by function, from the guest's side.
//!
//! The guest is a module that exports each function of `wasi_snapshot_preview1` again, so that a test calls it with any
//! arguments and looks at the guest's memory before and after.

mod files;
mod hostile;
mod paths;
mod poll;
mod process;
mod streams;
mod undone;

use std::path::Path;

use instar::wasi::{self, DirPerms, FilePerms, WasiCtx, WasiCtxBuilder};
use instar::{Engine, ExportMemory, InstancePre, Linker, OwnedInstance, Result};
use tempfile::TempDir;

use crate::kit::{module, one_slot};

/// Names and parameters (`i` i32, `I` i64) of all functions that return an errno.
pub const FUNCTIONS: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

pub const SUCCESS: u32 = 0;
pub const ACCES: u32 = 2;
pub const AGAIN: u32 = 6;
pub const BADF: u32 = 8;
pub const EXIST: u32 = 20;
pub const FAULT: u32 = 21;
pub const ILSEQ: u32 = 25;
pub const INVAL: u32 = 28;
pub const ISDIR: u32 = 31;
pub const LOOP: u32 = 32;
pub const MFILE: u32 = 33;
pub const NAMETOOLONG: u32 = 37;
pub const NOENT: u32 = 44;
pub const NOSPC: u32 = 51;
pub const NOTDIR: u32 = 54;
pub const NOTEMPTY: u32 = 55;
pub const NOTSOCK: u32 = 57;
pub const NOTSUP: u32 = 58;
pub const PERM: u32 = 63;
pub const SPIPE: u32 = 70;
pub const XDEV: u32 = 75;
pub const NOTCAPABLE: u32 = 76;

pub const FD_READ: u64 = 1 << 1;
pub const FD_WRITE: u64 = 1 << 6;
pub const CREAT: u64 = 1;
pub const DIRECTORY: u64 = 2;
pub const EXCL: u64 = 4;
pub const TRUNC: u64 = 8;
pub const APPEND: u64 = 1;
pub const NONBLOCK: u64 = 4;

/// Bytes of the guest's memory.
pub const MEMORY: u64 = 1 << 17;
/// Where `Guest` puts what functions point to; tests have all that lies before.
const SCRATCH: u64 = 1 << 16;

fn text() -> String {
    let types = |letters: &str| letters.chars().map(|c| if c == 'i' { " i32" } else { " i64" }).collect::<String>();
    let mut imports = String::new();
    let mut exports = String::new();
    for (name, params) in FUNCTIONS {
        let gets: String = (0..params.len()).map(|i| format!("(local.get {i})")).collect();
        let ty = format!("(param{}) (result i32)", types(params));
        imports += &format!("(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} {ty}))\n");
        exports += &format!("(func (export \"{name}\") {ty} (call ${name} {gets}))\n");
    }
    format!(
        "(module {imports} (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))
          (memory (export \"memory\") 2 2) {exports}
          (func (export \"proc_exit\") (param i32) (call $exit (local.get 0))))"
    )
}

/// An instance that does what a test says.
pub struct Guest {
    instance: OwnedInstance<WasiCtx>,
    memory: ExportMemory,
    pre: InstancePre<WasiCtx>,
}

pub fn pre(engine: &Engine) -> InstancePre<WasiCtx> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker, |context| context).unwrap();
    linker.instantiate_pre(&module(engine, text())).unwrap()
}

impl Guest {
    pub fn new(context: WasiCtx) -> Self {
        Self::of(&pre(&one_slot()), context)
    }

    pub fn of(pre: &InstancePre<WasiCtx>, context: WasiCtx) -> Self {
        let memory = pre.memory("memory").unwrap();
        Guest { instance: pre.fresh(context).unwrap(), memory, pre: pre.clone() }
    }

    /// A guest that has a directory, at descriptor 3, and may do everything there.
    pub fn in_folder(folder: impl AsRef<Path>) -> Self {
        Self::with_perms(folder, DirPerms::all(), FilePerms::all())
    }

    pub fn with_perms(folder: impl AsRef<Path>, dirs: DirPerms, files: FilePerms) -> Self {
        Self::new(WasiCtxBuilder::new().preopened_dir(folder, "/", dirs, files).unwrap().build())
    }

    /// Calls a function; gives its errno. Arguments are bits, i32 in the low half.
    #[track_caller]
    pub fn call(&mut self, name: &str, args: &[u64]) -> u32 {
        self.try_call(name, args).unwrap_or_else(|e| panic!("{name}{args:x?}: {e}"))
    }

    pub fn try_call(&mut self, name: &str, args: &[u64]) -> Result<u32> {
        let func = self.pre.func(name).unwrap();
        assert_eq!(func.ty().params().len(), args.len(), "parameters of {name}");
        let mut slots = args.to_vec();
        slots.resize(args.len().max(1), 0);
        self.instance.call_raw(&func, &mut slots)?;
        Ok(slots[0] as u32)
    }

    /// Calls a function that must succeed.
    #[track_caller]
    pub fn ok(&mut self, name: &str, args: &[u64]) {
        assert_eq!(self.call(name, args), SUCCESS, "{name}{args:x?}");
    }

    pub fn put(&mut self, at: u64, bytes: &[u8]) {
        self.instance.memory_write(&self.memory, at, bytes).unwrap();
    }

    pub fn bytes(&self, at: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.instance.memory_read(&self.memory, at, &mut bytes).unwrap();
        bytes
    }

    pub fn u16(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.bytes(at, 2).try_into().unwrap())
    }

    pub fn u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.bytes(at, 4).try_into().unwrap())
    }

    pub fn u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.bytes(at, 8).try_into().unwrap())
    }

    /// Puts a list of vectors to `at`.
    pub fn put_vectors(&mut self, at: u64, vectors: &[(u64, u64)]) {
        for (i, (address, len)) in vectors.iter().enumerate() {
            self.put(at + 8 * i as u64, &(*address as u32).to_le_bytes());
            self.put(at + 8 * i as u64 + 4, &(*len as u32).to_le_bytes());
        }
    }

    /// Puts a path where `path_` functions find it: address and length.
    pub fn path(&mut self, path: &str) -> [u64; 2] {
        self.put(SCRATCH, path.as_bytes());
        [SCRATCH, path.len() as u64]
    }

    /// Puts a second path.
    pub fn other_path(&mut self, path: &str) -> [u64; 2] {
        self.put(SCRATCH + 8192, path.as_bytes());
        [SCRATCH + 8192, path.len() as u64]
    }

    /// `fd_write` of one vector.
    pub fn write(&mut self, fd: u64, bytes: &[u8]) -> std::result::Result<u32, u32> {
        self.put(SCRATCH + 64, bytes);
        self.put_vectors(SCRATCH, &[(SCRATCH + 64, bytes.len() as u64)]);
        match self.call("fd_write", &[fd, SCRATCH, 1, SCRATCH + 32]) {
            SUCCESS => Ok(self.u32(SCRATCH + 32)),
            errno => Err(errno),
        }
    }

    /// `fd_read` of up to `len` bytes.
    pub fn read(&mut self, fd: u64, len: u64) -> std::result::Result<Vec<u8>, u32> {
        self.put_vectors(SCRATCH, &[(SCRATCH + 64, len)]);
        match self.call("fd_read", &[fd, SCRATCH, 1, SCRATCH + 32]) {
            SUCCESS => Ok(self.bytes(SCRATCH + 64, u64::from(self.u32(SCRATCH + 32)))),
            errno => Err(errno),
        }
    }

    /// `path_open` below descriptor `dir`, following symbolic links.
    pub fn open_at(
        &mut self,
        dir: u64,
        path: &str,
        oflags: u64,
        rights: u64,
        fdflags: u64,
    ) -> std::result::Result<u64, u32> {
        let [at, len] = self.path(path);
        match self.call("path_open", &[dir, 1, at, len, oflags, rights, u64::MAX >> 34, fdflags, SCRATCH]) {
            SUCCESS => Ok(u64::from(self.u32(SCRATCH))),
            errno => Err(errno),
        }
    }

    /// `path_open` below descriptor 3.
    pub fn open(&mut self, path: &str, oflags: u64, rights: u64) -> std::result::Result<u64, u32> {
        self.open_at(3, path, oflags, rights, 0)
    }

    /// `fd_fdstat_get`: file type, flags, rights, inheriting rights.
    pub fn fdstat(&mut self, fd: u64) -> (u8, u16, u64, u64) {
        self.ok("fd_fdstat_get", &[fd, SCRATCH]);
        (self.bytes(SCRATCH, 1)[0], self.u16(SCRATCH + 2), self.u64(SCRATCH + 8), self.u64(SCRATCH + 16))
    }

    /// A call with a path below descriptor 3.
    pub fn path_call(&mut self, name: &str, path: &str) -> u32 {
        let [at, len] = self.path(path);
        self.call(name, &[3, at, len])
    }

    /// `fd_readdir` to the end, with a buffer of `buffer` bytes: name, type, inode, and cookie of the next.
    pub fn list(&mut self, fd: u64, buffer: u64) -> Vec<(String, u8, u64, u64)> {
        let mut entries: Vec<(String, u8, u64, u64)> = Vec::new();
        let mut cookie = 0;
        loop {
            self.ok("fd_readdir", &[fd, SCRATCH, buffer, cookie, SCRATCH - 8]);
            let used = u64::from(self.u32(SCRATCH - 8));
            let mut at = SCRATCH;
            while at + 24 <= SCRATCH + used {
                let name_len = u64::from(self.u32(at + 16));
                if at + 24 + name_len > SCRATCH + used {
                    break;
                }
                let name = String::from_utf8(self.bytes(at + 24, name_len)).unwrap();
                cookie = self.u64(at);
                entries.push((name, self.bytes(at + 20, 1)[0], self.u64(at + 8), cookie));
                at += 24 + name_len;
            }
            if used < buffer {
                return entries;
            }
            assert!(at > SCRATCH, "an entry does not fit {buffer} bytes");
        }
    }
}

/// A folder of its own.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}
