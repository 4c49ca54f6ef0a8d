;; The smallest module that can be called: what an instance costs with nothing in it.
(module
  (func (export "run")))
