// The system that SQLite sees: no files, the same chance every time, and a clock that stands at the year 2000.
//
// Databases in memory need a system for nothing but these; that everything is fixed makes two runs equal.
#include <string.h>

#include "sqlite3.h"

// Milliseconds from noon of 24 November 4714 BC, where Julian days start, to midnight of 1 January 2000.
static const sqlite3_int64 NOW = 211813444800000;

static int open_file(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out_flags) {
    (void)vfs, (void)name, (void)flags, (void)out_flags;
    file->pMethods = NULL;
    return SQLITE_CANTOPEN;
}

static int delete_file(sqlite3_vfs *vfs, const char *name, int sync_folder) {
    (void)vfs, (void)name, (void)sync_folder;
    return SQLITE_IOERR_DELETE_NOENT;
}

static int access_file(sqlite3_vfs *vfs, const char *name, int flags, int *result) {
    (void)vfs, (void)name, (void)flags;
    *result = 0;
    return SQLITE_OK;
}

static int full_name(sqlite3_vfs *vfs, const char *name, int capacity, char *result) {
    (void)vfs;
    sqlite3_snprintf(capacity, result, "%s", name);
    return SQLITE_OK;
}

static int randomness(sqlite3_vfs *vfs, int count, char *bytes) {
    (void)vfs;
    unsigned state = 0x2545F491u;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        bytes[i] = (char)(state >> 24);
    }
    return count;
}

static int sleep_for(sqlite3_vfs *vfs, int microseconds) {
    (void)vfs;
    return microseconds;
}

static int current_time(sqlite3_vfs *vfs, double *days) {
    (void)vfs;
    *days = (double)NOW / 86400000.0;
    return SQLITE_OK;
}

static int current_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *time) {
    (void)vfs;
    *time = NOW;
    return SQLITE_OK;
}

static int last_error(sqlite3_vfs *vfs, int capacity, char *text) {
    (void)vfs, (void)capacity, (void)text;
    return 0;
}

int sqlite3_os_init(void) {
    static sqlite3_vfs vfs = {
        .iVersion = 2,
        .szOsFile = sizeof(sqlite3_file),
        .mxPathname = 512,
        .zName = "none",
        .xOpen = open_file,
        .xDelete = delete_file,
        .xAccess = access_file,
        .xFullPathname = full_name,
        .xRandomness = randomness,
        .xSleep = sleep_for,
        .xCurrentTime = current_time,
        .xGetLastError = last_error,
        .xCurrentTimeInt64 = current_time_ms,
    };
    return sqlite3_vfs_register(&vfs, 1);
}

int sqlite3_os_end(void) {
    return SQLITE_OK;
}
