//! The functions that Python calls: [`Token`] (`instar.Func`, a fresh instance per call), [`Method`] (a function of an
//! exports class) and [`Bound`] (`instar.ExportFunc`, the same with its instance).
//!
//! All three are entered by vectorcall: arguments go from Python's stack into slots, and nothing is allocated but the
//! result. `instance.exports.name(…)` makes no object for the method: an interpreter that sees a method descriptor calls
//! it with the object as the first argument.

use std::ffi::c_int;
use std::sync::Arc;

use instar::ExportFunc;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{Borrowed, ffi};

use crate::data::Data;
use crate::error::OrRaise;
use crate::exports::ExportsState;
use crate::gil;
use crate::handle::Handle;
use crate::module::val_types;
use crate::object::{Arguments, Class, Contents, Description, Table, contents, enter, none_to_null};
use crate::reference::{Ref, Visit};
use crate::value::{Kind, Signature, with_slots};

/// An exported function, prepared for calls.
pub struct Callee {
    pub export: ExportFunc,
    pub signature: Signature,
    pub release_gil: bool,
}

impl Callee {
    pub fn new(name: &str, export: ExportFunc, release_gil: bool) -> Arc<Self> {
        let signature = Signature::of(name, export.ty());
        Arc::new(Callee { export, signature, release_gil })
    }

    /// Calls it in a fresh instance of `pre`. The result is a new reference.
    ///
    /// # Safety
    ///
    /// `args` must be live objects; `data` one too, or null; both until the call returns.
    #[inline]
    pub unsafe fn call_fresh(
        &self,
        py: Python<'_>,
        pre: &instar::InstancePre<Data>,
        args: &[*mut ffi::PyObject],
        data: *mut ffi::PyObject,
    ) -> PyResult<*mut ffi::PyObject> {
        with_slots(self.signature.slots(), |slots| {
            // SAFETY: promised by the caller.
            unsafe { self.signature.encode(py, args, slots) }?;
            self.run_fresh(py, pre, slots, data)?;
            self.signature.decode(py, slots)
        })
    }

    #[inline]
    fn run_fresh(
        &self,
        py: Python<'_>,
        pre: &instar::InstancePre<Data>,
        slots: &mut [u64],
        data: *mut ffi::PyObject,
    ) -> PyResult<()> {
        let data = Data::borrow_ptr(data);
        gil::run(py, self.release_gil, || pre.call_raw(data, &self.export, slots)).or_raise(py)
    }

    /// Calls it in an instance. The result is a new reference.
    ///
    /// # Safety
    ///
    /// `args` must be live objects until the call returns.
    #[inline]
    unsafe fn call_in(
        &self,
        py: Python<'_>,
        instance: &Handle,
        args: &[*mut ffi::PyObject],
    ) -> PyResult<*mut ffi::PyObject> {
        with_slots(self.signature.slots(), |slots| {
            // SAFETY: promised by the caller.
            unsafe { self.signature.encode(py, args, slots) }?;
            self.run_in(py, instance, slots)?;
            self.signature.decode(py, slots)
        })
    }

    #[inline]
    fn run_in(&self, py: Python<'_>, instance: &Handle, slots: &mut [u64]) -> PyResult<()> {
        gil::run(py, self.release_gil, || instance.enter()?.call_raw(&self.export, slots)).or_raise(py)
    }
}

/// `instar.Func`
pub struct Token {
    pub callee: Arc<Callee>,
    pub native: instar::InstancePre<Data>,
    /// The `InstancePre`, which keeps the host functions.
    pub pre: Ref,
}

/// What stands in an exports class under a function's name.
pub struct Method {
    callee: Arc<Callee>,
    /// The exports class, made by a `Class<ExportsState>`: its objects are the only ones that this may be called with.
    owner: Ref,
}

/// `instar.ExportFunc`
pub struct BoundExport {
    callee: Arc<Callee>,
    instance: Handle,
    /// The exports object, which keeps the instance open.
    exports: Ref,
}

/// What all three have.
trait Callable: Contents {
    fn callee(&self) -> &Callee;
    const CLASS: &'static str;
}

impl Callable for Token {
    fn callee(&self) -> &Callee {
        &self.callee
    }
    const CLASS: &'static str = "Func";
}

impl Callable for Method {
    fn callee(&self) -> &Callee {
        &self.callee
    }
    const CLASS: &'static str = "ExportMethod";
}

impl Callable for BoundExport {
    fn callee(&self) -> &Callee {
        &self.callee
    }
    const CLASS: &'static str = "ExportFunc";
}

// No `clear` below drops anything: every cycle through these objects also leads through something that does, a host table,
// an instance's `data`, or a class.

impl Contents for Token {
    fn traverse(&self, visit: Visit) -> c_int {
        visit.all(&[&self.pre])
    }
    fn clear(&self, _: Python<'_>) {}
}

impl Contents for Method {
    fn traverse(&self, visit: Visit) -> c_int {
        visit.all(&[&self.owner])
    }
    fn clear(&self, _: Python<'_>) {}
}

impl Contents for BoundExport {
    fn traverse(&self, visit: Visit) -> c_int {
        visit.all(&[&self.exports])
    }
    fn clear(&self, _: Python<'_>) {}
}

impl Token {
    pub fn object<'py>(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        token_class(py)?.object(py, Some(call_token), self)
    }
}

impl Method {
    /// # Safety
    ///
    /// `owner` must be made by a `Class<ExportsState>`.
    pub unsafe fn object<'py>(callee: Arc<Callee>, owner: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
        let method = Method { callee, owner: Ref::new(owner.clone().into_any()) };
        method_class(owner.py())?.object(owner.py(), Some(call_method), method)
    }
}

/// The entry of `instar.Func`.
unsafe extern "C" fn call_token(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is the entry of tokens only, and Python keeps the callable during the call.
        let token = unsafe { contents::<Token>(callable) };
        // SAFETY: these are what Python called us with.
        let arguments = unsafe { Arguments::new(args, nargsf, names) };
        let data = none_to_null(arguments.keyword(py, &token.callee.signature.name, Some(c"data"))?);
        // SAFETY: Python keeps the arguments during the call.
        unsafe { token.callee.call_fresh(py, &token.native, arguments.positional(), data) }
    })
}

/// The entry of a method: its first argument is the exports object.
unsafe extern "C" fn call_method(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is the entry of methods only, and Python keeps the callable during the call.
        let method = unsafe { contents::<Method>(callable) };
        // SAFETY: these are what Python called us with.
        let arguments = unsafe { Arguments::new(args, nargsf, names) };
        arguments.keyword(py, &method.callee.signature.name, None)?;
        let Some((&exports, args)) = arguments.positional().split_first() else {
            return Err(not_our_exports(method));
        };
        // SAFETY: Python keeps the argument during the call.
        if unsafe { ffi::Py_TYPE(exports) }.cast() != method.owner.as_ptr() {
            return Err(not_our_exports(method));
        }
        // SAFETY: an object of the owner, which is a class of `ExportsState`.
        let state = unsafe { contents::<ExportsState>(exports) };
        // SAFETY: Python keeps the arguments during the call.
        unsafe { method.callee.call_in(py, state.instance(), args) }
    })
}

/// The entry of `instar.ExportFunc`.
unsafe extern "C" fn call_bound(
    callable: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargsf: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is the entry of bound exports only, and Python keeps the callable during the call.
        let bound = unsafe { contents::<BoundExport>(callable) };
        // SAFETY: these are what Python called us with.
        let arguments = unsafe { Arguments::new(args, nargsf, names) };
        arguments.keyword(py, &bound.callee.signature.name, None)?;
        // SAFETY: Python keeps the arguments during the call.
        unsafe { bound.callee.call_in(py, &bound.instance, arguments.positional()) }
    })
}

#[cold]
fn not_our_exports(method: &Method) -> PyErr {
    let name = &method.callee.signature.name;
    PyTypeError::new_err(format!("{name}() must be called on the exports of an instance that it belongs to"))
}

/// `Method.__get__`
unsafe extern "C" fn bind_method(
    method: *mut ffi::PyObject,
    object: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a slot of methods only.
        let this = unsafe { contents::<Method>(method) };
        if object.is_null() {
            // SAFETY: Python gives a live object.
            return Ok(unsafe { Borrowed::from_ptr(py, method) }.to_owned().into_ptr());
        }
        // SAFETY: Python gives a live object.
        if unsafe { ffi::Py_TYPE(object) }.cast() != this.owner.as_ptr() {
            return Err(not_our_exports(this));
        }
        // SAFETY: an object of the owner, which is a class of `ExportsState`.
        let instance = unsafe { contents::<ExportsState>(object) }.instance().clone();
        // SAFETY: Python gives a live object.
        let exports = Ref::new(unsafe { Borrowed::from_ptr(py, object) }.to_owned());
        let bound = BoundExport { callee: this.callee.clone(), instance, exports };
        Ok(bound_class(py)?.object(py, Some(call_bound), bound)?.into_ptr())
    })
}

/// `Func.call_raw(slots, *, data=None)`
unsafe extern "C" fn call_token_raw(
    token: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    count: ffi::Py_ssize_t,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a method of tokens only.
        let token = unsafe { contents::<Token>(token) };
        // SAFETY: these are what Python called us with.
        let arguments = unsafe { Arguments::new(args, count as usize, names) };
        let data = none_to_null(arguments.keyword(py, "call_raw", Some(c"data"))?);
        let &[slots] = arguments.positional() else {
            return Err(PyTypeError::new_err("call_raw() takes one argument, a sequence of ints"));
        };
        // SAFETY: Python keeps the argument during the call.
        let values = unsafe { Borrowed::from_ptr(py, slots) };
        let callee = &token.callee;
        with_slots(callee.signature.slots(), |slots| {
            callee.signature.encode_raw(&values, slots)?;
            callee.run_fresh(py, &token.native, slots, data)?;
            Ok(callee.signature.raw_results(py, slots)?.into_ptr())
        })
    })
}

/// `ExportFunc.call_raw(slots)`
unsafe extern "C" fn call_bound_raw(bound: *mut ffi::PyObject, slots: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a method of bound exports only.
        let bound = unsafe { contents::<BoundExport>(bound) };
        // SAFETY: Python keeps the argument during the call.
        let values = unsafe { Borrowed::from_ptr(py, slots) };
        let callee = &bound.callee;
        with_slots(callee.signature.slots(), |slots| {
            callee.signature.encode_raw(&values, slots)?;
            callee.run_in(py, &bound.instance, slots)?;
            Ok(callee.signature.raw_results(py, slots)?.into_ptr())
        })
    })
}

/// `__name__`
unsafe extern "C" fn name<C: Callable>(object: *mut ffi::PyObject, _: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a property of a class of `C`.
        let callable = unsafe { contents::<C>(object) };
        Ok(pyo3::types::PyString::new(py, &callable.callee().signature.name).into_ptr())
    })
}

/// `params`
unsafe extern "C" fn params<C: Callable>(object: *mut ffi::PyObject, _: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    // SAFETY: this is a property of a class of `C`.
    let callable = unsafe { contents::<C>(object) };
    kinds(&callable.callee().signature.params)
}

/// `results`
unsafe extern "C" fn results<C: Callable>(object: *mut ffi::PyObject, _: *mut std::ffi::c_void) -> *mut ffi::PyObject {
    // SAFETY: this is a property of a class of `C`.
    let callable = unsafe { contents::<C>(object) };
    kinds(&callable.callee().signature.results)
}

fn kinds(kinds: &[Kind]) -> *mut ffi::PyObject {
    enter(|py| Ok(val_types(py, kinds)?.into_ptr()))
}

/// `__repr__`
unsafe extern "C" fn repr<C: Callable>(object: *mut ffi::PyObject) -> *mut ffi::PyObject {
    enter(|py| {
        // SAFETY: this is a slot of a class of `C`.
        let callable = unsafe { contents::<C>(object) };
        let text = format!("<instar.{} {}>", C::CLASS, callable.callee().signature);
        Ok(pyo3::types::PyString::new(py, &text).into_ptr())
    })
}

const fn property(name: &'static std::ffi::CStr, get: ffi::getter, doc: &'static std::ffi::CStr) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: name.as_ptr(),
        get: Some(get),
        set: None,
        doc: doc.as_ptr(),
        closure: std::ptr::null_mut(),
    }
}

const fn no_property() -> ffi::PyGetSetDef {
    ffi::PyGetSetDef {
        name: std::ptr::null(),
        get: None,
        set: None,
        doc: std::ptr::null(),
        closure: std::ptr::null_mut(),
    }
}

macro_rules! properties {
    ($contents:ty) => {
        &Table(
            const {
                &[
                    property(c"__name__", name::<$contents>, c"The name of the export."),
                    property(c"params", params::<$contents>, c"The types of the parameters, a tuple of ValType."),
                    property(c"results", results::<$contents>, c"The types of the results, a tuple of ValType."),
                    no_property(),
                ]
            },
        )
    };
}

static NO_METHODS: Table<ffi::PyMethodDef> = Table(&[ffi::PyMethodDef::zeroed()]);

static TOKEN_METHODS: Table<ffi::PyMethodDef> = Table(&[
    ffi::PyMethodDef {
        ml_name: c"call_raw".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call_token_raw },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: c"call_raw($self, slots, /, *, data=None)\n--\n\n\
            Calls with bit patterns: one unsigned int of 64 bits for each argument and result, two for a v128, its low half \
            first."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

static BOUND_METHODS: Table<ffi::PyMethodDef> = Table(&[
    ffi::PyMethodDef {
        ml_name: c"call_raw".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: call_bound_raw },
        ml_flags: ffi::METH_O,
        ml_doc: c"call_raw($self, slots, /)\n--\n\n\
            Calls with bit patterns: one unsigned int of 64 bits for each argument and result, two for a v128, its low half \
            first."
            .as_ptr(),
    },
    ffi::PyMethodDef::zeroed(),
]);

pub fn token_class(py: Python<'_>) -> PyResult<&Class<Token>> {
    static CLASS: PyOnceLock<Class<Token>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || {
        let description = Description {
            name: c"instar.Func",
            doc: c"An exported function. Each call runs in a fresh instance, in one native crossing.",
            is_method: false,
            immutable: true,
            vectorcall: true,
            methods: &TOKEN_METHODS,
            properties: properties!(Token),
            slots: &[(ffi::Py_tp_repr, repr::<Token> as ffi::reprfunc as _)],
        };
        // SAFETY: each function has its place's type and treats its object as a `Token`.
        unsafe { Class::new(py, &description) }
    })
}

pub fn bound_class(py: Python<'_>) -> PyResult<&Class<BoundExport>> {
    static CLASS: PyOnceLock<Class<BoundExport>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || {
        let description = Description {
            name: c"instar.ExportFunc",
            doc: c"An exported function of one instance.",
            is_method: false,
            immutable: true,
            vectorcall: true,
            methods: &BOUND_METHODS,
            properties: properties!(BoundExport),
            slots: &[(ffi::Py_tp_repr, repr::<BoundExport> as ffi::reprfunc as _)],
        };
        // SAFETY: each function has its place's type and treats its object as a `BoundExport`.
        unsafe { Class::new(py, &description) }
    })
}

pub fn method_class(py: Python<'_>) -> PyResult<&Class<Method>> {
    static CLASS: PyOnceLock<Class<Method>> = PyOnceLock::new();
    CLASS.get_or_try_init(py, || {
        let description = Description {
            name: c"instar.ExportMethod",
            doc: c"A function of a module, as it stands in the class of its instances' exports.",
            is_method: true,
            immutable: true,
            vectorcall: true,
            methods: &NO_METHODS,
            properties: properties!(Method),
            slots: &[
                (ffi::Py_tp_repr, repr::<Method> as ffi::reprfunc as _),
                (ffi::Py_tp_descr_get, bind_method as ffi::descrgetfunc as _),
            ],
        };
        // SAFETY: each function has its place's type and treats its object as a `Method`.
        unsafe { Class::new(py, &description) }
    })
}
