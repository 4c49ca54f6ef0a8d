//! What a module may have thousands of: mutable globals are undone, and exports are found, however many there are.

use instar::{Store, Val};

use crate::kit::{self, one_slot};

#[test]
fn globals_are_undone_however_many_there_are() {
    for count in [3u32, 127, 128, 700, 5000] {
        let engine = one_slot();
        // Every seventh is exported, in the opposite order, and one twice.
        let globals: String = (0..count).map(|i| format!("(global $g{i} (mut i64) (i64.const {i}))")).collect();
        let exports: String =
            (0..count).rev().step_by(7).map(|i| format!("(export \"g{i}\" (global $g{i}))")).collect();
        let chosen: Vec<u32> = [0, 1, 63, 64, 65, 127, 254, 255, 256, 300, 512, 640, 699, 4000, 4999]
            .into_iter()
            .filter(|&i| i < count)
            .collect();
        let set: String = chosen.iter().map(|i| format!("(global.set $g{i} (i64.const -{i}))")).collect();
        let sum: String = (0..count).map(|i| format!("(i64.add (global.get $g{i}))")).collect();
        let text = format!(
            "(module {globals} {exports} (export \"again\" (global $g{})) (func (export \"set\") {set} (global.set $g1 (i64.const -9)))
               (func (export \"sum\") (result i64) (i64.const 0) {sum}))",
            count - 1
        );
        let pre = kit::pre(&engine, text);
        let fresh = i64::from(count) * i64::from(count - 1) / 2;
        for round in 0..3 {
            let mut store = Store::new(&engine, ());
            let instance = pre.instantiate(&mut store).unwrap();
            let sum = instance.typed_func::<(), i64>(&mut store, "sum").unwrap();
            assert_eq!(sum.call(&mut store, ()).unwrap(), fresh);
            let name = if round == 1 { "again".to_string() } else { format!("g{}", count - 1) };
            instance.global(&mut store, &name).unwrap().set(&mut store, Val::I64(-5)).unwrap();
            assert_eq!(sum.call(&mut store, ()).unwrap(), fresh - i64::from(count - 1) - 5);
            if round != 1 {
                instance.typed_func::<(), ()>(&mut store, "set").unwrap().call(&mut store, ()).unwrap();
                let changed: i64 =
                    chosen.iter().filter(|&&i| i != 1 && i != count - 1).map(|&i| i64::from(i) * 2).sum();
                let last =
                    if chosen.contains(&(count - 1)) { i64::from(count - 1) * 2 } else { i64::from(count - 1) + 5 };
                assert_eq!(sum.call(&mut store, ()).unwrap(), fresh - changed - 10 - last, "{count}");
            }
        }
    }
}

#[test]
fn exports_are_found_by_name_however_many_there_are() {
    let engine = kit::paranoid();
    for count in [0u32, 1, 2, 3, 2000] {
        let names: Vec<String> =
            (0..count).map(|i| format!("{}é{}", "x".repeat(i as usize % 5), i * 7 % 1999)).collect();
        let funcs: String = names
            .iter()
            .zip(0..)
            .map(|(name, i)| format!("(func (export \"{name}\") (result i32) (i32.const {i}))"))
            .collect();
        let pre = kit::pre(&engine, format!("(module {funcs} (memory (export \"\") 1))"));
        let mut store = Store::new(&engine, ());
        let instance = pre.instantiate(&mut store).unwrap();
        for (name, i) in names.iter().zip(0..) {
            let func = instance.typed_func::<(), i32>(&mut store, name).unwrap();
            assert_eq!(func.call(&mut store, ()).unwrap(), i);
            assert!(pre.module().export_index(name).is_some());
            let rest: String = name.chars().skip(1).collect();
            assert_eq!(instance.export(&mut store, &rest).is_some(), rest.is_empty() || names.contains(&rest));
            assert!(instance.export(&mut store, &format!("{name} ")).is_none());
        }
        assert!(instance.memory(&mut store, "").is_some());
        let in_order: Vec<String> = pre.module().exports().map(|e| e.name.to_string()).collect();
        assert_eq!(in_order[..names.len()], names);
    }
}
