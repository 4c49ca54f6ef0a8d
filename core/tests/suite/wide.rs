//! Wide arithmetic: sums, differences and products of 128 bits are those of Rust's own integers.

use instar::{Config, Engine, ErrorKind, InstancePre, OptLevel};

use crate::kit::{self, Random, fails, pre};

const MODULE: &str = r#"(module
  (func (export "add") (param i64 i64 i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "sub") (param i64 i64 i64 i64) (result i64 i64)
    (i64.sub128 (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
  (func (export "mul_s") (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1)))
  (func (export "mul_u") (param i64 i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 1)))
  ;; Halves that are known, as compilers write a carry and an extension of the sign.
  (func (export "carry") (param i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (i64.const 0) (local.get 1) (i64.const 0)))
  (func (export "borrow") (param i64 i64) (result i64 i64)
    (i64.sub128 (local.get 0) (i64.const 0) (local.get 1) (i64.const 0)))
  (func (export "sign") (param i64 i64) (result i64 i64)
    (i64.add128 (local.get 0) (i64.shr_s (local.get 0) (i64.const 63)) (local.get 1) (i64.const 0)))
  ;; The 256-bit product of two numbers of 128 bits, word by word.
  (func $mac (param $a i64) (param $b i64) (param $word i64) (param $carry i64) (result i64 i64)
    (i64.add128 (i64.add128 (i64.mul_wide_u (local.get $a) (local.get $b)) (local.get $word) (i64.const 0))
      (local.get $carry) (i64.const 0)))
  (func (export "mul256") (param $a0 i64) (param $a1 i64) (param $b0 i64) (param $b1 i64) (result i64 i64 i64 i64)
    (local $w0 i64) (local $w1 i64) (local $w2 i64) (local $w3 i64) (local $carry i64)
    (i64.mul_wide_u (local.get $a0) (local.get $b0)) (local.set $carry) (local.set $w0)
    (call $mac (local.get $a0) (local.get $b1) (i64.const 0) (local.get $carry)) (local.set $w2) (local.set $w1)
    (call $mac (local.get $a1) (local.get $b0) (local.get $w1) (i64.const 0)) (local.set $carry) (local.set $w1)
    (call $mac (local.get $a1) (local.get $b1) (local.get $w2) (local.get $carry)) (local.set $w3) (local.set $w2)
    (local.get $w0) (local.get $w1) (local.get $w2) (local.get $w3))
  ;; In a loop, with halves that live across it: the n-th Fibonacci number.
  (func (export "fib") (param $n i32) (result i64 i64)
    (local $a i64) (local $ah i64) (local $b i64) (local $bh i64) (local $t i64) (local $th i64)
    (local.set $b (i64.const 1))
    (block $done
      (loop $again
        (br_if $done (i32.eqz (local.get $n)))
        (local.set $n (i32.sub (local.get $n) (i32.const 1)))
        (i64.add128 (local.get $a) (local.get $ah) (local.get $b) (local.get $bh)) (local.set $th) (local.set $t)
        (local.set $a (local.get $b)) (local.set $ah (local.get $bh))
        (local.set $b (local.get $t)) (local.set $bh (local.get $th))
        (br $again)))
    (local.get $a) (local.get $ah)))"#;

const EDGES: [u64; 10] =
    [0, 1, 2, 0xffff_ffff, 1 << 32, i64::MAX as u64 - 1, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];

fn wide(change: impl FnOnce(&mut Config)) -> Engine {
    kit::engine(|config| {
        change(config.wasm_wide_arithmetic(true));
    })
}

fn halves(n: u128) -> (u64, u64) {
    (n as u64, (n >> 64) as u64)
}

fn join(low: u64, high: u64) -> u128 {
    u128::from(low) | u128::from(high) << 64
}

fn words(low: u128, high: u128) -> (u64, u64, u64, u64) {
    (low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64)
}

fn check(pre: &InstancePre<()>, numbers: impl Iterator<Item = [u64; 4]>) {
    type Four = (u64, u64, u64, u64);
    let [add, sub] = ["add", "sub"].map(|n| pre.export::<Four, (u64, u64)>(n).unwrap());
    let mul256 = pre.export::<Four, Four>("mul256").unwrap();
    let [mul_s, mul_u, carry, borrow, sign] =
        ["mul_s", "mul_u", "carry", "borrow", "sign"].map(|n| pre.export::<(u64, u64), (u64, u64)>(n).unwrap());
    let mut instance = pre.fresh(()).unwrap();
    for [a, b, c, d] in numbers {
        let (left, right) = (join(a, b), join(c, d));
        let four = (a, b, c, d);
        assert_eq!(instance.call(&add, four).unwrap(), halves(left.wrapping_add(right)), "{left:#x} + {right:#x}");
        assert_eq!(instance.call(&sub, four).unwrap(), halves(left.wrapping_sub(right)), "{left:#x} - {right:#x}");
        let product = i128::from(a as i64) * i128::from(b as i64);
        assert_eq!(instance.call(&mul_s, (a, b)).unwrap(), halves(product as u128), "{} * {}", a as i64, b as i64);
        let (x, y) = (u128::from(a), u128::from(b));
        assert_eq!(instance.call(&mul_u, (a, b)).unwrap(), halves(x * y), "{a:#x} * {b:#x}");
        assert_eq!(instance.call(&carry, (a, b)).unwrap(), halves(x + y), "{a:#x} + {b:#x}");
        assert_eq!(instance.call(&borrow, (a, b)).unwrap(), halves(x.wrapping_sub(y)), "{a:#x} - {b:#x}");
        let signed = i128::from(a as i64).wrapping_add(y as i128);
        assert_eq!(instance.call(&sign, (a, b)).unwrap(), halves(signed as u128), "{} + {b:#x}", a as i64);

        // Schoolbook on halves of 64 bits, with Rust's integers.
        let part = |m: u64, n: u64| u128::from(m) * u128::from(n);
        let (low, middle1, middle2, high) = (part(a, c), part(a, d), part(b, c), part(b, d));
        let middle = (low >> 64) + u128::from(middle1 as u64) + u128::from(middle2 as u64);
        let lower = u128::from(low as u64) | middle << 64;
        let upper = high + (middle1 >> 64) + (middle2 >> 64) + (middle >> 64);
        assert_eq!(instance.call(&mul256, four).unwrap(), words(lower, upper), "{left:#x} * {right:#x}");
    }
}

#[test]
fn results_are_those_of_128_bit_integers() {
    for level in [OptLevel::Speed, OptLevel::None, OptLevel::SpeedAndSize] {
        let engine = wide(|config| {
            config.cranelift_opt_level(level);
        });
        let pre = pre(&engine, MODULE);
        let n = EDGES.len();
        check(&pre, (0..n.pow(4)).map(|i| [i / 1000, i / 100 % 10, i / 10 % 10, i % 10].map(|at| EDGES[at])));
        let mut random = Random::new(7);
        check(
            &pre,
            (0..20_000).map(|_| {
                // Of all magnitudes, so that carries come and stay away.
                std::array::from_fn(|_| {
                    let shift = random.below(64);
                    let value = random.next() >> shift;
                    if random.below(4) == 0 { !value } else { value }
                })
            }),
        );
    }
}

#[test]
fn halves_live_across_loops() {
    let pre = pre(&wide(|_| {}), MODULE);
    let fib = pre.export::<u32, (u64, u64)>("fib").unwrap();
    let mut instance = pre.fresh(()).unwrap();
    let (mut a, mut b) = (0u128, 1u128);
    for n in 0..400 {
        assert_eq!(instance.call(&fib, n).unwrap(), halves(a), "{n}");
        (a, b) = (b, a.wrapping_add(b));
    }
}

#[test]
fn without_the_feature_wide_arithmetic_is_refused() {
    let error = fails(instar::Module::new(&kit::paranoid(), MODULE), ErrorKind::Unsupported);
    assert!(error.message().contains("wide arithmetic"), "{error}");
}
