// Included before each of Lua's sources: what this build of Lua does differently.
//
// * Errors. Lua leaves a failed call by longjmp, which WebAssembly does not have without its exceptions. Here a protected
//   call is an ordinary one, and an error that Lua raises ends the program with Lua's message. Nothing of the interpreter
//   is otherwise touched, but scripts cannot catch errors, and coroutines cannot yield (Lua does that by an error, too).
// * Chance. Seeds are constants, so that two runs of a script are equal.
// * No process is started, no temporary file made: WASI has none.
#ifndef GUEST_LUA_CONFIG_H
#define GUEST_LUA_CONFIG_H

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The crate that brings the sources has left functions without a body for WASI.
#undef __wasi__

struct lua_State;

#define luai_jmpbuf int
#define LUAI_TRY(L, c, action) { action }
#define LUAI_THROW(L, c) guest_throw(L, (c)->status)
_Noreturn void guest_throw(struct lua_State *L, int status);

#define luai_makeseed(L) ((void)(L), 0x2545F491u)
#define l_randomizePivot() (~0u)

#define lua_writestring(text, len) guest_write(text, len)
#define lua_writeline() guest_write("\n", 1)
void guest_write(const char *text, size_t len);

#define l_system(command) ((command) == NULL ? 0 : -1)
#define LUA_TMPNAMBUFSIZE 1
#define lua_tmpnam(buffer, failed) { (void)(buffer); failed = 1; }

#endif
