//! In steady state a request that does not grow its memory asks nothing of the kernel: no system call, no page fault. Each
//! test has a process of its own, whose thread is killed by the first system call that it makes.

use instar::{Caller, DirtyTracking, Engine, Linker};

use crate::kit::{Ended, alone, engine, in_child, module};

/// Requests that are counted, after as many that are not.
const REQUESTS: usize = 10_000;

/// Engines whose instances are known to be reset without the kernel's help.
fn engines() -> [(&'static str, Engine); 2] {
    let plain = |change: fn(&mut instar::Config)| {
        engine(|config| {
            config.paranoid(false).cranelift_debug_verifier(false);
            change(config);
        })
    };
    [
        ("default", plain(|_| {})),
        (
            "lines",
            plain(|config| {
                config.dirty_tracking(DirtyTracking::Lines);
            }),
        ),
    ]
}

/// A guest that writes in every way: to pages of data and of zeros, far apart and in bulk, to tables and globals; that drops
/// segments, and calls its host, which writes too.
const TEXT: &str = r#"(module
  (import "h" "f" (func $host (param i32) (result i32)))
  (memory (export "memory") 20) (data (i32.const 60000) "initialised") (data $passive "passive")
  (table $t 20 funcref) (elem (i32.const 3) func $serve) (elem $dropped func $serve)
  (global $g (mut i64) (i64.const 7))
  (func (export "alloc") (param i32) (result i32) (i32.const 70000))
  (func (export "echo") (param i32 i32) (result i64)
    (drop (call $serve (local.get 1)))
    (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
  (func $serve (export "serve") (param $n i32) (result i32)
    (local $page i32)
    (loop $again
      (i32.store8 offset=77 (i32.shl (local.get $page) (i32.const 12)) (local.get $n))
      (br_if $again (i32.lt_u (local.tee $page (i32.add (local.get $page) (i32.const 3))) (i32.const 320))))
    (memory.fill (i32.const 200000) (i32.const 9) (i32.const 9000))
    (memory.copy (i32.const 300000) (i32.const 60000) (i32.const 5000))
    (memory.init $passive (i32.const 50) (i32.const 0) (i32.const 7))
    (data.drop $passive) (elem.drop $dropped)
    (table.set $t (i32.const 1) (ref.func $serve))
    (global.set $g (i64.const -1))
    (call $host (local.get $n))))"#;

/// Serves a number of requests in every way there is.
fn serve(engine: &Engine) -> impl FnMut(usize) + use<> {
    let mut linker = Linker::<u64>::new(engine);
    linker
        .func_wrap("h", "f", |mut caller: Caller<'_, u64>, n: u32| -> instar::Result<u32> {
            *caller.data_mut() += 1;
            let memory = caller.memory("memory").expect("it is exported");
            memory.write(&mut caller, 400_000, b"from the host")?;
            Ok(n + 1)
        })
        .unwrap();
    let pre = linker.instantiate_pre(&module(engine, TEXT)).unwrap();
    let serve = pre.export::<u32, u32>("serve").unwrap();
    let (memory, echo) = (pre.memory("memory").unwrap(), pre.bytes_func("echo").unwrap());
    move |requests| {
        for n in 0..requests as u32 {
            assert_eq!(pre.call(0, &serve, n).unwrap(), n + 1);
            let mut instance = pre.fresh(0).unwrap();
            instance.memory_write(&memory, 500_000, b"request").unwrap();
            assert_eq!(instance.call(&serve, n).unwrap(), n + 1);
            assert_eq!(*instance.data(), 1);
            drop(instance);
            assert_eq!(pre.call_bytes(0, &echo, b"bytes in and out").unwrap(), b"bytes in and out");
        }
    }
}

/// From here on any system call of this thread ends the process with SIGSYS, but for the one that ends it well.
fn forbid_system_calls() {
    const WORD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        // The number of the call comes first in what a filter sees.
        step(WORD, 0, 0, 0),
        step(EQUAL, 0, 1, libc::SYS_exit_group as u32),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
        step(ANSWER, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: takes numbers.
    let status = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(status, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: the program and its steps live until the call has copied them.
    let status = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(status, 0, "no filter of system calls: {}", std::io::Error::last_os_error());
}

/// Runs `body` in a process that any system call kills. What allocates may call the system the first time: `prepare` is there
/// for that.
fn without_system_calls<T>(test: &str, prepare: impl FnOnce() -> T, body: impl FnOnce(T)) -> Ended {
    in_child(test, || {
        let prepared = prepare();
        forbid_system_calls();
        body(prepared);
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(0) }
    })
}

fn faults_of_thread() -> i64 {
    // SAFETY: a record of numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the record is ours.
    assert_eq!(unsafe { libc::getrusage(libc::RUSAGE_THREAD, &mut usage) }, 0);
    usage.ru_minflt + usage.ru_majflt
}

#[test]
fn requests_make_no_system_call() {
    let prepare = || {
        let mut servers = engines().map(|(_, engine)| serve(&engine));
        servers.iter_mut().for_each(|serve| serve(REQUESTS));
        servers
    };
    let ended = without_system_calls("steady::requests_make_no_system_call", prepare, |servers| {
        for mut serve in servers {
            serve(REQUESTS);
            // Dropping an engine gives its memory back, which is no request.
            std::mem::forget(serve);
        }
    });
    assert!(ended.status.success(), "{}: a request called the system\n{}", ended.status, ended.output);
}

#[test]
fn a_system_call_would_be_found() {
    use std::os::unix::process::ExitStatusExt;
    let test = "steady::a_system_call_would_be_found";
    let ended = without_system_calls(
        test,
        || {},
        |()| {
            // SAFETY: gives a number.
            unsafe { libc::getppid() };
        },
    );
    assert_eq!(ended.status.signal(), Some(libc::SIGSYS), "{}", ended.output);
}

#[test]
fn requests_take_no_page_fault() {
    alone("steady::requests_take_no_page_fault", || {
        for (name, engine) in engines() {
            let mut serve = serve(&engine);
            serve(REQUESTS);
            let before = faults_of_thread();
            serve(REQUESTS);
            let faults = faults_of_thread() - before;
            // The kernel may take a page of the process away at any time, and give it back: that is a few, not one a request.
            assert!(faults < 10, "{name}: {faults} faults in {REQUESTS} requests");
        }
        let before = faults_of_thread();
        drop(std::hint::black_box(vec![1u8; 16 << 20]));
        assert!(faults_of_thread() - before >= 1, "faults are not counted");
    });
}
