//! The end of an instance: what comes first, and what happens when the system refuses a step of its reset.

use std::sync::Mutex;

use instar::{DirtyTracking, Engine, ErrorKind, InstancePre, Linker, Module, ModuleOptions, SharedInstance, Store};

use crate::kit::{self, alone, module};

const MODES: [DirtyTracking; 4] =
    [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

/// Host data that looks, when it is dropped, whether its slot is somebody else's already.
struct Last {
    engine: Engine,
    raw: Option<(u64, u64)>,
}

/// What dropped data has seen: live instances, and whether its handle was still open.
static SEEN: Mutex<Vec<(usize, bool)>> = Mutex::new(Vec::new());

impl Drop for Last {
    fn drop(&mut self) {
        // SAFETY: the engine is alive. A handle that is open would be busy or closed by this, and not stale.
        let open = self.raw.is_some_and(|raw| unsafe { SharedInstance::<Last>::close_raw(raw.0, raw.1) }.is_err());
        SEEN.lock().unwrap().push((self.engine.live_instances(), open));
    }
}

#[test]
fn handles_are_stale_and_host_data_is_gone_before_the_slot_goes_back() {
    let engine = kit::one_slot();
    let pre: InstancePre<Last> = Linker::new(&engine).instantiate_pre(&module(&engine, "(module (memory 1))")).unwrap();
    let last = |raw| Last { engine: engine.clone(), raw };
    drop(pre.fresh(last(None)).unwrap());
    let mut store = Store::new(&engine, last(None));
    pre.instantiate(&mut store).unwrap();
    drop(store);
    let shared = pre.shared(last(None)).unwrap();
    shared.close().unwrap();
    drop(shared);
    let (cell, id) = pre.shared(last(None)).unwrap().into_raw();
    // SAFETY: the engine is alive.
    unsafe { SharedInstance::enter_raw(&pre, cell, id) }.unwrap().data_mut().raw = Some((cell, id));
    // SAFETY: as above.
    unsafe { SharedInstance::<Last>::close_raw(cell, id) }.unwrap();
    let seen = std::mem::take(&mut *SEEN.lock().unwrap());
    assert_eq!(seen.len(), 4);
    // One that stands alone still counts; those of a store go back with it, before its data or after.
    for i in [0, 2, 3] {
        assert_eq!(seen[i], (1, false), "way {i}: its slot went back before its data, or its handle was open");
    }
}

/// Lets the calling thread change no mapping's protection or contents any more. Says whether the system can do that.
fn forbid_changes_of_mappings() -> bool {
    let statement = |code: u32, jump: u8, k: u32| libc::sock_filter { code: code as u16, jt: jump, jf: 0, k };
    let (load, equal, answer) = (
        libc::BPF_LD | libc::BPF_W | libc::BPF_ABS,
        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
        libc::BPF_RET | libc::BPF_K,
    );
    let mut program = [
        // The number of the system call.
        statement(load, 0, 0),
        statement(equal, 3, libc::SYS_mprotect as u32),
        statement(equal, 2, libc::SYS_madvise as u32),
        statement(equal, 1, libc::SYS_ioctl as u32),
        statement(answer, 0, libc::SECCOMP_RET_ALLOW),
        statement(answer, 0, libc::SECCOMP_RET_ERRNO | libc::ENOMEM as u32),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: numbers alone.
    let allowed = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } == 0;
    // SAFETY: the filter lives for the call, which copies it; it holds for this thread, and those that it makes.
    allowed && unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } == 0
}

const GROWING: &str = r#"(module (memory (export "memory") 1 40) (global $g (mut i32) (i32.const 1)) (table $t 2 9 funcref)
  (elem declare func $go) (data (i32.const 300) "image")
  (func $go (export "go") (param i32)
    (global.set $g (i32.const 2)) (table.set $t (i32.const 1) (ref.func $go))
    (i64.store (i32.const 298) (i64.const -1)) (i64.store (i32.const 40000) (i64.const -1))
    (drop (memory.grow (local.get 0))) (i64.store (i32.const 65528) (i64.const -1)))
  (func (export "clean") (result i32)
    (i32.and (i32.and (i32.eq (memory.size) (i32.const 1)) (i32.eq (global.get $g) (i32.const 1)))
      (i32.and (i32.and (ref.is_null (table.get $t (i32.const 1))) (i64.eqz (i64.load (i32.const 40000))))
        (i32.and (i64.eqz (i64.load (i32.const 65528))) (i64.eq (i64.load (i32.const 298)) (i64.const 0x0065_6761_6d69_0000)))))))"#;

/// A slot that cannot be brought back to its image is thrown away, and counts no more; nobody ever gets it.
#[test]
fn a_slot_whose_reset_the_system_refuses_is_never_used_again() {
    alone("closing::a_slot_whose_reset_the_system_refuses_is_never_used_again", || {
        for tracking in MODES {
            for (reservation, grows) in [(4 << 30, 20), (4 << 30, 0), (0, 20)] {
                let engine = kit::engine(|config| {
                    // A paranoid engine would not go on.
                    config.paranoid(false).max_instances(3).memory_reservation(reservation);
                });
                let options = ModuleOptions::new().dirty_tracking(tracking).clone();
                let module = Module::with_options(&engine, &options, GROWING).unwrap();
                let pre: InstancePre<()> = Linker::new(&engine).instantiate_pre(&module).unwrap();
                let (go, clean) = (pre.export::<u32, ()>("go").unwrap(), pre.export::<(), u32>("clean").unwrap());
                for _ in 0..3 {
                    let mut all: Vec<_> = (0..3).map(|_| pre.fresh(()).unwrap()).collect();
                    for instance in &mut all {
                        assert_eq!(instance.call(&clean, ()).unwrap(), 1, "{tracking:?}: not its image");
                        instance.call(&go, grows).unwrap();
                    }
                    kit::fails(pre.fresh(()).map(drop), ErrorKind::PoolExhausted);
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            assert!(forbid_changes_of_mappings(), "the system has no seccomp");
                            drop(all);
                        });
                    });
                    assert_eq!(engine.live_instances(), 0, "{tracking:?}");
                }
            }
        }
    });
}
