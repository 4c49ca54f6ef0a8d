//! Python objects to and from the 8-byte slots that a call passes: [`Kind`] and [`Signature`].
//!
//! Nothing is coerced that Python itself would not: an `int` parameter takes what has `__index__`, a `float` parameter what
//! has `__float__` or `__index__`. Vectors and references have no Python value; slots carry vectors. Integers may be given signed or unsigned (`-1` and `2**32 - 1` are the same i32) and come
//! back signed, unless a host function's annotation says `u32` or `u64`.

use std::ffi::c_long;
use std::fmt;

use instar::{FuncType, ValType};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use pyo3::{Borrowed, ffi};

use crate::error;

/// How a slot looks in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    /// A vector or a reference, which no Python value stands for.
    NoValue(ValType),
}

impl Kind {
    pub fn of(ty: &ValType) -> Self {
        match ty {
            ValType::I32 => Kind::I32,
            ValType::I64 => Kind::I64,
            ValType::F32 => Kind::F32,
            ValType::F64 => Kind::F64,
            &other => Kind::NoValue(other),
        }
    }

    /// The kind with this letter, as `instar/_host.py` writes signatures.
    pub fn from_letter(letter: char) -> Option<Self> {
        Some(match letter {
            'i' => Kind::I32,
            'u' => Kind::U32,
            'I' => Kind::I64,
            'U' => Kind::U64,
            'f' => Kind::F32,
            'F' => Kind::F64,
            _ => return None,
        })
    }

    pub fn val_type(self) -> ValType {
        match self {
            Kind::I32 | Kind::U32 => ValType::I32,
            Kind::I64 | Kind::U64 => ValType::I64,
            Kind::F32 => ValType::F32,
            Kind::F64 => ValType::F64,
            Kind::NoValue(ty) => ty,
        }
    }

    fn has_value(self) -> bool {
        !matches!(self, Kind::NoValue(_))
    }

    fn is_reference(self) -> bool {
        self.val_type().is_reference()
    }

    /// The name of the WebAssembly type.
    pub fn name(self) -> &'static str {
        match self.val_type() {
            ValType::I32 => "i32",
            ValType::I64 => "i64",
            ValType::F32 => "f32",
            ValType::F64 => "f64",
            ValType::V128 => "v128",
            ValType::Ref(ty) if ty.is_function() => "funcref",
            ValType::Ref(_) => "externref",
        }
    }

    fn wanted(self) -> &'static str {
        match self {
            Kind::I32 | Kind::U32 | Kind::I64 | Kind::U64 => "an int",
            Kind::F32 | Kind::F64 => "a float",
            Kind::NoValue(_) => "given in slots",
        }
    }

    fn range(self) -> &'static str {
        match self {
            Kind::I32 | Kind::U32 => "-2**31 to 2**32-1",
            Kind::I64 | Kind::U64 => "-2**63 to 2**64-1",
            _ => "about -1.8e308 to 1.8e308",
        }
    }

    /// The slot's bits for a Python object.
    #[inline]
    fn encode(self, value: Borrowed<'_, '_, PyAny>) -> Result<u64, Misfit> {
        match self {
            Kind::I32 | Kind::U32 => match integer(value)? {
                Integer::Signed(n) if (-(1 << 31)..1 << 32).contains(&n) => Ok(u64::from(n as u32)),
                _ => Err(Misfit::Range),
            },
            Kind::I64 | Kind::U64 => match integer(value)? {
                Integer::Signed(n) => Ok(n as u64),
                Integer::Above => unsigned(value),
                Integer::Below => Err(Misfit::Range),
            },
            Kind::F32 => Ok(u64::from((float(value)? as f32).to_bits())),
            Kind::F64 => Ok(float(value)?.to_bits()),
            // No signature with one of these is encoded or decoded, see `Signature::needs_values`.
            Kind::NoValue(_) => Err(Misfit::Type),
        }
    }

    /// A Python object for a slot's bits: a new reference, or null with an exception set.
    #[inline]
    fn decode(self, slot: u64) -> *mut ffi::PyObject {
        match self {
            // SAFETY: callers are attached, as all of Python's constructors demand.
            Kind::I32 => unsafe { ffi::PyLong_FromLong(c_long::from(slot as i32)) },
            // SAFETY: as above.
            Kind::U32 => unsafe { ffi::PyLong_FromUnsignedLongLong(u64::from(slot as u32)) },
            // SAFETY: as above.
            Kind::I64 => unsafe { ffi::PyLong_FromLongLong(slot as i64) },
            // SAFETY: as above.
            Kind::U64 => unsafe { ffi::PyLong_FromUnsignedLongLong(slot) },
            // SAFETY: as above.
            Kind::F32 => unsafe { ffi::PyFloat_FromDouble(f64::from(f32::from_bits(slot as u32))) },
            // SAFETY: as above.
            Kind::F64 => unsafe { ffi::PyFloat_FromDouble(f64::from_bits(slot)) },
            Kind::NoValue(_) => none(),
        }
    }
}

/// Why an object does not fit a slot.
enum Misfit {
    Type,
    Range,
    /// Its own `__index__` or `__float__` raised.
    Raised(PyErr),
}

impl From<PyErr> for Misfit {
    fn from(exception: PyErr) -> Self {
        // SAFETY: the exception was raised just now by a call into Python, so this thread is attached.
        let py = unsafe { Python::assume_attached() };
        if exception.is_instance_of::<PyTypeError>(py) {
            Misfit::Type
        } else if exception.is_instance_of::<PyOverflowError>(py) {
            Misfit::Range
        } else {
            Misfit::Raised(exception)
        }
    }
}

enum Integer {
    Signed(i64),
    Above,
    Below,
}

#[inline]
fn integer(value: Borrowed<'_, '_, PyAny>) -> Result<Integer, Misfit> {
    let mut overflow = 0;
    // SAFETY: attached, as `value` shows.
    let n = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &mut overflow) };
    match overflow {
        0 if n == -1 => PyErr::take(value.py()).map_or(Ok(Integer::Signed(-1)), |exception| Err(exception.into())),
        0 => Ok(Integer::Signed(n)),
        1.. => Ok(Integer::Above),
        _ => Ok(Integer::Below),
    }
}

#[cold]
fn unsigned(value: Borrowed<'_, '_, PyAny>) -> Result<u64, Misfit> {
    // SAFETY: attached, as `value` shows; the result is a new reference or null.
    let int = unsafe { Bound::from_owned_ptr_or_err(value.py(), ffi::PyNumber_Index(value.as_ptr())) }?;
    // SAFETY: as above.
    match unsafe { ffi::PyLong_AsUnsignedLongLong(int.as_ptr()) } {
        u64::MAX => PyErr::take(value.py()).map_or(Ok(u64::MAX), |exception| Err(exception.into())),
        n => Ok(n),
    }
}

#[inline]
fn float(value: Borrowed<'_, '_, PyAny>) -> Result<f64, Misfit> {
    // SAFETY: attached, as `value` shows.
    let x = unsafe { ffi::PyFloat_AsDouble(value.as_ptr()) };
    if x == -1.0 {
        return PyErr::take(value.py()).map_or(Ok(x), |exception| Err(exception.into()));
    }
    Ok(x)
}

fn none() -> *mut ffi::PyObject {
    // SAFETY: None lives as long as the interpreter.
    let none = unsafe { ffi::Py_None() };
    // SAFETY: callers are attached.
    unsafe { ffi::Py_INCREF(none) };
    none
}

/// The name of a function and the kinds of its parameters and results.
#[derive(Clone, Debug)]
pub struct Signature {
    pub name: Box<str>,
    pub params: Box<[Kind]>,
    pub results: Box<[Kind]>,
    param_slots: usize,
    slots: usize,
    /// Whether Python values stand for all parameters and results.
    has_values: bool,
}

impl Signature {
    pub fn new(name: &str, params: Box<[Kind]>, results: Box<[Kind]>) -> Self {
        let width = |kinds: &[Kind]| kinds.iter().map(|kind| kind.val_type().slots()).sum();
        let (param_slots, result_slots): (usize, usize) = (width(&params), width(&results));
        let slots = param_slots.max(result_slots);
        let has_values = params.iter().chain(&results).all(|kind| kind.has_value());
        Signature { name: name.into(), params, results, param_slots, slots, has_values }
    }

    pub fn of(name: &str, ty: &FuncType) -> Self {
        Signature::new(name, ty.params().iter().map(Kind::of).collect(), ty.results().iter().map(Kind::of).collect())
    }

    pub fn func_type(&self) -> FuncType {
        FuncType::new(self.params.iter().map(|kind| kind.val_type()), self.results.iter().map(|kind| kind.val_type()))
    }

    /// How many slots a call needs: parameters and results share them.
    #[inline]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Fills the first slots with the arguments of a guest's function.
    ///
    /// # Safety
    ///
    /// `args` must be live objects, and this thread attached.
    #[inline]
    pub unsafe fn encode(&self, py: Python<'_>, args: &[*mut ffi::PyObject], slots: &mut [u64]) -> PyResult<()> {
        if !self.has_values {
            return Err(self.needs_values(py));
        }
        if args.len() != self.params.len() {
            return Err(self.wrong_count(py, args.len()));
        }
        for (at, (&kind, slot)) in self.params.iter().zip(slots).enumerate() {
            // SAFETY: promised by the caller.
            let value = unsafe { Borrowed::from_ptr(py, args[at]) };
            *slot = kind
                .encode(value)
                .map_err(|misfit| explain(misfit, kind, value, format_args!("{}() argument {}", self.name, at + 1)))?;
        }
        Ok(())
    }

    /// The Python result of a guest's function: `None`, the value, or a tuple. A new reference.
    #[inline]
    pub fn decode(&self, py: Python<'_>, slots: &[u64]) -> PyResult<*mut ffi::PyObject> {
        match *self.results {
            [] => Ok(none()),
            [kind] => owned(py, kind.decode(slots[0])).map(Bound::into_ptr),
            _ => Ok(tuple(py, &self.results, slots)?.into_ptr()),
        }
    }

    /// The arguments for a host function.
    pub fn decode_params<'py>(&self, py: Python<'py>, slots: &[u64]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        self.params.iter().zip(slots).map(|(kind, &slot)| owned(py, kind.decode(slot))).collect()
    }

    /// Fills the first slots with what a host function returned.
    pub fn encode_results(&self, value: &Bound<'_, PyAny>, slots: &mut [u64]) -> PyResult<()> {
        let place = |at: usize, kind: Kind, value: &Bound<'_, PyAny>, slot: &mut u64| {
            *slot = kind.encode(value.as_borrowed()).map_err(|misfit| {
                explain(
                    misfit,
                    kind,
                    value.as_borrowed(),
                    format_args!("host function {}: result {}", self.name, at + 1),
                )
            })?;
            Ok(())
        };
        match *self.results {
            [] if value.is_none() => Ok(()),
            [kind] => place(0, kind, value, &mut slots[0]),
            _ => {
                let values: Vec<Bound<'_, PyAny>> = if let Ok(tuple) = value.cast::<PyTuple>() {
                    tuple.iter().collect()
                } else if let Ok(list) = value.cast::<PyList>() {
                    list.iter().collect()
                } else {
                    return Err(self.wrong_results(value));
                };
                if self.results.is_empty() || values.len() != self.results.len() {
                    return Err(self.wrong_results(value));
                }
                for (at, (&kind, slot)) in self.results.iter().zip(slots).enumerate() {
                    place(at, kind, &values[at], slot)?;
                }
                Ok(())
            }
        }
    }

    /// Fills the slots with bit patterns. The other half is [`raw_results`](Self::raw_results).
    pub fn encode_raw(&self, args: &Bound<'_, PyAny>, slots: &mut [u64]) -> PyResult<()> {
        let py = args.py();
        if self.has_references() {
            return Err(self.needs_values(py));
        }
        let count = args.len()?;
        if count != self.param_slots {
            return Err(self.wrong_slots(py, count));
        }
        for (at, slot) in slots.iter_mut().enumerate().take(count) {
            let value = args.get_item(at)?;
            *slot = value.extract::<u64>().map_err(|exception| {
                explain(
                    exception.into(),
                    Kind::U64,
                    value.as_borrowed(),
                    format_args!("{}() slot {}", self.name, at + 1),
                )
            })?;
        }
        Ok(())
    }

    /// The results' bit patterns as a list of ints.
    pub fn raw_results<'py>(&self, py: Python<'py>, slots: &[u64]) -> PyResult<Bound<'py, PyList>> {
        let mut slots = slots.iter();
        let mut bits = Vec::with_capacity(self.slots);
        for kind in &self.results {
            let ty = kind.val_type();
            bits.extend(slots.by_ref().take(ty.slots()).map(|&slot| match ty {
                ValType::I32 | ValType::F32 => u64::from(slot as u32),
                _ => slot,
            }));
        }
        PyList::new(py, bits)
    }

    fn has_references(&self) -> bool {
        !self.has_values && self.params.iter().chain(&self.results).any(|kind| kind.is_reference())
    }

    /// The error for a function whose parameters or results are not all Python values.
    #[cold]
    fn needs_values(&self, py: Python<'_>) -> PyErr {
        let instead = match self.has_references() {
            true => "references cannot be passed to or from Python; export a function that takes and gives numbers",
            false => "a vector is no Python value; use call_raw(), where a v128 takes two slots, its low half first",
        };
        error::signature(
            py,
            format!("{}() has the type ({}) -> ({}): {instead}", self.name, List(&self.params), List(&self.results)),
        )
    }

    #[cold]
    fn wrong_slots(&self, py: Python<'_>, given: usize) -> PyErr {
        let (count, plural) = (self.param_slots, if self.param_slots == 1 { "" } else { "s" });
        let two = if count == self.params.len() { "" } else { "; a v128 takes two" };
        let kinds = List(&self.params);
        error::signature(
            py,
            format!("call_raw of {}() takes {count} slot{plural} ({kinds}{two}), got {given}", self.name),
        )
    }

    #[cold]
    fn wrong_count(&self, py: Python<'_>, given: usize) -> PyErr {
        let (count, plural) = (self.params.len(), if self.params.len() == 1 { "" } else { "s" });
        let kinds = List(&self.params);
        error::signature(py, format!("{}() takes {count} argument{plural} ({kinds}), got {given}", self.name))
    }

    #[cold]
    fn wrong_results(&self, value: &Bound<'_, PyAny>) -> PyErr {
        let (name, kinds) = (&self.name, List(&self.results));
        let message = match (self.results.len(), value.len()) {
            (0, _) => format!("host function {name} has no results, but the Python function returned {}", class(value)),
            (n, Ok(len)) => {
                format!("host function {name} must return {n} results ({kinds}), got {} of {len}", class(value))
            }
            (n, Err(_)) => format!("host function {name} must return a tuple of {n} ({kinds}), not {}", class(value)),
        };
        error::signature(value.py(), message)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({}) -> ({})", self.name, List(&self.params), List(&self.results))
    }
}

struct List<'a>(&'a [Kind]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, kind) in self.0.iter().enumerate() {
            write!(f, "{}{}", if at == 0 { "" } else { ", " }, kind.name())?;
        }
        Ok(())
    }
}

fn owned(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<Bound<'_, PyAny>> {
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(py, object) }
}

fn tuple<'py>(py: Python<'py>, kinds: &[Kind], slots: &[u64]) -> PyResult<Bound<'py, PyTuple>> {
    let values: Vec<_> =
        kinds.iter().zip(slots).map(|(kind, &slot)| owned(py, kind.decode(slot))).collect::<PyResult<_>>()?;
    PyTuple::new(py, values)
}

fn class(value: &Bound<'_, PyAny>) -> String {
    value.get_type().name().map_or_else(|_| "an object".to_owned(), |name| name.to_string())
}

#[cold]
fn explain(misfit: Misfit, kind: Kind, value: Borrowed<'_, '_, PyAny>, place: fmt::Arguments<'_>) -> PyErr {
    let py = value.py();
    match misfit {
        Misfit::Type => {
            let message = format!("{place} must be {} ({}), not {}", kind.wanted(), kind.name(), class(&value));
            error::signature(py, message)
        }
        Misfit::Range => {
            let shown = value.str().map_or_else(|_| "the int".to_owned(), |text| text.to_string());
            let (name, range) = (kind.name(), kind.range());
            error::range(py, format!("{place} is {shown}, which does not fit {name} ({range})"))
        }
        Misfit::Raised(exception) => exception,
    }
}

/// How many slots are kept on the stack; calls with more of them allocate.
const INLINE_SLOTS: usize = 8;

/// Runs `body` with `count` slots, zeroed.
#[inline]
pub fn with_slots<R>(count: usize, body: impl FnOnce(&mut [u64]) -> R) -> R {
    if count <= INLINE_SLOTS { body(&mut [0; INLINE_SLOTS]) } else { body(&mut vec![0; count]) }
}
