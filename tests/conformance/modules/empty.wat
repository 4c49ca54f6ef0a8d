(module (func (export "nop")))
