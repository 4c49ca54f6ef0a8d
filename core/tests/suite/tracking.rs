//! How writes are tracked is each module's own choice, and modules that chose differently may be linked.

use instar::{Config, DirtyTracking, Engine, ErrorKind, Linker, Module, ModuleOptions, Store};

use crate::kit;

const MODES: [DirtyTracking; 4] =
    [DirtyTracking::Lines, DirtyTracking::Touched, DirtyTracking::Pages, DirtyTracking::Off];

fn options(tracking: DirtyTracking) -> ModuleOptions {
    ModuleOptions::new().dirty_tracking(tracking).clone()
}

#[test]
fn auto_depends_on_whether_instances_are_pooled() {
    let tracking = |strategy| {
        let engine = Engine::new(Config::new().allocation_strategy(strategy)).unwrap();
        Module::new(&engine, "(module)").unwrap().dirty_tracking()
    };
    assert_eq!(tracking(instar::InstanceAllocationStrategy::Pooling), DirtyTracking::Lines);
    assert_eq!(tracking(instar::InstanceAllocationStrategy::OnDemand), DirtyTracking::Off);
}

#[test]
fn a_module_keeps_its_tracking_in_its_artifact() {
    let engine = kit::paranoid();
    for mode in MODES {
        let module = Module::with_options(&engine, &options(mode), "(module (memory 1))").unwrap();
        assert_eq!(module.dirty_tracking(), mode);
        let bytes = module.serialize().unwrap();
        assert_eq!(engine.precompile_module_with(&options(mode), b"(module (memory 1))").unwrap(), bytes);
        // SAFETY: the bytes were made just now.
        let loaded = unsafe { Module::deserialize(&engine, bytes) }.unwrap();
        assert_eq!(loaded.dirty_tracking(), mode);
    }
}

#[test]
fn touched_pages_need_signals() {
    let mut config = Config::new();
    config.signals_based_traps(false);
    let engine = Engine::new(&config).unwrap();
    let error = Module::with_options(&engine, &options(DirtyTracking::Touched), "(module)").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("signals_based_traps"), "{error}");
    let error = Engine::new(config.dirty_tracking(DirtyTracking::Touched)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}

/// Code of one module writes to the memory of another, through its export, in every pair of modes and twice through one
/// slot; a paranoid engine compares both with their images. The memory grows, too.
#[test]
fn modules_of_all_modes_write_to_memories_of_all_modes() {
    for reservation in [4 << 30, 0] {
        for owner in MODES {
            for writer in MODES {
                let engine = kit::engine(|config| {
                    config.memory_reservation(reservation);
                });
                let owner = Module::with_options(
                    &engine,
                    &options(owner),
                    r#"(module (memory (export "m") 2 8) (data (i32.const 70000) "image")
                         (func (export "own") (i32.store (i32.const 300) (i32.const -1))))"#,
                )
                .unwrap();
                let writer = Module::with_options(
                    &engine,
                    &options(writer),
                    r#"(module (import "o" "m" (memory 1))
                         (func (export "read") (param i32) (result i32) (i32.load8_u (local.get 0)))
                         (func (export "write") (param i32)
                           (i32.store (local.get 0) (i32.const -1))
                           (memory.fill (i32.add (local.get 0) (i32.const 5000)) (i32.const 7) (i32.const 20))
                           (drop (memory.grow (i32.const 1)))
                           (i32.store (i32.const 150000) (i32.const -1))))"#,
                )
                .unwrap();
                let owner = Linker::new(&engine).instantiate_pre(&owner).unwrap();
                for _ in 0..3 {
                    let mut store = Store::new(&engine, ());
                    let mut linker = Linker::new(&engine);
                    let own = owner.instantiate(&mut store).unwrap();
                    let memory = own.memory(&mut store, "m").unwrap();
                    linker.define(&mut store, "o", "m", memory).unwrap();
                    let other = linker.instantiate(&mut store, &writer).unwrap();
                    let read = other.typed_func::<i32, i32>(&mut store, "read").unwrap();
                    let write = other.typed_func::<i32, ()>(&mut store, "write").unwrap();
                    assert_eq!(read.call(&mut store, 70_000).unwrap(), i32::from(b'i'));
                    for at in [0, 300, 69_998, 100_000] {
                        assert_eq!(read.call(&mut store, at).unwrap(), 0);
                        write.call(&mut store, at).unwrap();
                        assert_eq!(read.call(&mut store, at).unwrap(), 255);
                        assert_eq!(read.call(&mut store, at + 5000).unwrap(), 7);
                    }
                    own.typed_func::<(), ()>(&mut store, "own").unwrap().call(&mut store, ()).unwrap();
                    memory.write(&mut store, 12_345, b"host").unwrap();
                }
            }
        }
    }
}
