//! Rust's idiomatic call: a [`TypedExport`](instar::TypedExport), for all signatures that the cases use.

use instar::{InstancePre, Result, SharedInstance};

use crate::host::Data;

/// On what an export is called.
pub enum Target<'a> {
    /// On this instance.
    Instance(&'a SharedInstance<Data>),
    /// On a fresh one that is gone afterwards.
    Fresh(Data),
}

/// A number as a slot.
trait Number {
    const NAME: &'static str;
    fn from_slot(slot: u64) -> Self;
    fn to_slot(self) -> u64;
}

macro_rules! number {
    ($($name:ident, |$slot:ident| $from:expr, |$value:ident| $to:expr;)*) => {$(
        impl Number for $name {
            const NAME: &'static str = stringify!($name);
            fn from_slot($slot: u64) -> Self { $from }
            fn to_slot(self) -> u64 { let $value = self; $to }
        }
    )*};
}

number! {
    i32, |slot| slot as u32 as i32, |value| u64::from(value as u32);
    i64, |slot| slot as i64, |value| value as u64;
    f32, |slot| f32::from_bits(slot as u32), |value| u64::from(value.to_bits());
    f64, |slot| f64::from_bits(slot), |value| value.to_bits();
}

/// Defines `call`, with a branch for each signature.
macro_rules! signatures {
    ($($($p:ident $pv:ident)* => $($r:ident $rv:ident)*;)*) => {
        /// Calls an export as a function of these types, whatever type it has. None if the list below lacks them.
        pub fn call(
            pre: &InstancePre<Data>, target: Target<'_>, field: &str, params: &[String], results: &[String], slots: &[u64],
        ) -> Option<Result<Vec<u64>>> {
            $(
                let own_params: &[&str] = &[$(<$p as Number>::NAME),*];
                let own_results: &[&str] = &[$(<$r as Number>::NAME),*];
                if params == own_params && results == own_results {
                    let mut slots = slots.iter().copied();
                    $(let $pv = <$p as Number>::from_slot(slots.next().expect("one slot per parameter"));)*
                    let _ = slots.next();
                    let token = match pre.export::<($($p,)*), ($($r,)*)>(field) {
                        Ok(token) => token,
                        Err(error) => return Some(Err(error)),
                    };
                    let answer = match target {
                        Target::Instance(instance) => instance.enter().and_then(|mut claim| claim.call(&token, ($($pv,)*))),
                        Target::Fresh(data) => pre.call(data, &token, ($($pv,)*)),
                    };
                    return Some(answer.map(|($($rv,)*)| vec![$(Number::to_slot($rv)),*]));
                }
            )*
            None
        }
    };
}

signatures! {
    => ;
    => i32 a;
    => i64 a;
    => f32 a;
    => f64 a;
    => i32 a i64 b f32 c f64 d;
    i32 p => ;
    i32 p => i32 a;
    i32 p => i64 a;
    i32 p => f32 a;
    i32 p => i32 a i32 b i32 c i32 d i32 e i32 f i32 g i32 h i32 i i32 j;
    i64 p => i32 a;
    i64 p => i64 a;
    i64 p => f64 a;
    f32 p => i32 a;
    f32 p => f32 a;
    f64 p => i64 a;
    f64 p => f64 a;
    i32 p i32 q => ;
    i32 p i32 q => i32 a;
    i32 p i64 q => ;
    i32 p i64 q => i32 a;
    i32 p i64 q => i64 a i32 b;
    i32 p f32 q => ;
    i32 p f64 q => ;
    i64 p i32 q => ;
    i64 p i64 q => ;
    i64 p i64 q => i64 a;
    f32 p f32 q => f32 a;
    f64 p f64 q => f64 a;
    i32 p i32 q i32 r => ;
    i32 p i32 q i32 r => i32 a;
    i32 p i64 q i32 r => ;
    i64 p i32 q i32 r => ;
    i32 p i64 q f32 r f64 s => ;
    i32 p i64 q f32 r f64 s => i32 a i64 b f32 c f64 d;
    i32 p i64 q f32 r f64 s i32 t i64 u f32 v f64 w i32 x i64 y f32 z f64 pp i32 qq i64 rr f32 ss f64 tt => i64 a;
}
