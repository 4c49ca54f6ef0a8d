//! Views of guest memory: `data`, `slice`, `slice_mut`, `read_str`, and those with the host data beside them.

use std::ops::Range;

use instar::{Caller, ErrorKind, Linker, Memory, MemoryType, Store};

use crate::kit::{fails, module, one_slot, paranoid};

const PAGE: u64 = 65_536;

fn memory(store: &mut Store<Vec<u8>>) -> Memory {
    Memory::new(store, MemoryType::new(1, Some(2))).unwrap()
}

#[test]
fn views_show_what_is_there_and_write_through() {
    let mut store = Store::new(&paranoid(), Vec::new());
    let memory = memory(&mut store);
    memory.write(&mut store, 10, b"hello").unwrap();
    assert_eq!(memory.data(&store).unwrap().len() as u64, PAGE);
    assert_eq!(&memory.data(&store).unwrap()[9..16], b"\0hello\0");
    assert_eq!(memory.slice(&store, 10..15).unwrap(), b"hello");
    memory.slice_mut(&mut store, 11..13).unwrap().copy_from_slice(b"EL");
    assert_eq!(memory.read_str(&store, 10, 5).unwrap(), "hELlo");

    memory.grow(&mut store, 1).unwrap();
    assert_eq!(memory.data(&store).unwrap().len() as u64, 2 * PAGE);
    memory.slice_mut(&mut store, 2 * PAGE - 1..2 * PAGE).unwrap()[0] = 7;
    assert_eq!(memory.slice(&store, 2 * PAGE - 1..2 * PAGE).unwrap(), [7]);
    assert!(memory.slice_mut(&mut store, 2 * PAGE..2 * PAGE).unwrap().is_empty());
}

#[test]
fn the_host_data_can_be_used_beside_the_bytes() {
    let mut store = Store::new(&paranoid(), vec![1, 2, 3]);
    let memory = memory(&mut store);
    let (bytes, data) = memory.slice_mut_and_store(&mut store, 100..103).unwrap();
    bytes.copy_from_slice(data);
    data.push(4);
    let (bytes, data) = memory.data_and_store(&mut store).unwrap();
    data.extend_from_slice(&bytes[100..102]);
    assert_eq!(*store.data(), [1, 2, 3, 4, 1, 2]);
}

#[test]
fn ranges_outside_the_memory_are_errors_that_say_so() {
    let mut store = Store::new(&paranoid(), Vec::new());
    let memory = memory(&mut store);
    let backwards = Range { start: PAGE, end: PAGE - 1 };
    for range in [PAGE - 1..PAGE + 1, PAGE + 1..PAGE + 1, u64::MAX - 1..u64::MAX, 0..u64::MAX, backwards] {
        for error in [
            fails(memory.slice(&store, range.clone()).map(drop), ErrorKind::OutOfBounds),
            fails(memory.slice_mut(&mut store, range.clone()).map(drop), ErrorKind::OutOfBounds),
            fails(memory.slice_mut_and_store(&mut store, range.clone()).map(drop), ErrorKind::OutOfBounds),
        ] {
            for word in [format!("{:#x}", range.start), format!("{:#x}", range.end), "0x10000".to_string()] {
                assert!(error.message().contains(&word), "{error} lacks {word}");
            }
        }
    }
    fails(memory.read_str(&store, u64::MAX, u64::MAX).map(drop), ErrorKind::OutOfBounds);
    fails(memory.read_str(&store, PAGE - 1, 2).map(drop), ErrorKind::OutOfBounds);
    memory.write(&mut store, 0, b"ab\xffcd").unwrap();
    let error = fails(memory.read_str(&store, 0, 5).map(drop), ErrorKind::GuestProtocol);
    assert!(error.message().contains("address 2"), "{error}");
}

#[test]
fn a_view_of_another_store_is_refused() {
    let engine = paranoid();
    let mut store = Store::new(&engine, Vec::new());
    let memory = memory(&mut store);
    let mut other = Store::new(&engine, Vec::<u8>::new());
    fails(memory.data(&other).map(drop), ErrorKind::StaleHandle);
    fails(memory.slice(&other, 0..1).map(drop), ErrorKind::StaleHandle);
    fails(memory.data_and_store(&mut other).map(drop), ErrorKind::StaleHandle);
    fails(memory.slice_mut(&mut other, 0..1).map(drop), ErrorKind::StaleHandle);
}

/// The engine is paranoid: a write that was not marked aborts.
#[test]
fn what_a_mutable_view_hands_out_is_undone() {
    let engine = one_slot();
    let mut linker = Linker::<(u64, u64)>::new(&engine);
    linker
        .func_wrap("host", "scribble", |mut caller: Caller<'_, (u64, u64)>| {
            let memory = caller.memory("memory").unwrap();
            let (start, end) = *caller.data();
            memory.slice_mut(&mut caller, start..end).unwrap().fill(0xaa);
        })
        .unwrap();
    let text = r#"(module (import "host" "scribble" (func $scribble)) (memory (export "memory") 2)
        (data (i32.const 1000) "image") (func (export "f") (call $scribble)))"#;
    let pre = linker.instantiate_pre(&module(&engine, text)).unwrap();
    let f = pre.export::<(), ()>("f").unwrap();
    let memory = pre.memory("memory").unwrap();
    for (start, end) in
        [(0, 1), (255, 257), (256, 512), (990, 1010), (4095, 4097), (0, 2 * PAGE), (2 * PAGE - 1, 2 * PAGE)]
    {
        pre.call((start, end), &f, ()).unwrap();
        let instance = pre.fresh((0, 0)).unwrap();
        let mut bytes = vec![0; 2 * PAGE as usize];
        instance.memory_read(&memory, 0, &mut bytes).unwrap();
        assert_eq!(&bytes[1000..1005], b"image");
        bytes[1000..1005].fill(0);
        assert!(bytes.iter().all(|&byte| byte == 0), "after {start}..{end}");
    }
}
