// Lua as a program and as a plugin.
//
//   _start                   reads a script from standard input and runs it
//   alloc(count) -> ptr      room for a script
//   run(ptr, len) -> i64     runs a script in a fresh Lua state; ptr << 32 | len of what it printed
//
// `run` opens the libraries that need no system, calls nothing of WASI, and keeps nothing but the text of its answer, which
// is good until the next call. An error in a script that was given to it traps.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

#include "../lib/command.h"

// Whether output goes to `printed` rather than to standard output, and errors trap.
static int embedded;

static struct {
    char *at;
    size_t len, capacity;
} printed;

static _Noreturn void out_of_memory(void) {
    if (embedded) __builtin_trap();
    fputs("lua: not enough memory\n", stderr);
    exit(1);
}

void guest_write(const char *text, size_t len) {
    if (!embedded) {
        fwrite(text, 1, len, stdout);
        return;
    }
    if (printed.capacity - printed.len < len) {
        size_t capacity = 2 * (printed.len + len);
        char *moved = realloc(printed.at, capacity);
        if (!moved) out_of_memory();
        printed.at = moved;
        printed.capacity = capacity;
    }
    memcpy(printed.at + printed.len, text, len);
    printed.len += len;
}

// Where every error of Lua ends.
_Noreturn void guest_throw(lua_State *L, int status) {
    if (embedded) __builtin_trap();
    if (status == LUA_ERRMEM) out_of_memory();
    fflush(stdout);
    if (status == LUA_YIELD) {
        fputs("lua: coroutines cannot yield in this build\n", stderr);
    } else {
        const char *message = lua_tostring(L, -1);
        fprintf(stderr, "lua: %s\n", message ? message : "(error object is not a string)");
    }
    exit(1);
}

static void run_script(const luaL_Reg *libraries, const char *script, size_t len) {
    lua_State *L = luaL_newstate();
    if (!L) out_of_memory();
    for (; libraries->func; libraries++) {
        luaL_requiref(L, libraries->name, libraries->func, 1);
        lua_pop(L, 1);
    }
    if (luaL_loadbufferx(L, script, len, "=script", "t") != LUA_OK) guest_throw(L, LUA_ERRSYNTAX);
    // Protected in name: without a caller that protects, Lua would end the program in its own way.
    lua_pcall(L, 0, 0, 0);
    lua_close(L);
}

#define WITHOUT_SYSTEM                                                                                                 \
    {LUA_GNAME, luaopen_base}, {LUA_TABLIBNAME, luaopen_table}, {LUA_STRLIBNAME, luaopen_string},                      \
        {LUA_MATHLIBNAME, luaopen_math}, {LUA_UTF8LIBNAME, luaopen_utf8}

static char *read_all(FILE *file, size_t *len) {
    size_t capacity = 1 << 16;
    char *text = malloc(capacity);
    *len = 0;
    while (text) {
        *len += fread(text + *len, 1, capacity - *len, file);
        if (*len < capacity) break;
        text = realloc(text, capacity *= 2);
    }
    return text;
}

int command_main(void) {
    static const luaL_Reg libraries[] = {
        WITHOUT_SYSTEM, {LUA_OSLIBNAME, luaopen_os}, {LUA_IOLIBNAME, luaopen_io}, {NULL, NULL}};
    size_t len;
    char *script = read_all(stdin, &len);
    if (!script) out_of_memory();
    run_script(libraries, script, len);
    free(script);
    return 0;
}

#ifdef __wasm__
#include "../lib/guest.h"

GUEST_EXPORT("alloc") void *guest_alloc(u32 count) {
    return malloc(count);
}

// The seed of math.random. What else asks for the time asks clock_gettime or means this constant.
time_t time(time_t *at) {
    if (at) *at = 0;
    return 0;
}

// WASI has no temporary files.
FILE *tmpfile(void) {
    errno = ENOSYS;
    return NULL;
}

GUEST_EXPORT("run") u64 guest_run(const char *script, u32 len) {
    static const luaL_Reg libraries[] = {WITHOUT_SYSTEM, {NULL, NULL}};
    embedded = 1;
    printed.len = 0;
    run_script(libraries, script, len);
    return guest_answer(guest_address(printed.at), (u32)printed.len);
}
#endif
