//! Files and directories that are open.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use super::*;

const FD_SEEK: u64 = 1 << 2;
const FD_ALLOCATE: u64 = 1 << 8;
const FD_READDIR: u64 = 1 << 14;
const SET_SIZE: u64 = 1 << 22;

/// `fd_seek`: the new place.
fn seek(guest: &mut Guest, fd: u64, offset: i64, whence: u64) -> Result<u64, u32> {
    match guest.call("fd_seek", &[fd, offset as u64, whence, 0]) {
        SUCCESS => Ok(guest.u64(0)),
        errno => Err(errno),
    }
}

/// `fd_pwrite` of one vector.
fn pwrite(guest: &mut Guest, fd: u64, bytes: &[u8], offset: u64) -> Result<u32, u32> {
    guest.put(100, bytes);
    guest.put_vectors(0, &[(100, bytes.len() as u64)]);
    match guest.call("fd_pwrite", &[fd, 0, 1, offset, 64]) {
        SUCCESS => Ok(guest.u32(64)),
        errno => Err(errno),
    }
}

/// `fd_pread` of one vector.
fn pread(guest: &mut Guest, fd: u64, len: u64, offset: u64) -> Result<Vec<u8>, u32> {
    guest.put_vectors(0, &[(100, len)]);
    match guest.call("fd_pread", &[fd, 0, 1, offset, 64]) {
        SUCCESS => Ok(guest.bytes(100, u64::from(guest.u32(64)))),
        errno => Err(errno),
    }
}

#[test]
fn a_file_is_made_written_read_and_found_by_the_host() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("new", CREAT | EXCL, FD_READ | FD_WRITE).unwrap();
    assert_eq!(fd, 4);
    assert_eq!(guest.write(fd, b"hello, world"), Ok(12));
    assert_eq!(fs::read(folder.path().join("new")).unwrap(), b"hello, world");
    assert_eq!(seek(&mut guest, fd, 0, 1), Ok(12));
    assert_eq!(seek(&mut guest, fd, -5, 2), Ok(7));
    assert_eq!(guest.read(fd, 100), Ok(b"world".to_vec()));
    guest.ok("fd_tell", &[fd, 0]);
    assert_eq!(guest.u64(0), 12);
    assert_eq!(seek(&mut guest, fd, 7, 0), Ok(7));
    assert_eq!(guest.write(fd, b"W"), Ok(1));
    assert_eq!(pwrite(&mut guest, fd, b"J", 0), Ok(1));
    assert_eq!(pread(&mut guest, fd, 5, 5), Ok(b", Wor".to_vec()));
    assert_eq!(seek(&mut guest, fd, 0, 1), Ok(8), "neither pread nor pwrite move the place");
    assert_eq!(seek(&mut guest, fd, -1, 0), Err(INVAL));
    assert_eq!(seek(&mut guest, fd, -100, 1), Err(INVAL));
    assert_eq!(seek(&mut guest, fd, 0, 3), Err(INVAL));
    assert_eq!(pread(&mut guest, fd, 5, u64::MAX), Err(INVAL));
    assert_eq!(pread(&mut guest, fd, 5, 100), Ok(vec![]));
    guest.ok("fd_sync", &[fd]);
    guest.ok("fd_datasync", &[fd]);
    guest.ok("fd_advise", &[fd, 0, 0, 3]);
    assert_eq!(guest.call("fd_advise", &[fd, 0, 0, 6]), INVAL);
    guest.ok("fd_close", &[fd]);
    assert_eq!(guest.read(fd, 1), Err(BADF));
    assert_eq!(fs::read(folder.path().join("new")).unwrap(), b"Jello, World");
}

#[test]
fn many_and_large_vectors_move_everything() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("big", CREAT, FD_READ | FD_WRITE).unwrap();
    let bytes: Vec<u8> = (0..120_000u32).map(|i| (i % 251) as u8).collect();
    guest.put(10_000, &bytes);
    let vectors: Vec<(u64, u64)> = (0..60).map(|i| (10_000 + 2000 * i, 2000)).collect();
    guest.put_vectors(0, &vectors);
    guest.ok("fd_write", &[fd, 0, 60, 9000]);
    assert_eq!(guest.u32(9000), 120_000);
    assert_eq!(fs::read(folder.path().join("big")).unwrap(), bytes);
    guest.put(10_000, &vec![0; 120_000]);
    guest.put_vectors(0, &[(10_000, 3), (10_003, 110_000), (120_003, 9_997 + 1000)]);
    guest.ok("fd_pread", &[fd, 0, 3, 0, 9000]);
    assert_eq!(guest.u32(9000), 120_000);
    assert_eq!(guest.bytes(10_000, 120_000), bytes);
}

#[test]
fn opening_obeys_its_flags() {
    let folder = folder();
    fs::write(folder.path().join("old"), b"contents").unwrap();
    fs::create_dir(folder.path().join("dir")).unwrap();
    let mut guest = Guest::in_folder(&folder);
    assert_eq!(guest.open("none", 0, FD_READ), Err(NOENT));
    assert_eq!(guest.open("old", CREAT | EXCL, FD_WRITE), Err(EXIST));
    assert_eq!(guest.open("old", DIRECTORY, FD_READ), Err(NOTDIR));
    assert_eq!(guest.open("old/", 0, FD_READ), Err(NOTDIR));
    assert_eq!(guest.open("dir", 0, FD_WRITE), Err(ISDIR));
    assert_eq!(guest.open("dir", DIRECTORY, FD_READ | FD_WRITE), Err(ISDIR));
    assert_eq!(guest.open("dir", CREAT | DIRECTORY, 0), Err(INVAL));
    assert_eq!(guest.open("old", 16, FD_READ), Err(INVAL));
    assert_eq!(guest.open_at(3, "old", 0, FD_READ, 32), Err(INVAL));
    assert!(!folder.path().join("none").exists());

    // Existing files are kept, but for TRUNC; neither flag needs the right to write.
    let fd = guest.open("old", CREAT, FD_READ).unwrap();
    assert_eq!(guest.read(fd, 100), Ok(b"contents".to_vec()));
    assert_eq!(guest.write(fd, b"x"), Err(BADF));
    let fd = guest.open("old", TRUNC, FD_READ).unwrap();
    assert_eq!(guest.write(fd, b"x"), Err(BADF));
    assert_eq!(fs::read(folder.path().join("old")).unwrap(), b"");
    let fd = guest.open("made", CREAT, 0).unwrap();
    assert_eq!((guest.read(fd, 1), guest.write(fd, b"x")), (Err(BADF), Err(BADF)));
    assert_eq!(fs::read(folder.path().join("made")).unwrap(), b"");

    let fd = guest.open("old", 0, FD_WRITE).unwrap();
    assert_eq!((guest.write(fd, b"x"), guest.read(fd, 1)), (Ok(1), Err(BADF)));
}

#[test]
fn what_is_there_and_cannot_be_written_can_be_opened_to_read_with_creat() {
    let folder = folder();
    let file = folder.path().join("f");
    fs::write(&file, b"x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("f", CREAT, FD_READ).unwrap();
    assert_eq!(guest.read(fd, 9), Ok(b"x".to_vec()));
    // Root may write whatever it likes.
    if fs::OpenOptions::new().write(true).open(&file).is_err() {
        assert_eq!(guest.open("f", CREAT, FD_WRITE), Err(ACCES));
    }
}

#[test]
fn append_writes_to_the_end_until_it_is_switched_off() {
    let folder = folder();
    fs::write(folder.path().join("log"), b"12345").unwrap();
    let mut guest = Guest::in_folder(&folder);
    for (name, oflags) in [("log", 0), ("log", TRUNC), ("other", CREAT)] {
        let before = fs::read(folder.path().join(name)).unwrap_or_default();
        let start = if oflags == TRUNC { b"" } else { before.as_slice() };
        let fd = guest.open_at(3, name, oflags, FD_READ | FD_WRITE, APPEND).unwrap();
        assert_eq!(guest.fdstat(fd).1, APPEND as u16);
        seek(&mut guest, fd, 0, 0).unwrap();
        assert_eq!(guest.write(fd, b"ab"), Ok(2));
        seek(&mut guest, fd, 0, 0).unwrap();
        assert_eq!(guest.write(fd, b"cd"), Ok(2));
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), [start, b"abcd"].concat());
        guest.ok("fd_fdstat_set_flags", &[fd, 0]);
        assert_eq!(guest.fdstat(fd).1, 0);
        seek(&mut guest, fd, 0, 0).unwrap();
        assert_eq!(guest.write(fd, b"X"), Ok(1));
        assert_eq!(fs::read(folder.path().join(name)).unwrap()[0], b'X');
        guest.ok("fd_fdstat_set_flags", &[fd, APPEND]);
        assert_eq!(guest.write(fd, b"e"), Ok(1));
        assert_eq!(fs::read(folder.path().join(name)).unwrap().last(), Some(&b'e'));
        assert_eq!(guest.call("fd_fdstat_set_flags", &[fd, 2]), NOTSUP);
    }
    let fd = guest.open_at(3, "log", 0, FD_WRITE, APPEND | 2 | 16).unwrap();
    assert_eq!(guest.fdstat(fd).1, APPEND as u16 | 2 | 16);
}

#[test]
fn sizes_are_set_and_space_is_allocated() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("f", CREAT, FD_READ | FD_WRITE).unwrap();
    let len = || fs::metadata(folder.path().join("f")).unwrap().len();
    guest.ok("fd_filestat_set_size", &[fd, 100]);
    assert_eq!(len(), 100);
    match guest.call("fd_allocate", &[fd, 90, 20]) {
        SUCCESS => {
            assert_eq!(len(), 110);
            guest.ok("fd_allocate", &[fd, 0, 10]);
            assert_eq!(len(), 110, "allocating never shrinks");
            assert_eq!(guest.call("fd_allocate", &[fd, 0, 0]), INVAL);
        }
        errno => assert_eq!(errno, NOTSUP),
    }
    guest.ok("fd_filestat_set_size", &[fd, 3]);
    assert_eq!(len(), 3);
    assert_eq!(guest.call("fd_filestat_set_size", &[fd, u64::MAX]), 22);
    assert_ne!(guest.call("fd_allocate", &[fd, u64::MAX, u64::MAX]), SUCCESS);
    let reading = guest.open("f", 0, FD_READ).unwrap();
    assert_eq!(guest.call("fd_filestat_set_size", &[reading, 1]), NOTCAPABLE);
    assert_eq!(guest.call("fd_allocate", &[reading, 0, 100]), NOTCAPABLE);
    assert_eq!(len(), 3);
}

#[test]
fn file_stats_are_those_of_the_host() {
    let folder = folder();
    let path = folder.path().join("f");
    fs::write(&path, b"12345").unwrap();
    fs::hard_link(&path, folder.path().join("g")).unwrap();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("f", 0, FD_READ).unwrap();
    guest.put(0, &[0xee; 64]);
    guest.ok("fd_filestat_get", &[fd, 0]);
    let host = fs::metadata(&path).unwrap();
    let ns = |s: i64, n: i64| (s * 1_000_000_000 + n) as u64;
    assert_eq!((guest.u64(0), guest.u64(8)), (host.dev(), host.ino()));
    assert_eq!(guest.bytes(16, 8), [4, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((guest.u64(24), guest.u64(32)), (2, 5));
    assert_eq!(guest.u64(40), ns(host.atime(), host.atime_nsec()));
    assert_eq!(guest.u64(48), ns(host.mtime(), host.mtime_nsec()));
    assert_eq!(guest.u64(56), ns(host.ctime(), host.ctime_nsec()));
    guest.ok("fd_filestat_get", &[3, 0]);
    assert_eq!((guest.u64(8), guest.bytes(16, 1)), (fs::metadata(folder.path()).unwrap().ino(), vec![3]));
}

#[test]
fn times_are_set_kept_or_made_now() {
    let folder = folder();
    let path = folder.path().join("f");
    fs::write(&path, b"").unwrap();
    let mut guest = Guest::in_folder(&folder);
    // Opened to read only: times belong to the file, not to its contents.
    let fd = guest.open("f", 0, FD_READ).unwrap();
    let times = || {
        let host = fs::metadata(&path).unwrap();
        (host.accessed().unwrap(), host.modified().unwrap())
    };
    let at = |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
    guest.ok("fd_filestat_set_times", &[fd, 1_000_000_007, 2_000_000_009, 1 | 4]);
    assert_eq!(times(), (at(1_000_000_007), at(2_000_000_009)));
    guest.ok("fd_filestat_set_times", &[fd, 5, 3_000_000_000, 4]);
    assert_eq!(times(), (at(1_000_000_007), at(3_000_000_000)));
    guest.ok("fd_filestat_set_times", &[fd, 0, 0, 2]);
    assert!(times().0.elapsed().unwrap() < Duration::from_secs(60));
    assert_eq!(times().1, at(3_000_000_000));
    for bad in [3, 12, 16] {
        assert_eq!(guest.call("fd_filestat_set_times", &[fd, 0, 0, bad]), INVAL);
    }
    guest.ok("fd_filestat_set_times", &[3, 0, 4_000_000_000, 4]);
    assert_eq!(fs::metadata(folder.path()).unwrap().modified().unwrap(), at(4_000_000_000));
}

#[test]
fn rights_can_be_given_up_and_stay_so() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("f", CREAT, FD_READ | FD_WRITE).unwrap();
    let (kind, _, rights, inheriting) = guest.fdstat(fd);
    assert_eq!((kind, inheriting), (4, 0));
    assert_eq!(rights & (FD_READ | FD_WRITE | FD_SEEK | FD_READDIR), FD_READ | FD_WRITE | FD_SEEK);
    guest.ok("fd_fdstat_set_rights", &[fd, rights & !FD_WRITE & !FD_SEEK, 0]);
    assert_eq!(guest.write(fd, b"x"), Err(BADF));
    assert_eq!(guest.call("fd_seek", &[fd, 0, 0, 0]), NOTCAPABLE);
    assert_eq!(guest.call("fd_pread", &[fd, 0, 0, 0, 0]), NOTCAPABLE);
    assert_eq!(guest.read(fd, 1), Ok(vec![]));
    assert_eq!(guest.call("fd_fdstat_set_rights", &[fd, rights, 0]), NOTCAPABLE);
    assert_eq!(guest.call("fd_fdstat_set_rights", &[fd, 0, 1]), NOTCAPABLE);
    assert_eq!(guest.call("fd_fdstat_set_rights", &[fd, 1 << 63, 0]), NOTCAPABLE);

    // A directory without the right to inherit writing gives none.
    let (_, _, rights, inheriting) = guest.fdstat(3);
    assert_eq!(inheriting & (FD_READ | FD_WRITE | FD_ALLOCATE | SET_SIZE), FD_READ | FD_WRITE | FD_ALLOCATE | SET_SIZE);
    guest.ok("fd_fdstat_set_rights", &[3, rights & !(1 << 10), inheriting & !FD_WRITE]);
    assert_eq!(guest.open("f", 0, FD_WRITE), Err(NOTCAPABLE));
    assert_eq!(guest.open("g", CREAT, FD_READ), Err(NOTCAPABLE));
    let dir = guest.open(".", DIRECTORY, 0).unwrap();
    assert_eq!(guest.open_at(dir, "f", 0, FD_WRITE, 0), Err(NOTCAPABLE), "nor do those below it");
    assert!(guest.open_at(dir, "f", 0, FD_READ, 0).is_ok());
}

#[test]
fn descriptors_are_bounded_and_the_lowest_is_used_again() {
    let folder = folder();
    fs::write(folder.path().join("f"), b"").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(folder.path(), "/", DirPerms::all(), FilePerms::all()).unwrap().max_open_files(8);
    let mut guest = Guest::new(builder.build());
    for expected in 4..8 {
        assert_eq!(guest.open("f", 0, FD_READ), Ok(expected));
    }
    assert_eq!(guest.open("new", CREAT, FD_READ), Err(MFILE));
    assert!(!folder.path().join("new").exists(), "nothing is made that cannot be given out");
    guest.ok("fd_close", &[5]);
    assert_eq!(guest.open("f", 0, FD_READ), Ok(5));
    guest.ok("fd_renumber", &[7, 4]);
    assert_eq!(guest.call("fd_renumber", &[4, 7]), BADF);
    assert_eq!(guest.call("fd_renumber", &[7, 4]), BADF);
    guest.ok("fd_renumber", &[4, 4]);
    guest.ok("fd_close", &[3]);
    assert_eq!(guest.call("fd_prestat_get", &[3, 0]), BADF);
}

#[test]
fn granted_directories_tell_their_names() {
    let (a, b) = (folder(), folder());
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(a.path(), "/data", DirPerms::all(), FilePerms::all()).unwrap();
    builder.preopened_dir(b.path(), "", DirPerms::all(), FilePerms::all()).unwrap();
    let mut guest = Guest::new(builder.build());
    guest.ok("fd_prestat_get", &[3, 0]);
    assert_eq!((guest.u32(0), guest.u32(4)), (0, 5));
    guest.ok("fd_prestat_dir_name", &[3, 100, 5]);
    assert_eq!(guest.bytes(100, 6), b"/data\0");
    guest.ok("fd_prestat_dir_name", &[3, 200, 50]);
    assert_eq!(guest.bytes(200, 6), b"/data\0");
    assert_eq!(guest.call("fd_prestat_dir_name", &[3, 100, 4]), NAMETOOLONG);
    guest.ok("fd_prestat_get", &[4, 0]);
    assert_eq!(guest.u32(4), 0);
    assert_eq!(guest.call("fd_prestat_get", &[5, 0]), BADF);
    let opened = guest.open(".", DIRECTORY, 0).unwrap();
    assert_eq!(guest.call("fd_prestat_get", &[opened, 0]), BADF, "it was not there from the start");
    for fd in 0..3 {
        assert_eq!(guest.call("fd_prestat_get", &[fd, 0]), BADF);
    }
}

#[test]
fn a_directory_is_no_file() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    assert_eq!(guest.read(3, 1), Err(ISDIR));
    assert_eq!(guest.write(3, b"x"), Err(BADF));
    assert_eq!(guest.call("fd_seek", &[3, 0, 0, 0]), ISDIR);
    assert_eq!(guest.call("fd_tell", &[3, 0]), ISDIR);
    assert_eq!(guest.call("fd_pread", &[3, 0, 0, 0, 0]), ISDIR);
    assert_eq!(guest.call("fd_pwrite", &[3, 0, 0, 0, 0]), ISDIR);
    assert_eq!(guest.call("fd_allocate", &[3, 0, 1]), ISDIR);
    assert_eq!(guest.call("fd_filestat_set_size", &[3, 0]), ISDIR);
    guest.ok("fd_sync", &[3]);
    let (kind, flags, rights, _) = guest.fdstat(3);
    assert_eq!((kind, flags), (3, 0));
    assert_eq!(rights & (FD_READ | FD_WRITE | FD_SEEK | SET_SIZE), 0);
}

#[test]
fn a_directory_is_listed_whole_whatever_the_buffer() {
    let folder = folder();
    let mut names: BTreeSet<String> = (0..200).map(|i| format!("file-{i}")).collect();
    for name in &names {
        fs::write(folder.path().join(name), b"").unwrap();
    }
    fs::create_dir(folder.path().join("dir")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("link")).unwrap();
    names.extend([".", "..", "dir", "link"].map(String::from));

    let mut guest = Guest::in_folder(&folder);
    for buffer in [48, 53, 64, 100, 1000, 60_000] {
        let entries = guest.list(3, buffer);
        assert_eq!(entries.len(), names.len(), "each once, by {buffer} bytes");
        assert_eq!(entries.iter().map(|e| e.0.clone()).collect::<BTreeSet<_>>(), names);
        for (name, kind, ino, _) in &entries {
            let wanted = match name.as_str() {
                "." | ".." | "dir" => 3,
                "link" => 7,
                _ => 4,
            };
            assert_eq!(*kind, wanted, "{name}");
            let of = if name == ".." { "." } else { name };
            assert_eq!(*ino, fs::symlink_metadata(folder.path().join(of)).unwrap().ino(), "{name}");
        }
        // From any cookie, in any order. They fit the `long` of a 32-bit program.
        assert!(entries.iter().enumerate().all(|(i, entry)| entry.3 == i as u64 + 1));
        for at in [150, 3, 100, 128, 64, 127, 199, 0] {
            guest.ok("fd_readdir", &[3, 0, 300, entries[at].3, 8]);
            assert_eq!(guest.u64(0), entries[at + 1].3);
            let len = u64::from(guest.u32(16));
            assert_eq!(guest.bytes(24, len), entries[at + 1].0.as_bytes());
        }
    }
}

#[test]
fn listing_sees_changes_when_it_begins_anew_and_ends_beyond_the_end() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    let names = |guest: &mut Guest, fd| guest.list(fd, 100).into_iter().map(|e| e.0).collect::<BTreeSet<_>>();
    assert_eq!(names(&mut guest, 3).len(), 2);
    let fd = guest.open("sub", CREAT, 0).unwrap();
    assert!(names(&mut guest, 3).contains("sub"));
    assert_eq!(guest.call("fd_readdir", &[fd, 0, 100, 0, 200]), NOTDIR);
    guest.ok("fd_close", &[fd]);
    assert_eq!(guest.path_call("path_unlink_file", "sub"), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", "sub"), SUCCESS);
    let fd = guest.open("sub", DIRECTORY, 0).unwrap();
    assert_eq!(names(&mut guest, fd).len(), 2);
    // The same number, another directory.
    guest.ok("fd_renumber", &[3, fd]);
    assert!(names(&mut guest, fd).contains("sub"));

    for cookie in [77, 1 << 31, 1 << 40, i64::MAX as u64, u64::MAX] {
        guest.ok("fd_readdir", &[fd, 0, 100, cookie, 200]);
        assert_eq!(guest.u32(200), 0, "beyond the end is the end");
    }
    guest.ok("fd_readdir", &[fd, 0, 0, 0, 200]);
    assert_eq!(guest.u32(200), 0);
    assert!(names(&mut guest, fd).contains("sub"), "and is well again");
}

#[test]
fn entries_that_are_removed_while_listing_do_not_hide_others() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    for i in 0..300 {
        fs::write(folder.path().join(format!("file-{i}")), b"").unwrap();
    }
    // What `rm -r` does: a bufferful, then all in it, and on from its last cookie.
    let (mut cookie, mut removed) = (0, 0);
    loop {
        guest.ok("fd_readdir", &[3, 0, 400, cookie, 500]);
        let used = u64::from(guest.u32(500));
        let mut at = 0;
        let mut names = Vec::new();
        while at + 24 <= used && at + 24 + u64::from(guest.u32(at + 16)) <= used {
            let len = u64::from(guest.u32(at + 16));
            names.push(String::from_utf8(guest.bytes(at + 24, len)).unwrap());
            cookie = guest.u64(at);
            at += 24 + len;
        }
        for name in names.iter().filter(|name| name.starts_with("file")) {
            assert_eq!(guest.path_call("path_unlink_file", name), SUCCESS);
            removed += 1;
        }
        if used < 400 {
            break;
        }
    }
    assert_eq!(removed, 300);
}

#[test]
fn names_that_are_no_paths_of_wasi_are_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder();
    fs::write(folder.path().join("good"), b"").unwrap();
    if fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"bad\xff")), b"").is_err() {
        return;
    }
    let entries = Guest::in_folder(&folder).list(3, 64);
    assert_eq!(entries.iter().filter(|e| !e.0.starts_with('.')).map(|e| e.0.as_str()).collect::<Vec<_>>(), ["good"]);
}

#[test]
fn a_named_pipe_without_a_peer_keeps_nobody_waiting() {
    let folder = folder();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("fifo")).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let mut guest = Guest::in_folder(&folder);
    let fd = guest.open("fifo", 0, FD_READ).unwrap();
    assert_eq!(guest.fdstat(fd).0, 0);
    assert_eq!(guest.call("fd_seek", &[fd, 0, 0, 0]), SPIPE);
    let writer = guest.open("fifo", 0, FD_WRITE).unwrap();
    assert_eq!(guest.write(writer, b"through"), Ok(7));
    assert_eq!(guest.read(fd, 100), Ok(b"through".to_vec()));
}

#[test]
fn contexts_from_one_template_open_files_of_their_own() {
    let folder = folder();
    fs::write(folder.path().join("f"), b"x").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(folder.path(), "/", DirPerms::all(), FilePerms::all()).unwrap();
    let template = builder.build();
    let engine = crate::kit::paranoid();
    let pre = pre(&engine);
    let mut guests: Vec<Guest> = (0..4).map(|_| Guest::of(&pre, template.clone())).collect();
    for guest in &mut guests {
        assert_eq!(guest.open("f", 0, FD_READ), Ok(4));
        assert_eq!(guest.read(4, 9), Ok(b"x".to_vec()));
    }
    guests[0].ok("fd_close", &[3]);
    assert_eq!(guests[1].list(3, 100).len(), 3, "what one closes is open for the others");
}
