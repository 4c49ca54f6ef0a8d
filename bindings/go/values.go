package instar

import (
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// ValueType is the type of a parameter or result.
type ValueType byte

// The value types.
const (
	I32       ValueType = 'i'
	I64       ValueType = 'I'
	F32       ValueType = 'f'
	F64       ValueType = 'F'
	V128      ValueType = 'v'
	FuncRef   ValueType = 'r'
	ExternRef ValueType = 'e'
)

// String gives the name that the specification uses.
func (t ValueType) String() string {
	switch t {
	case I32:
		return "i32"
	case I64:
		return "i64"
	case F32:
		return "f32"
	case F64:
		return "f64"
	case V128:
		return "v128"
	case FuncRef:
		return "funcref"
	case ExternRef:
		return "externref"
	default:
		return fmt.Sprintf("ValueType(%d)", byte(t))
	}
}

// Signature is the type of a function.
type Signature struct {
	Params, Results []ValueType
}

// String gives, for example, "(i32, i32) -> (i64)".
func (s Signature) String() string {
	list := func(types []ValueType) string {
		names := make([]string, len(types))
		for i, t := range types {
			names[i] = t.String()
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	return list(s.Params) + " -> " + list(s.Results)
}

// slots is how many slots a call needs: the larger of what parameters and what results take, two for a v128, one for others.
func (s Signature) slots() int {
	return max(width(s.Params), width(s.Results))
}

// width is how many slots values of these types take.
func width(types []ValueType) int {
	slots := len(types)
	for _, t := range types {
		if t == V128 {
			slots++
		}
	}
	return slots
}

// checkValues says whether Go values stand for all parameters and results. The error tells what to do if not.
func (s Signature) checkValues(name string) error {
	instead := ""
	for _, types := range [2][]ValueType{s.Params, s.Results} {
		for _, t := range types {
			switch t {
			case I32, I64, F32, F64:
			case V128:
				if instead == "" {
					instead = "a vector is no Go value; use CallRaw, where a v128 takes two slots, its low half first"
				}
			default:
				instead = "references cannot be passed to or from Go; export a function that takes and gives numbers"
			}
		}
	}
	if instead == "" {
		return nil
	}
	return &Error{KindType, fmt.Sprintf("`%s` has the type %v: %s", name, s, instead)}
}

// text is the form that the native side understands: "ii:I".
func (s Signature) text() string {
	return string(s.Params) + ":" + string(s.Results)
}

func parseSignature(text string) Signature {
	params, results, _ := strings.Cut(text, ":")
	return Signature{[]ValueType(params), []ValueType(results)}
}

// Value is what typed functions take and give. int32 and uint32 stand for i32, int64 and uint64 for i64.
type Value interface {
	int32 | uint32 | int64 | uint64 | float32 | float64
}

// Void stands for no result.
type Void struct{}

// Result is what a typed function gives: a [Value], or [Void].
type Result interface {
	Value | Void
}

// typeOf is the value type of T; 0 for Void.
func typeOf[T Result]() ValueType {
	var zero T
	switch any(zero).(type) {
	case int32, uint32:
		return I32
	case int64, uint64:
		return I64
	case float32:
		return F32
	case float64:
		return F64
	default:
		return 0
	}
}

// resultsOf is the list of result types of R.
func resultsOf[R Result]() []ValueType {
	if t := typeOf[R](); t != 0 {
		return []ValueType{t}
	}
	return nil
}

// toSlot gives the value's bits. Its size is a constant for each T, so that one line of this remains.
func toSlot[T Result](value T) uint64 {
	switch unsafe.Sizeof(value) {
	case 4:
		return uint64(*(*uint32)(unsafe.Pointer(&value)))
	case 8:
		return *(*uint64)(unsafe.Pointer(&value))
	default:
		return 0
	}
}

// fromSlot gives the value with these bits.
func fromSlot[T Result](slot uint64) (value T) {
	switch unsafe.Sizeof(value) {
	case 4:
		*(*uint32)(unsafe.Pointer(&value)) = uint32(slot)
	case 8:
		*(*uint64)(unsafe.Pointer(&value)) = slot
	}
	return value
}

// F32FromSlot gives the f32 in a slot.
func F32FromSlot(slot uint64) float32 { return math.Float32frombits(uint32(slot)) }

// F32ToSlot gives the slot of an f32.
func F32ToSlot(value float32) uint64 { return uint64(math.Float32bits(value)) }

// F64FromSlot gives the f64 in a slot.
func F64FromSlot(slot uint64) float64 { return math.Float64frombits(slot) }

// F64ToSlot gives the slot of an f64.
func F64ToSlot(value float64) uint64 { return math.Float64bits(value) }

// encode turns Go values into slots. Nothing is coerced.
func encode(signature Signature, args []any, slots []uint64) error {
	if len(args) != len(signature.Params) {
		return &Error{KindType, fmt.Sprintf("the function takes %d arguments, got %d: its type is %v", len(signature.Params), len(args), signature)}
	}
	for i, arg := range args {
		var have ValueType
		switch value := arg.(type) {
		case int32:
			have, slots[i] = I32, uint64(uint32(value))
		case uint32:
			have, slots[i] = I32, uint64(value)
		case int64:
			have, slots[i] = I64, uint64(value)
		case uint64:
			have, slots[i] = I64, value
		case float32:
			have, slots[i] = F32, F32ToSlot(value)
		case float64:
			have, slots[i] = F64, F64ToSlot(value)
		}
		if want := signature.Params[i]; have != want {
			return &Error{KindType, fmt.Sprintf("argument %d must be %s, got %T", i, goType(want), arg)}
		}
	}
	return nil
}

// decode turns result slots into Go values: int32, int64, float32, float64.
func decode(signature Signature, slots []uint64) ([]any, error) {
	results := make([]any, len(signature.Results))
	for i, t := range signature.Results {
		switch t {
		case I32:
			results[i] = int32(slots[i])
		case I64:
			results[i] = int64(slots[i])
		case F32:
			results[i] = F32FromSlot(slots[i])
		case F64:
			results[i] = F64FromSlot(slots[i])
		default:
			return nil, &Error{KindBug, fmt.Sprintf("result %d is a %v, which is no Go value", i, t)} // checkValues comes first
		}
	}
	return results, nil
}

func goType(t ValueType) string {
	switch t {
	case I32:
		return "an int32 or uint32"
	case I64:
		return "an int64 or uint64"
	case F32:
		return "a float32"
	case F64:
		return "a float64"
	default:
		return "a " + t.String()
	}
}
