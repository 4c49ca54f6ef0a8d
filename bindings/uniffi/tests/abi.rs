//! The exported functions, used as a foreign language uses them.

use instar::ErrorKind;
use instar_ffi::{call::*, caller::*, engine::*, errors::*, instance::*, linker::*, module::*, pre::*};
use std::sync::atomic::{AtomicU64, Ordering};

const GUEST: &str = r#"
(module
  (import "env" "host" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $next (mut i32) (i32.const 1024))
  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
  (func (export "fail") unreachable)
  (func (export "call_host") (param i32) (result i32) local.get 0 call $host)
  (func (export "alloc") (param i32) (result i32)
    global.get $next
    global.get $next local.get 0 i32.add global.set $next)
  (func (export "echo") (param i32 i32) (result i64)
    local.get 0 i64.extend_i32_u i64.const 32 i64.shl
    local.get 1 i64.extend_i32_u i64.or))
"#;

fn out(f: impl FnOnce(u64) -> u64) -> Result<u64, Failed> {
    let mut value = 0u64;
    match f(&raw mut value as u64) {
        0 => Ok(value),
        err => Err(Failed::take(err)),
    }
}

fn done(err: u64) -> Result<(), Failed> {
    if err == 0 { Ok(()) } else { Err(Failed::take(err)) }
}

#[derive(Debug, PartialEq)]
struct Failed {
    kind: u32,
    trap: u32,
    token: u64,
    message: String,
}

impl Failed {
    fn take(err: u64) -> Failed {
        let mut message = vec![0; error_message(err, 0, 0) as usize];
        error_message(err, message.as_mut_ptr() as u64, message.len() as u64);
        let failed = Failed {
            kind: error_kind(err),
            trap: error_trap(err),
            token: error_host_token(err),
            message: String::from_utf8(message).unwrap(),
        };
        error_free(err);
        assert_eq!(error_kind(err), 0, "a freed error is no error");
        failed
    }

    fn is(&self, kind: ErrorKind) -> bool {
        self.kind == kind.code()
    }
}

fn addr(text: &str) -> (u64, u64) {
    (text.as_ptr() as u64, text.len() as u64)
}

struct Guest {
    engine: u64,
    linker: u64,
    module: u64,
    pre: u64,
}

static RELEASED: AtomicU64 = AtomicU64::new(0);

extern "C" fn release(context: u64) {
    RELEASED.fetch_add(context, Ordering::SeqCst);
}

type Host = extern "C" fn(u64, u64, *mut u64, u32) -> u64;

fn link(linker: u64, name: &str, sig: &str, host: Host, context: u64) -> Result<(), Failed> {
    let ((m, ml), (n, nl), (s, sl)) = (addr("env"), addr(name), addr(sig));
    done(linker_func(linker, m, ml, n, nl, s, sl, host as *const () as u64, context, release as *const () as u64))
}

impl Guest {
    fn new(host: Host) -> Guest {
        let engine = out(|o| engine_new(4, 0, 0, 0, 1, o)).unwrap();
        let module = out(|o| module_new(engine, addr(GUEST).0, addr(GUEST).1, o)).unwrap();
        let linker = out(|o| linker_new(engine, o)).unwrap();
        link(linker, "host", "i:i", host, 0).unwrap();
        let pre = out(|o| linker_instantiate_pre(linker, module, o)).unwrap();
        Guest { engine, linker, module, pre }
    }

    fn func(&self, name: &str) -> u64 {
        out(|o| pre_func(self.pre, addr(name).0, addr(name).1, o)).unwrap()
    }

    fn instantiate(&self, data: u64) -> (u64, u64) {
        let (mut cell, mut id) = (0u64, 0u64);
        done(pre_instantiate(self.pre, data, &raw mut cell as u64, &raw mut id as u64)).unwrap();
        (cell, id)
    }

    fn live(&self) -> u64 {
        out(|o| engine_live_instances(self.engine, o)).unwrap()
    }
}

extern "C" fn nothing(_context: u64, _caller: u64, _slots: *mut u64, _n: u32) -> u64 {
    0
}

fn call(func: u64, cell: u64, id: u64, slots: &mut [u64]) -> Result<(), Failed> {
    done(instance_call(func, cell, id, slots.as_mut_ptr() as u64, slots.len() as u64))
}

#[test]
fn a_call_in_a_fresh_instance() {
    let guest = Guest::new(nothing);
    let mut slots = [2u64, 3];
    done(pre_call(guest.func("add"), 0, slots.as_mut_ptr() as u64, 2)).unwrap();
    assert_eq!(slots[0] as u32, 5);
    assert_eq!(guest.live(), 0);
}

#[test]
fn an_instance_lives_until_it_is_closed() {
    let guest = Guest::new(nothing);
    let add = guest.func("add");
    let (cell, id) = guest.instantiate(7);
    assert_eq!(guest.live(), 1);
    assert_eq!(out(|o| instance_data(guest.pre, cell, id, o)).unwrap(), 7);
    let mut slots = [2u64, u64::from(u32::MAX)];
    call(add, cell, id, &mut slots).unwrap();
    assert_eq!(slots[0] as u32, 1);
    done(instance_close(guest.pre, cell, id)).unwrap();
    done(instance_close(guest.pre, cell, id)).unwrap();
    assert_eq!(guest.live(), 0);
    assert!(call(add, cell, id, &mut slots).unwrap_err().is(ErrorKind::StaleHandle));
}

#[test]
fn a_closed_pre_refuses_work_but_lets_its_instances_finish() {
    let guest = Guest::new(nothing);
    let add = guest.func("add");
    let (cell, id) = guest.instantiate(0);
    pre_free(guest.pre);
    pre_free(guest.pre);
    let (mut c, mut i) = (0u64, 0u64);
    let error = done(pre_instantiate(guest.pre, 0, &raw mut c as u64, &raw mut i as u64)).unwrap_err();
    assert!(error.is(ErrorKind::StaleHandle));
    let mut slots = [1u64, 2];
    call(add, cell, id, &mut slots).unwrap();
    done(instance_close(guest.pre, cell, id)).unwrap();
    assert_eq!(guest.live(), 0);
    let error = done(instance_close(guest.pre, cell, id)).unwrap_err();
    assert!(error.is(ErrorKind::StaleHandle), "the entry is gone: {error:?}");
}

#[test]
fn an_abandoned_instance_goes_with_the_next_instantiation() {
    let guest = Guest::new(nothing);
    for _ in 0..20 {
        let (cell, id) = guest.instantiate(0);
        instance_abandon(guest.pre, cell, id);
    }
    let (cell, id) = guest.instantiate(0);
    assert_eq!(guest.live(), 1);
    done(instance_close(guest.pre, cell, id)).unwrap();
}

#[test]
fn bytes_go_to_the_buffer_or_to_a_new_one() {
    let guest = Guest::new(nothing);
    let echo = out(|o| pre_bytes_func(guest.pre, addr("echo").0, 4, o)).unwrap();
    let mut small = [0u8; 8];
    for text in ["", "short", "a longer text"] {
        let (mut ptr, mut len) = (1u64, 1u64);
        let (p, l) = addr(text);
        done(pre_call_bytes(echo, 0, p, l, small.as_mut_ptr() as u64, 8, &raw mut ptr as u64, &raw mut len as u64))
            .unwrap();
        assert_eq!(len, text.len() as u64);
        if text.len() <= 8 {
            assert_eq!((ptr, &small[..text.len()]), (0, text.as_bytes()));
        } else {
            // SAFETY: the buffer that the call gave out.
            assert_eq!(unsafe { std::slice::from_raw_parts(ptr as *const u8, len as usize) }, text.as_bytes());
            buffer_free(ptr, len);
        }
    }
}

#[test]
fn memory_is_read_and_written_within_its_bounds() {
    let guest = Guest::new(nothing);
    let memory = out(|o| pre_memory(guest.pre, addr("memory").0, 6, o)).unwrap();
    let (cell, id) = guest.instantiate(0);
    assert_eq!(out(|o| instance_memory_size(memory, cell, id, o)).unwrap(), 65536);
    done(instance_memory_write(memory, cell, id, 65530, addr("secret").0, 6)).unwrap();
    let mut bytes = [0u8; 6];
    done(instance_memory_read(memory, cell, id, 65530, bytes.as_mut_ptr() as u64, 6)).unwrap();
    assert_eq!(&bytes, b"secret");
    for at in [65531, 65536, u64::MAX] {
        let error = done(instance_memory_read(memory, cell, id, at, bytes.as_mut_ptr() as u64, 6)).unwrap_err();
        assert!(error.is(ErrorKind::OutOfBounds), "{error:?}");
    }
    assert_eq!(out(|o| instance_memory_grow(memory, cell, id, 2, o)).unwrap(), 1);
    assert_eq!(out(|o| instance_memory_size(memory, cell, id, o)).unwrap(), 3 * 65536);
    done(instance_close(guest.pre, cell, id)).unwrap();
    let (cell, id) = guest.instantiate(0);
    done(instance_memory_read(memory, cell, id, 65530, bytes.as_mut_ptr() as u64, 6)).unwrap();
    assert_eq!(bytes, [0; 6], "nothing survives");
    done(instance_close(guest.pre, cell, id)).unwrap();
}

#[test]
fn traps_and_host_errors_are_told_apart() {
    extern "C" fn by_argument(_context: u64, _caller: u64, slots: *mut u64, n: u32) -> u64 {
        assert_eq!(n, 1);
        // SAFETY: there is one slot.
        match unsafe { *slots } as u32 {
            0 => 0x1_2345,
            code => u64::from(code),
        }
    }
    let guest = Guest::new(by_argument);
    let fail = done(pre_call(guest.func("fail"), 0, 0, 0)).unwrap_err();
    assert_eq!((fail.kind, fail.trap, fail.token), (ErrorKind::Trap.code(), 1, 0));
    let call_host = guest.func("call_host");
    let host = |argument: u64| {
        let mut slots = [argument];
        done(pre_call(call_host, 0, slots.as_mut_ptr() as u64, 1)).unwrap_err()
    };
    let token = host(0);
    assert_eq!((token.kind, token.trap, token.token), (ErrorKind::Host.code(), 0, 0x1_2345));
    let trap = host(2);
    assert_eq!((trap.kind, trap.trap), (ErrorKind::Trap.code(), 2));
    assert!(host(12).is(ErrorKind::Bug));
    assert!(host(0xffff).is(ErrorKind::Bug));
}

#[test]
fn a_caller_is_good_only_in_its_own_callback() {
    static KEPT: AtomicU64 = AtomicU64::new(0);
    extern "C" fn keep(_context: u64, caller: u64, slots: *mut u64, _n: u32) -> u64 {
        KEPT.store(caller, Ordering::SeqCst);
        assert_eq!(out(|o| caller_data(caller, o)).unwrap(), 99);
        let elsewhere = std::thread::spawn(move || out(|o| caller_data(caller, o)).unwrap_err()).join().unwrap();
        assert!(elsewhere.is(ErrorKind::StaleHandle));
        // SAFETY: there is one slot.
        let depth = u64::from(unsafe { *slots } as u32);
        if depth > 0 {
            let mut inner = [depth - 1];
            done(caller_call(caller, addr("call_host").0, 9, inner.as_mut_ptr() as u64, 1)).unwrap();
            assert_eq!(u64::from(inner[0] as u32), depth - 1);
            assert_eq!(out(|o| caller_data(caller, o)).unwrap(), 99, "usable again");
        }
        0
    }
    let guest = Guest::new(keep);
    let call_host = guest.func("call_host");
    let mut slots = [3u64];
    done(pre_call(call_host, 99, slots.as_mut_ptr() as u64, 1)).unwrap();
    let stale = out(|o| caller_data(KEPT.load(Ordering::SeqCst), o)).unwrap_err();
    assert!(stale.is(ErrorKind::StaleHandle));
}

#[test]
fn an_outer_caller_is_busy_during_a_nested_call() {
    static OUTER: AtomicU64 = AtomicU64::new(0);
    extern "C" fn nest(_context: u64, caller: u64, slots: *mut u64, _n: u32) -> u64 {
        // SAFETY: there is one slot.
        if unsafe { *slots } as u32 == 1 {
            OUTER.store(caller, Ordering::SeqCst);
            let mut inner = [0u64];
            done(caller_call(caller, addr("call_host").0, 9, inner.as_mut_ptr() as u64, 1)).unwrap();
        } else {
            let error = out(|o| caller_data(OUTER.load(Ordering::SeqCst), o)).unwrap_err();
            assert!(error.is(ErrorKind::Busy), "{error:?}");
        }
        0
    }
    let guest = Guest::new(nest);
    let mut slots = [1u64];
    done(pre_call(guest.func("call_host"), 0, slots.as_mut_ptr() as u64, 1)).unwrap();
}

#[test]
fn a_caller_reads_writes_and_describes_its_instance() {
    extern "C" fn use_caller(_context: u64, caller: u64, _slots: *mut u64, _n: u32) -> u64 {
        let (memory, n) = addr("memory");
        assert_eq!(out(|o| caller_memory_size(caller, memory, n, o)).unwrap(), 65536);
        done(caller_memory_write(caller, memory, n, 4, addr("abcd").0, 4)).unwrap();
        let mut bytes = [0u8; 4];
        done(caller_memory_read(caller, memory, n, 4, bytes.as_mut_ptr() as u64, 4)).unwrap();
        assert_eq!(&bytes, b"abcd");
        let error = done(caller_memory_read(caller, memory, n, 65533, bytes.as_mut_ptr() as u64, 4)).unwrap_err();
        assert!(error.is(ErrorKind::OutOfBounds));
        let error = out(|o| caller_memory_size(caller, addr("add").0, 3, o)).unwrap_err();
        assert!(error.is(ErrorKind::MissingExport));
        let error = out(|o| caller_memory_size(caller, addr("none").0, 4, o)).unwrap_err();
        assert!(error.is(ErrorKind::MissingExport));
        assert_eq!(out(|o| caller_memory_grow(caller, memory, n, 1, o)).unwrap(), 1);
        let mut text = [0u8; 8];
        let len = out(|o| caller_func_signature(caller, addr("add").0, 3, text.as_mut_ptr() as u64, 8, o)).unwrap();
        assert_eq!(&text[..len as usize], b"ii:i");
        0
    }
    let guest = Guest::new(use_caller);
    let mut slots = [0u64];
    done(pre_call(guest.func("call_host"), 0, slots.as_mut_ptr() as u64, 1)).unwrap();
}

#[test]
fn a_vector_takes_two_slots_also_through_a_caller() {
    const GUEST: &str = r#"
        (module
          (import "env" "host" (func $host (param i32) (result i32)))
          (func (export "call_host") (param i32) (result i32) local.get 0 call $host)
          (func (export "mixed") (param i32 v128) (result v128 i32)
            (i64x2.add (local.get 1) (i64x2.splat (i64.const 1)))
            local.get 0)
          (func (export "take_object") (param externref)))
    "#;
    extern "C" fn host(_context: u64, caller: u64, _slots: *mut u64, _n: u32) -> u64 {
        let (name, len) = addr("mixed");
        let mut slots = [5u64, 10, 20];
        done(caller_call(caller, name, len, slots.as_mut_ptr() as u64, 3)).unwrap();
        assert_eq!(slots, [11, 21, 5]);
        let error = done(caller_call(caller, name, len, slots.as_mut_ptr() as u64, 2)).unwrap_err();
        assert!(error.is(ErrorKind::Type) && error.message.contains("needs 3 slots, got 2"), "{error:?}");
        let error = done(caller_call(caller, addr("take_object").0, 11, slots.as_mut_ptr() as u64, 3)).unwrap_err();
        assert!(error.is(ErrorKind::Type), "{error:?}");
        0
    }
    let engine = out(|o| engine_new(0, 0, 0, 0, 1, o)).unwrap();
    let module = out(|o| module_new(engine, addr(GUEST).0, addr(GUEST).1, o)).unwrap();
    let linker = out(|o| linker_new(engine, o)).unwrap();
    link(linker, "host", "i:i", host, 0).unwrap();
    let pre = out(|o| linker_instantiate_pre(linker, module, o)).unwrap();
    let func = |name: &str| out(|o| pre_func(pre, addr(name).0, addr(name).1, o)).unwrap();
    let mut slots = [7, u64::MAX, 1 << 63];
    done(pre_call(func("mixed"), 0, slots.as_mut_ptr() as u64, 3)).unwrap();
    assert_eq!(slots, [0, (1 << 63) + 1, 7]);
    done(pre_call(func("call_host"), 0, slots.as_mut_ptr() as u64, 1)).unwrap();
    let error = done(pre_call(func("take_object"), 0, slots.as_mut_ptr() as u64, 3)).unwrap_err();
    assert!(error.is(ErrorKind::Type), "{error:?}");
}

#[test]
fn host_functions_with_vectors_or_references_are_refused() {
    let guest = Guest::new(nothing);
    for sig in ["v:", "i:v", "r:", ":e"] {
        let error = link(guest.linker, "other", sig, nothing, 0).unwrap_err();
        assert!(error.is(ErrorKind::Type), "{error:?}");
        assert!(error.message.starts_with("the host function env.other has type "), "{error:?}");
    }
    link(guest.linker, "other", "iIfF:F", nothing, 0).unwrap();
}

#[test]
fn addresses_of_a_64_bit_memory_are_not_cut() {
    const GUEST: &str = r#"(module (memory (export "memory") i64 65537)
        (func (export "load") (param i64) (result i64) (i64.load (local.get 0))))"#;
    const AT: u64 = (1 << 32) + 8;
    let engine = out(|o| engine_new(0, 65_600, 0, 0, 0, o)).unwrap();
    let module = out(|o| module_new(engine, addr(GUEST).0, addr(GUEST).1, o)).unwrap();
    let linker = out(|o| linker_new(engine, o)).unwrap();
    let pre = out(|o| linker_instantiate_pre(linker, module, o)).unwrap();
    let load = out(|o| pre_func(pre, addr("load").0, 4, o)).unwrap();
    let memory = out(|o| pre_memory(pre, addr("memory").0, 6, o)).unwrap();
    let (mut cell, mut id) = (0u64, 0u64);
    done(pre_instantiate(pre, 0, &raw mut cell as u64, &raw mut id as u64)).unwrap();
    done(instance_memory_write(memory, cell, id, AT, addr("beyond!!").0, 8)).unwrap();
    let mut bytes = [0; 8];
    done(instance_memory_read(memory, cell, id, AT, bytes.as_mut_ptr() as u64, 8)).unwrap();
    assert_eq!(&bytes, b"beyond!!");
    for (at, value) in [(AT, u64::from_le_bytes(*b"beyond!!")), (8, 0)] {
        let mut slots = [at];
        call(load, cell, id, &mut slots).unwrap();
        assert_eq!(slots[0], value, "{at:#x}");
    }
    assert_eq!(out(|o| instance_memory_grow(memory, cell, id, 1, o)).unwrap(), 65_537);
    assert_eq!(out(|o| instance_memory_size(memory, cell, id, o)).unwrap(), 65_538 << 16);
    done(instance_close(pre, cell, id)).unwrap();
}

#[test]
fn an_instance_cannot_be_closed_by_its_own_host_function() {
    static PRE: AtomicU64 = AtomicU64::new(0);
    static CELL: AtomicU64 = AtomicU64::new(0);
    static ID: AtomicU64 = AtomicU64::new(0);
    extern "C" fn close(_context: u64, _caller: u64, slots: *mut u64, _n: u32) -> u64 {
        let pair = (PRE.load(Ordering::SeqCst), CELL.load(Ordering::SeqCst), ID.load(Ordering::SeqCst));
        let error = done(instance_close(pair.0, pair.1, pair.2)).unwrap_err();
        // SAFETY: there is one slot.
        unsafe { *slots = u64::from(error.kind) };
        0
    }
    let guest = Guest::new(close);
    let (cell, id) = guest.instantiate(0);
    PRE.store(guest.pre, Ordering::SeqCst);
    CELL.store(cell, Ordering::SeqCst);
    ID.store(id, Ordering::SeqCst);
    let mut slots = [0u64];
    call(guest.func("call_host"), cell, id, &mut slots).unwrap();
    assert_eq!(slots[0] as u32, ErrorKind::Busy.code());
    done(instance_close(guest.pre, cell, id)).unwrap();
}

#[test]
fn contexts_are_released_once_and_last() {
    let guest = Guest::new(nothing);
    let before = RELEASED.load(Ordering::SeqCst);
    let released = || RELEASED.load(Ordering::SeqCst) - before;
    let linker = out(|o| linker_new(guest.engine, o)).unwrap();
    link(linker, "host", "i:i", nothing, 1).unwrap();
    assert!(link(linker, "host", "i:i", nothing, 10).unwrap_err().is(ErrorKind::Link));
    assert!(link(linker, "other", "what", nothing, 100).unwrap_err().is(ErrorKind::Type));
    assert!(link(0, "other", ":", nothing, 1000).unwrap_err().is(ErrorKind::StaleHandle));
    assert_eq!(released(), 1110);
    let pre = out(|o| linker_instantiate_pre(linker, guest.module, o)).unwrap();
    linker_free(linker);
    assert_eq!(released(), 1110);
    pre_free(pre);
    assert_eq!(released(), 1111);
}

#[test]
fn wrong_handles_and_pointers_are_errors() {
    let guest = Guest::new(nothing);
    let kind = |result: Result<u64, Failed>| result.unwrap_err().kind;
    let stale = ErrorKind::StaleHandle.code();
    let ty = ErrorKind::Type.code();
    assert_eq!(kind(out(|o| linker_new(guest.module, o))), stale);
    assert_eq!(kind(out(|o| linker_new(0, o))), stale);
    assert_eq!(kind(out(|o| module_new(guest.engine, 0, 5, o))), ty);
    assert_eq!(kind(out(|o| module_new(guest.engine, 4096, u64::MAX, o))), ty);
    assert_eq!(Failed::take(linker_new(guest.engine, 0)).kind, ty);
    assert_eq!(kind(out(|o| pre_func(guest.pre, addr("nope").0, 4, o))), ErrorKind::MissingExport.code());
    assert_eq!(kind(out(|o| pre_func(guest.pre, addr("memory").0, 6, o))), ErrorKind::MissingExport.code());
    let add = guest.func("add");
    assert_eq!(done(pre_call(add, 0, 0, 0)).unwrap_err().kind, ty, "too few slots");
    assert_eq!(done(pre_call(add, 0, 1, 2)).unwrap_err().kind, ty, "not aligned");
    func_free(add);
    func_free(add);
    let mut slots = [0u64, 0];
    assert_eq!(done(pre_call(add, 0, slots.as_mut_ptr() as u64, 2)).unwrap_err().kind, stale);
    assert_eq!(kind(out(|o| engine_new(0, 0, 0, 0, 4, o))), ErrorKind::Config.code());
    assert_eq!(kind(out(|o| engine_new(0, u64::MAX, 0, 0, 0, o))), ErrorKind::Config.code());
}

#[test]
fn a_func_of_another_pre_is_refused() {
    let one = Guest::new(nothing);
    let other = out(|o| linker_instantiate_pre(one.linker, one.module, o)).unwrap();
    let add = out(|o| pre_func(other, addr("add").0, 3, o)).unwrap();
    let (cell, id) = one.instantiate(0);
    let mut slots = [1u64, 2];
    let error = call(add, cell, id, &mut slots).unwrap_err();
    assert!(error.is(ErrorKind::StaleHandle), "{error:?}");
    done(instance_close(one.pre, cell, id)).unwrap();
}

#[test]
fn modules_tell_what_they_import_and_export() {
    let guest = Guest::new(nothing);
    let mut buf = [0u8; 16];
    let (mut len, mut kind) = (0u64, 0u64);
    let mut exports = Vec::new();
    for index in 0.. {
        let (b, l, k) = (buf.as_mut_ptr() as u64, &raw mut len as u64, &raw mut kind as u64);
        done(module_export(guest.module, index, b, 16, l, k)).unwrap();
        if kind == 0 {
            break;
        }
        exports.push((String::from_utf8(buf[..len as usize].to_vec()).unwrap(), kind));
    }
    let expected = [("memory", 2), ("add", 1), ("fail", 1), ("call_host", 1), ("alloc", 1), ("echo", 1)];
    assert_eq!(exports, expected.map(|(name, kind)| (name.to_string(), kind)));
    let mut module_len = 0u64;
    let outs = [&raw mut len as u64, &raw mut module_len as u64, &raw mut kind as u64];
    done(module_import(guest.module, 0, buf.as_mut_ptr() as u64, 16, outs[0], outs[1], outs[2])).unwrap();
    assert_eq!((&buf[..len as usize], module_len, kind), (&b"envhost"[..], 3, 1));
    assert_eq!(out(|o| module_export_kind(guest.module, addr("memory").0, 6, o)).unwrap(), 2);
    assert_eq!(out(|o| module_export_kind(guest.module, addr("m").0, 1, o)).unwrap(), 0);
    let n = out(|o| module_func_signature(guest.module, addr("echo").0, 4, buf.as_mut_ptr() as u64, 16, o)).unwrap();
    assert_eq!(&buf[..n as usize], b"ii:I");
}

#[test]
fn threads_share_a_pre_and_one_of_them_may_close_it() {
    let guest = Guest::new(nothing);
    let add = guest.func("add");
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let mut slots = [20u64, 22];
                    match done(pre_call(add, 0, slots.as_mut_ptr() as u64, 2)) {
                        Ok(()) => assert_eq!(slots[0] as u32, 42),
                        Err(error) => {
                            assert!(error.is(ErrorKind::StaleHandle), "{error:?}");
                            break;
                        }
                    }
                    calls.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            while calls.load(Ordering::SeqCst) < 30_000 {
                std::thread::yield_now();
            }
            pre_free(guest.pre);
            func_free(add);
            linker_free(guest.linker);
            engine_free(guest.engine);
        });
    });
}
