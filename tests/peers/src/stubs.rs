//! The least of WASI preview 1 that the guest programs need: standard output into a buffer, a clock that ticks by the call,
//! constants for chance, no arguments, no variables, no files; everything else answers ENOSYS.
//!
//! One text for both runtimes, which differ only in how a host function reaches the guest's memory. So both do the same work,
//! whatever the WASI of either costs.

/// What each store holds.
#[derive(Default)]
pub struct Host {
    pub input: Vec<u8>,
    pub output: Vec<u8>,
    pub ticks: u64,
    pub exit_code: Option<i32>,
}

pub const MODULE: &str = "wasi_snapshot_preview1";

pub const SUCCESS: i32 = 0;
pub const BADF: i32 = 8;
pub const FAULT: i32 = 21;
pub const NOSYS: i32 = 52;

/// Ends the guest's call; the exit code is in [`Host`].
#[derive(Debug)]
pub struct Exit;

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the guest has exited")
    }
}

impl std::error::Error for Exit {}

/// Defines the functions in `$linker`. `$Caller` is the runtime's type; `$read` and `$write` are
/// `fn(&mut Caller, address: u32, bytes) -> Option<()>`; `$exit` is the error that ends a call.
macro_rules! define {
    ($linker:expr, $Caller:ident, $read:path, $write:path, $exit:expr) => {{
        use $crate::stubs::{BADF, FAULT, Host, MODULE, SUCCESS};
        fn errno(done: Option<()>) -> i32 {
            if done.is_some() { SUCCESS } else { FAULT }
        }
        fn word(caller: &mut $Caller<'_, Host>, at: u32) -> Option<u32> {
            let mut bytes = [0; 4];
            $read(caller, at, &mut bytes)?;
            Some(u32::from_le_bytes(bytes))
        }
        // The buffers of a vector of `count` addresses and lengths.
        fn buffers(caller: &mut $Caller<'_, Host>, at: u32, count: u32) -> Option<Vec<(u32, u32)>> {
            (0..count).map(|i| Some((word(caller, at + 8 * i)?, word(caller, at + 8 * i + 4)?))).collect()
        }
        fn write_out(caller: &mut $Caller<'_, Host>, at: u32, count: u32, written: u32) -> Option<()> {
            let mut total = 0;
            for (start, len) in buffers(caller, at, count)? {
                let mut bytes = vec![0; len as usize];
                $read(caller, start, &mut bytes)?;
                caller.data_mut().output.extend_from_slice(&bytes);
                total += len;
            }
            $write(caller, written, &total.to_le_bytes())
        }
        fn read_in(caller: &mut $Caller<'_, Host>, at: u32, count: u32, taken: u32) -> Option<()> {
            let mut total = 0;
            for (start, len) in buffers(caller, at, count)? {
                let input = &mut caller.data_mut().input;
                let bytes: Vec<u8> = input.drain(..input.len().min(len as usize)).collect();
                $write(caller, start, &bytes)?;
                total += bytes.len() as u32;
            }
            $write(caller, taken, &total.to_le_bytes())
        }
        let zeros = |mut caller: $Caller<'_, Host>, first: u32, second: u32| {
            errno($write(&mut caller, first, &[0; 4]).and_then(|()| $write(&mut caller, second, &[0; 4])))
        };
        $linker.func_wrap(MODULE, "args_sizes_get", zeros)?;
        $linker.func_wrap(MODULE, "environ_sizes_get", zeros)?;
        $linker.func_wrap(MODULE, "args_get", |_: u32, _: u32| SUCCESS)?;
        $linker.func_wrap(MODULE, "environ_get", |_: u32, _: u32| SUCCESS)?;
        $linker.func_wrap(MODULE, "sched_yield", || SUCCESS)?;
        $linker.func_wrap(MODULE, "fd_prestat_get", |_: u32, _: u32| BADF)?;
        $linker.func_wrap(MODULE, "clock_time_get", |mut caller: $Caller<'_, Host>, _: u32, _: u64, at: u32| {
            caller.data_mut().ticks += 1_000;
            let time = 1_000_000_000_000_000_000 + caller.data().ticks;
            errno($write(&mut caller, at, &time.to_le_bytes()))
        })?;
        $linker.func_wrap(MODULE, "random_get", |mut caller: $Caller<'_, Host>, at: u32, len: u32| {
            errno($write(&mut caller, at, &vec![0x5a; len as usize]))
        })?;
        // A character device without rights worth naming.
        $linker.func_wrap(MODULE, "fd_fdstat_get", |mut caller: $Caller<'_, Host>, fd: u32, at: u32| {
            let mut record = [0; 24];
            record[0] = 2;
            if fd > 2 { BADF } else { errno($write(&mut caller, at, &record)) }
        })?;
        $linker.func_wrap(
            MODULE,
            "fd_write",
            |mut caller: $Caller<'_, Host>, _: u32, at: u32, count: u32, written: u32| {
                errno(write_out(&mut caller, at, count, written))
            },
        )?;
        $linker.func_wrap(
            MODULE,
            "fd_read",
            |mut caller: $Caller<'_, Host>, _: u32, at: u32, count: u32, taken: u32| {
                errno(read_in(&mut caller, at, count, taken))
            },
        )?;
        $linker.func_wrap(MODULE, "proc_exit", |mut caller: $Caller<'_, Host>, code: i32| {
            caller.data_mut().exit_code = Some(code);
            Err::<(), _>($exit)
        })?;
    }};
}
pub(crate) use define;
