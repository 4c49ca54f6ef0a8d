// SQLite as a program and as a plugin.
//
//   _start                   reads SQL from standard input, runs it on a database in memory, prints rows as a|b|c
//   alloc(count) -> ptr      room for SQL
//   open() -> code           a new database in memory, instead of the open one if there is one
//   exec(ptr, len) -> i64    runs SQL on the open database; ptr << 32 | len of the rows, good until the next call
//   create() -> code         makes table t(id INTEGER PRIMARY KEY, name TEXT, value REAL) with an index
//   insert(n) -> code        inserts n rows in one transaction, by one prepared statement
//   select(n) -> i64         reads n rows by id; a checksum of what they hold
//   close() -> code          closes the database
//   shut_down() -> code      ends what SQLite keeps beside databases: the next `open` starts it as the first one did
//
// Codes are SQLite's: 0 is success. After an error `exec` answers with `error: ` and SQLite's message as the last line.
// None of these calls anything of WASI.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sqlite3.h"

#include "../lib/command.h"

static sqlite3 *database;
// Rows inserted since the database was opened.
static int64_t inserted;
static sqlite3_str *answer;

static int close_database(void) {
    int code = sqlite3_close(database);
    database = NULL;
    inserted = 0;
    return code;
}

static int open_database(void) {
    if (database) close_database();
    return sqlite3_open(":memory:", &database);
}

static void append_row(sqlite3_str *out, sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; i++) {
        if (i) sqlite3_str_appendchar(out, 1, '|');
        const char *text = (const char *)sqlite3_column_text(statement, i);
        if (text) sqlite3_str_append(out, text, sqlite3_column_bytes(statement, i));
    }
    sqlite3_str_appendchar(out, 1, '\n');
}

// Runs all statements of `sql` and appends their rows, or up to the first that fails.
static int run_sql(const char *sql, int len, sqlite3_str *out) {
    const char *end = sql + len;
    while (sql < end) {
        sqlite3_stmt *statement;
        int code = sqlite3_prepare_v2(database, sql, (int)(end - sql), &statement, &sql);
        if (code == SQLITE_OK && !statement) continue;
        if (code == SQLITE_OK) {
            while ((code = sqlite3_step(statement)) == SQLITE_ROW) append_row(out, statement);
            code = sqlite3_finalize(statement);
        }
        if (code != SQLITE_OK) {
            sqlite3_str_appendf(out, "error: %s\n", sqlite3_errmsg(database));
            return code;
        }
    }
    return SQLITE_OK;
}

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
    size_t len;
    char *sql = read_all(stdin, &len);
    if (!sql || open_database() != SQLITE_OK) {
        fputs("sqlite: not enough memory\n", stderr);
        return 1;
    }
    sqlite3_str *out = sqlite3_str_new(database);
    int code = run_sql(sql, (int)len, out);
    int count = sqlite3_str_length(out);
    char *text = sqlite3_str_finish(out);
    if (text) fwrite(text, 1, count, stdout);
    sqlite3_free(text);
    close_database();
    return code == SQLITE_OK ? 0 : 1;
}

#ifdef __wasm__
#include "../lib/guest.h"

GUEST_EXPORT("alloc") void *guest_alloc(u32 count) {
    return malloc(count);
}

GUEST_EXPORT("open") i32 guest_open(void) {
    return open_database();
}

GUEST_EXPORT("close") i32 guest_close(void) {
    return close_database();
}

GUEST_EXPORT("shut_down") i32 guest_shut_down(void) {
    return sqlite3_shutdown();
}

GUEST_EXPORT("exec") u64 guest_exec(const char *sql, u32 len) {
    if (answer) sqlite3_free(sqlite3_str_finish(answer));
    answer = sqlite3_str_new(NULL);
    run_sql(sql, (int)len, answer);
    return guest_answer(guest_address(sqlite3_str_value(answer)), (u32)sqlite3_str_length(answer));
}

GUEST_EXPORT("create") i32 guest_create(void) {
    return sqlite3_exec(database,
                        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);"
                        "CREATE INDEX by_name ON t(name);",
                        NULL, NULL, NULL);
}

GUEST_EXPORT("insert") i32 guest_insert(u32 count) {
    sqlite3_stmt *statement;
    int code = sqlite3_exec(database, "BEGIN", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_prepare_v2(database, "INSERT INTO t VALUES(?1, ?2, ?3)", -1, &statement, NULL);
    }
    if (code != SQLITE_OK) return code;
    for (u32 i = 0; i < count && code == SQLITE_OK; i++) {
        char name[32];
        int64_t id = ++inserted;
        sqlite3_snprintf(sizeof name, name, "name %lld", id * 7919 % 10007);
        sqlite3_bind_int64(statement, 1, id);
        sqlite3_bind_text(statement, 2, name, -1, SQLITE_TRANSIENT);
        sqlite3_bind_double(statement, 3, (double)id / 8);
        sqlite3_step(statement);
        code = sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return code == SQLITE_OK ? sqlite3_exec(database, "COMMIT", NULL, NULL, NULL) : code;
}

GUEST_EXPORT("select") i64 guest_select(u32 count) {
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v2(database, "SELECT id, name, value FROM t WHERE id = ?1", -1, &statement, NULL) != SQLITE_OK) {
        return -1;
    }
    i64 sum = 0;
    for (u32 i = 1; i <= count; i++) {
        sqlite3_bind_int64(statement, 1, i);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            sum = sum * 31 + sqlite3_column_int64(statement, 0) + sqlite3_column_text(statement, 1)[5] +
                  (i64)(sqlite3_column_double(statement, 2) * 8);
        }
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return sum;
}
#endif
