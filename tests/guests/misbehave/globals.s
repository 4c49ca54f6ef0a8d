# Two globals of the module itself: C keeps its variables in linear memory, and a reset must undo
# more than that.

	.globaltype	secret_word, i64
	.globaltype	secret_number, i32

	.text
	.globl	secret_global_word
	.type	secret_global_word,@function
secret_global_word:
	.functype	secret_global_word () -> (i64)
	global.get	secret_word
	end_function

	.globl	secret_global_number
	.type	secret_global_number,@function
secret_global_number:
	.functype	secret_global_number () -> (i32)
	global.get	secret_number
	end_function

	.globl	secret_global_set
	.type	secret_global_set,@function
secret_global_set:
	.functype	secret_global_set (i64, i32) -> ()
	local.get	0
	global.set	secret_word
	local.get	1
	global.set	secret_number
	end_function

	.globl	secret_word
secret_word:
	.globl	secret_number
secret_number:
