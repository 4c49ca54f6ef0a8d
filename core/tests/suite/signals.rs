//! Faults that are not the guest's go to whoever handled them before. Each test needs a process of its own, because
//! handlers are the process's.

use std::sync::atomic::{AtomicU32, Ordering};

use instar::TrapCode;

use crate::kit::{alone, in_child, paranoid, pre, traps};

static SEEN: AtomicU32 = AtomicU32::new(0);

/// Makes the page of the faulting address accessible, so that the access succeeds when it is repeated.
extern "C" fn repair(_signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    SEEN.fetch_add(1, Ordering::Relaxed);
    // SAFETY: the kernel passes valid information; the address is that of the page mapped below.
    unsafe {
        let page = (*info).si_addr() as usize & !4095;
        libc::mprotect(page as *mut libc::c_void, 4096, libc::PROT_READ | libc::PROT_WRITE);
    }
}

extern "C" fn plain(_signal: i32) {
    // SAFETY: write and _exit may be called from a signal handler.
    unsafe {
        libc::write(2, c"the plain handler".as_ptr().cast(), 17);
        libc::_exit(42);
    }
}

fn handle(signal: i32, handler: usize, flags: i32) {
    // SAFETY: the action is fully initialised and the handler has the type that the flags say.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &action, std::ptr::null_mut()), 0);
    }
}

fn inaccessible_page() -> *mut u8 {
    // SAFETY: a fresh anonymous mapping.
    let page = unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    };
    assert_ne!(page, libc::MAP_FAILED);
    page.cast()
}

const GUEST: &str = r#"(module (memory 1)
  (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
  (func (export "unreachable") unreachable))"#;

fn guest_traps_still_work() {
    let pre = pre(&paranoid(), GUEST);
    traps(pre.call((), &pre.export::<u32, u32>("load").unwrap(), 65_536), TrapCode::MemoryOutOfBounds);
    traps(pre.call((), &pre.export::<(), ()>("unreachable").unwrap(), ()), TrapCode::Unreachable);
}

#[test]
fn a_fault_of_the_host_reaches_the_handler_that_was_there_before() {
    alone("signals::a_fault_of_the_host_reaches_the_handler_that_was_there_before", || {
        handle(libc::SIGSEGV, repair as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
        guest_traps_still_work();
        for round in 1..=3 {
            let page = inaccessible_page();
            // SAFETY: the handler makes the page accessible.
            unsafe { page.write_volatile(7) };
            assert_eq!(SEEN.load(Ordering::Relaxed), round);
            guest_traps_still_work();
        }
        assert_eq!(SEEN.load(Ordering::Relaxed), 3, "the guest's faults never got there");
    });
}

#[test]
fn a_fault_in_a_host_function_is_not_the_guests() {
    alone("signals::a_fault_in_a_host_function_is_not_the_guests", || {
        handle(libc::SIGSEGV, repair as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK);
        let engine = paranoid();
        let mut linker = instar::Linker::<()>::new(&engine);
        linker
            .func_wrap("h", "fault", || -> u32 {
                // SAFETY: the handler makes the page accessible.
                unsafe { u32::from(inaccessible_page().read_volatile()) + 5 }
            })
            .unwrap();
        let text = r#"(module (import "h" "fault" (func $f (result i32))) (func (export "f") (result i32) (call $f)))"#;
        let pre = linker.instantiate_pre(&crate::kit::module(&engine, text)).unwrap();
        assert_eq!(pre.call((), &pre.export::<(), u32>("f").unwrap(), ()).unwrap(), 5);
        assert_eq!(SEEN.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_handler_without_siginfo_is_called_as_one() {
    let ended = in_child("signals::a_handler_without_siginfo_is_called_as_one", || {
        handle(libc::SIGSEGV, plain as *const () as usize, 0);
        guest_traps_still_work();
        // SAFETY: faults; the handler ends the process.
        unsafe { inaccessible_page().write_volatile(1) };
    });
    assert_eq!(ended.status.code(), Some(42), "{}", ended.output);
    assert!(ended.output.contains("the plain handler"), "{}", ended.output);
}

#[test]
fn without_an_earlier_handler_a_fault_ends_the_process_as_it_always_does() {
    use std::os::unix::process::ExitStatusExt;
    let ended = in_child("signals::without_an_earlier_handler_a_fault_ends_the_process_as_it_always_does", || {
        handle(libc::SIGSEGV, libc::SIG_DFL, 0);
        guest_traps_still_work();
        // SAFETY: faults; the default action ends the process.
        unsafe { inaccessible_page().write_volatile(1) };
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGSEGV), "{}", ended.output);
}

#[test]
fn a_stack_overflow_of_the_host_is_reported_as_rust_reports_it() {
    use std::os::unix::process::ExitStatusExt;
    fn forever(n: u64) -> u64 {
        if n == u64::MAX {
            return n;
        }
        let ballast = std::hint::black_box([n; 512]);
        forever(n + 1) + ballast[3]
    }
    let ended = in_child("signals::a_stack_overflow_of_the_host_is_reported_as_rust_reports_it", || {
        guest_traps_still_work();
        std::hint::black_box(forever(0));
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGABRT), "{}", ended.output);
    assert!(ended.output.contains("has overflowed its stack"), "{}", ended.output);
}

#[test]
fn a_signal_sent_by_somebody_ends_the_process_as_it_always_does() {
    use std::os::unix::process::ExitStatusExt;
    let ended = in_child("signals::a_signal_sent_by_somebody_ends_the_process_as_it_always_does", || {
        handle(libc::SIGSEGV, libc::SIG_DFL, 0);
        guest_traps_still_work();
        // SAFETY: sends a signal to this process.
        unsafe { libc::raise(libc::SIGSEGV) };
        println!("lived on");
    });
    assert_eq!(ended.status.signal(), Some(libc::SIGSEGV), "{}", ended.output);
    assert!(!ended.output.contains("lived on"), "{}", ended.output);
}

#[test]
fn traps_work_on_a_thread_without_an_alternate_signal_stack() {
    // A thread that Rust did not make has none.
    extern "C" fn body(_: *mut libc::c_void) -> *mut libc::c_void {
        guest_traps_still_work();
        let recursion = pre(&paranoid(), "(module (func $f (export \"f\") (call $f)))");
        traps(recursion.call((), &recursion.export::<(), ()>("f").unwrap(), ()), TrapCode::StackOverflow);
        std::ptr::null_mut()
    }
    // SAFETY: a thread with default attributes, joined before its id goes.
    unsafe {
        let mut thread = std::mem::zeroed();
        assert_eq!(libc::pthread_create(&mut thread, std::ptr::null(), body, std::ptr::null_mut()), 0);
        assert_eq!(libc::pthread_join(thread, std::ptr::null_mut()), 0);
    }
}
