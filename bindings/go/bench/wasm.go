package bench

import "encoding/binary"

// Modules in the binary format, because wazero takes no other.

// small is
//
//	(module
//	  (import "env" "host" (func $host (param i32) (result i32)))
//	  (func (export "add") (param i32 i32) (result i32) local.get 0 local.get 1 i32.add)
//	  (func (export "call_host") (param i32) (result i32) local.get 0 call $host))
var small = module(
	section(1, 2,
		0x60, 1, 0x7f, 1, 0x7f,
		0x60, 2, 0x7f, 0x7f, 1, 0x7f),
	section(2, 1, 3, 'e', 'n', 'v', 4, 'h', 'o', 's', 't', 0, 0),
	section(3, 2, 1, 0),
	section(7, 2,
		3, 'a', 'd', 'd', 0, 1,
		9, 'c', 'a', 'l', 'l', '_', 'h', 'o', 's', 't', 0, 2),
	section(10, 2,
		7, 0, 0x20, 0, 0x20, 1, 0x6a, 0x0b,
		6, 0, 0x20, 0, 0x10, 0, 0x0b),
)

// data64k is
//
//	(module
//	  (memory (export "memory") 2)
//	  (func (export "touch") (param i32) i32.const 0 local.get 0 i32.store)
//	  (data (i32.const 0) <64 KiB>))
var data64k = module(
	section(1, 1, 0x60, 1, 0x7f, 0),
	section(3, 1, 0),
	section(5, 1, 0, 2),
	section(7, 2,
		6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0,
		5, 't', 'o', 'u', 'c', 'h', 0, 0),
	section(10, 1, 9, 0, 0x41, 0, 0x20, 0, 0x36, 2, 0, 0x0b),
	data(64<<10),
)

func module(sections ...[]byte) []byte {
	wasm := []byte("\x00asm\x01\x00\x00\x00")
	for _, section := range sections {
		wasm = append(wasm, section...)
	}
	return wasm
}

// section is a section with a vector of count items.
func section(id, count byte, items ...byte) []byte {
	content := append([]byte{count}, items...)
	return append(binary.AppendUvarint([]byte{id}, uint64(len(content))), content...)
}

func data(size int) []byte {
	content := []byte{1, 0, 0x41, 0, 0x0b}
	content = binary.AppendUvarint(content, uint64(size))
	for i := range size {
		content = append(content, byte(i%255)+1)
	}
	return append(binary.AppendUvarint([]byte{11}, uint64(len(content))), content...)
}
