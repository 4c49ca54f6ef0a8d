//! Signal handlers for faults in compiled code, chained to whoever was there before.
//!
//! The handler asks one question: does the program counter lie at an instruction of compiled code that is known to
//! trap? If so it changes the interrupted context so that execution goes on at the landing pad of the innermost entry
//! trampoline, and *returns*: the kernel restores mask and stack, so Go's, .NET's, V8's and Python's expectations hold.
//! Everything else goes to the previous handler, untouched.
//!
//! Invariant: nothing here allocates or locks. `decide` may write to thread-local state once it knows that the thread runs
//! compiled code: that state was there before.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use crate::error::{Result, error};

/// Where an interrupted thread stood, or is to go on.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    pub pc: usize,
    pub sp: usize,
    pub fp: usize,
}

/// Decides about a fault: where to go on and what to leave in the first payload register, or `None` if it is not ours.
pub type Decide = fn(Registers) -> Option<(Registers, u64)>;

const SIGNALS: [i32; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

struct Previous(UnsafeCell<MaybeUninit<[libc::sigaction; SIGNALS.len()]>>);
// SAFETY: written once, before the handlers that read it are installed one after the other.
unsafe impl Sync for Previous {}

static PREVIOUS: Previous = Previous(UnsafeCell::new(MaybeUninit::zeroed()));
static DECIDE: OnceLock<Decide> = OnceLock::new();

/// Leaves the process's signals to other threads: this one takes none but those of its own faults.
pub fn leave_to_others() {
    // SAFETY: the set is initialised by sigfillset before it is used; the mask is this thread's own.
    unsafe {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigfillset(set.as_mut_ptr());
        for signal in SIGNALS.into_iter().chain([libc::SIGTRAP, libc::SIGABRT]) {
            libc::sigdelset(set.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Installs the handlers, once per process.
///
/// # Errors
///
/// `Os` when the system refuses a handler.
pub fn install(decide: Decide) -> Result<()> {
    static RESULT: OnceLock<std::result::Result<(), i32>> = OnceLock::new();
    DECIDE.get_or_init(|| decide);
    let result = RESULT.get_or_init(|| {
        for (i, &signal) in SIGNALS.iter().enumerate() {
            // SAFETY: the new action is fully initialised; the old one is written into its own place of a static that
            // the handler for this signal reads only after this call has installed it.
            unsafe {
                let mut action = std::mem::zeroed::<libc::sigaction>();
                action.sa_sigaction = handle as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
                libc::sigemptyset(&mut action.sa_mask);
                let previous = PREVIOUS.0.get().cast::<libc::sigaction>().add(i);
                // The old action is fetched first, so that the handler never sees an empty place.
                if libc::sigaction(signal, std::ptr::null(), previous) != 0
                    || libc::sigaction(signal, &action, std::ptr::null_mut()) != 0
                {
                    return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
                }
            }
        }
        Ok(())
    });
    result.map_err(|code| error!(Os, "installing a signal handler failed: {}", io::Error::from_raw_os_error(code)))
}

unsafe extern "C" fn handle(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid ucontext_t to an SA_SIGINFO handler.
    let ucontext = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    if let Some(decide) = DECIDE.get()
        && let Some((to, payload)) = decide(read(ucontext))
    {
        write(ucontext, to, payload);
        return;
    }
    let index = SIGNALS.iter().position(|&s| s == signal).unwrap_or(0);
    // SAFETY: `install` wrote this place before it installed the handler that runs now.
    let previous = unsafe { &*PREVIOUS.0.get().cast::<libc::sigaction>().add(index) };
    // SAFETY: the previous handler is called as the kernel would have called it.
    unsafe { chain(signal, previous, info, context) };
}

unsafe fn chain(signal: i32, previous: &libc::sigaction, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes valid information. Codes of signals that somebody sent are not positive.
    let sent = unsafe { (*info).si_code } <= 0;
    match previous.sa_sigaction {
        libc::SIG_IGN if sent => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // Back to the default: returning repeats the fault, and the process ends as it would have without us. A signal
            // that was sent has to be sent again.
            // SAFETY: sigaction with a zeroed action means SIG_DFL.
            unsafe {
                let action = std::mem::zeroed::<libc::sigaction>();
                libc::sigaction(signal, &action, std::ptr::null_mut());
                if sent {
                    libc::raise(signal);
                }
            }
        }
        handler if previous.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: with SA_SIGINFO the handler has this type.
            unsafe {
                let handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void) = std::mem::transmute(handler);
                handler(signal, info, context);
            }
        }
        handler => {
            // SAFETY: without SA_SIGINFO the handler has this type.
            unsafe {
                let handler: extern "C" fn(i32) = std::mem::transmute(handler);
                handler(signal);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn read(context: &libc::ucontext_t) -> Registers {
    let r = &context.uc_mcontext.gregs;
    Registers {
        pc: r[libc::REG_RIP as usize] as usize,
        sp: r[libc::REG_RSP as usize] as usize,
        fp: r[libc::REG_RBP as usize] as usize,
    }
}

#[cfg(target_arch = "x86_64")]
fn write(context: &mut libc::ucontext_t, to: Registers, payload: u64) {
    let r = &mut context.uc_mcontext.gregs;
    r[libc::REG_RIP as usize] = to.pc as i64;
    r[libc::REG_RSP as usize] = to.sp as i64;
    r[libc::REG_RBP as usize] = to.fp as i64;
    r[libc::REG_RAX as usize] = payload as i64;
}

#[cfg(target_arch = "aarch64")]
fn read(context: &libc::ucontext_t) -> Registers {
    let m = &context.uc_mcontext;
    Registers { pc: m.pc as usize, sp: m.sp as usize, fp: m.regs[29] as usize }
}

#[cfg(target_arch = "aarch64")]
fn write(context: &mut libc::ucontext_t, to: Registers, payload: u64) {
    let m = &mut context.uc_mcontext;
    m.pc = to.pc as u64;
    m.sp = to.sp as u64;
    m.regs[29] = to.fp as u64;
    m.regs[0] = payload;
}
