//! Paths: what is done below a granted directory, and that nothing leads out of it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, SystemTime};

use instar::ErrorKind;

use super::*;
use crate::kit::fails;

#[test]
fn directories_are_made_and_removed() {
    let folder = folder();
    let mut guest = Guest::in_folder(&folder);
    assert_eq!(guest.path_call("path_create_directory", "a"), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", "a"), EXIST);
    assert_eq!(guest.path_call("path_create_directory", "a/b/"), SUCCESS);
    assert_eq!(guest.path_call("path_create_directory", "x/y"), NOENT);
    assert!(folder.path().join("a/b").is_dir());
    assert_eq!(guest.path_call("path_remove_directory", "a"), NOTEMPTY);
    assert_eq!(guest.path_call("path_unlink_file", "a/b"), ISDIR);
    assert_eq!(guest.path_call("path_unlink_file", "a/b/"), ISDIR);
    assert_eq!(guest.path_call("path_remove_directory", "a/b/"), SUCCESS);
    assert_eq!(guest.path_call("path_remove_directory", "a"), SUCCESS);
    assert_eq!(guest.path_call("path_remove_directory", "a"), NOENT);
    guest.open("file", CREAT, 0).unwrap();
    assert_eq!(guest.path_call("path_remove_directory", "file"), NOTDIR);
    assert_eq!(guest.path_call("path_unlink_file", "file/"), NOTDIR);
    assert_eq!(guest.path_call("path_unlink_file", "file"), SUCCESS);
    assert_eq!(guest.path_call("path_unlink_file", "file"), NOENT);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

fn rename(guest: &mut Guest, from: (u64, &str), to: (u64, &str)) -> u32 {
    let ([at, len], [to_at, to_len]) = (guest.path(from.1), guest.other_path(to.1));
    guest.call("path_rename", &[from.0, at, len, to.0, to_at, to_len])
}

fn link(guest: &mut Guest, from: (u64, &str), flags: u64, to: (u64, &str)) -> u32 {
    let ([at, len], [to_at, to_len]) = (guest.path(from.1), guest.other_path(to.1));
    guest.call("path_link", &[from.0, flags, at, len, to.0, to_at, to_len])
}

fn make_symlink(guest: &mut Guest, target: &str, path: &str) -> u32 {
    let ([at, len], [to_at, to_len]) = (guest.path(target), guest.other_path(path));
    guest.call("path_symlink", &[at, len, 3, to_at, to_len])
}

/// `path_readlink` with a buffer of so many bytes.
fn readlink(guest: &mut Guest, path: &str, buffer: u64) -> std::result::Result<String, u32> {
    let [at, len] = guest.path(path);
    match guest.call("path_readlink", &[3, at, len, 1000, buffer, 8]) {
        SUCCESS => Ok(String::from_utf8(guest.bytes(1000, u64::from(guest.u32(8)))).unwrap()),
        errno => Err(errno),
    }
}

#[test]
fn entries_are_renamed_and_linked_between_directories() {
    let folder = folder();
    fs::create_dir(folder.path().join("d")).unwrap();
    fs::write(folder.path().join("f"), b"f").unwrap();
    fs::write(folder.path().join("g"), b"g").unwrap();
    let mut guest = Guest::in_folder(&folder);
    let d = guest.open("d", DIRECTORY, 0).unwrap();
    assert_eq!(rename(&mut guest, (3, "f"), (d, "moved")), SUCCESS);
    assert_eq!(fs::read(folder.path().join("d/moved")).unwrap(), b"f");
    assert_eq!(rename(&mut guest, (3, "f"), (3, "x")), NOENT);
    assert_eq!(rename(&mut guest, (3, "g"), (3, "d")), ISDIR);
    assert_eq!(rename(&mut guest, (3, "d"), (3, "g")), NOTDIR);
    assert_eq!(rename(&mut guest, (3, "d"), (3, "e/")), SUCCESS);
    assert_eq!(rename(&mut guest, (3, "g"), (3, "e/moved")), SUCCESS);
    assert_eq!(fs::read(folder.path().join("e/moved")).unwrap(), b"g");

    assert_eq!(link(&mut guest, (d, "moved"), 0, (3, "second")), SUCCESS);
    assert_eq!(fs::metadata(folder.path().join("second")).unwrap().nlink(), 2);
    assert_eq!(link(&mut guest, (d, "moved"), 0, (3, "second")), EXIST);
    assert_eq!(link(&mut guest, (d, "moved"), 0, (3, "third/")), NOENT);
    assert_eq!(link(&mut guest, (3, "e"), 0, (3, "dir-link")), PERM);
    assert_eq!(link(&mut guest, (d, "moved"), 1, (3, "third")), INVAL);
    assert_eq!(link(&mut guest, (d, "moved"), 2, (3, "third")), INVAL);
    assert_eq!(link(&mut guest, (1, "moved"), 0, (3, "third")), NOTDIR);
}

#[test]
fn symbolic_links_are_made_read_and_followed_when_asked_for() {
    let folder = folder();
    fs::write(folder.path().join("target"), b"12345").unwrap();
    let mut guest = Guest::in_folder(&folder);
    assert_eq!(make_symlink(&mut guest, "target", "link"), SUCCESS);
    assert_eq!(make_symlink(&mut guest, "target", "link"), EXIST);
    assert_eq!(make_symlink(&mut guest, "/etc", "absolute"), PERM);
    assert_eq!(make_symlink(&mut guest, "target", "dangling/"), NOENT);
    assert_eq!(guest.path_call("path_create_directory", "dir"), SUCCESS);
    assert_eq!(make_symlink(&mut guest, "target", "dir/"), EXIST);
    assert_eq!(make_symlink(&mut guest, "target", "dir"), EXIST);
    assert_eq!(make_symlink(&mut guest, "dir", "to-dir"), SUCCESS);
    assert_eq!(guest.path_call("path_remove_directory", "to-dir"), NOTDIR);
    assert_eq!(guest.path_call("path_remove_directory", "to-dir/"), NOTDIR);
    assert_eq!(readlink(&mut guest, "link", 100), Ok("target".into()));
    assert_eq!(readlink(&mut guest, "link", 4), Ok("targ".into()));
    assert_eq!(readlink(&mut guest, "target", 100), Err(INVAL));

    let fd = guest.open("link", 0, FD_READ).unwrap();
    assert_eq!(guest.read(fd, 10), Ok(b"12345".to_vec()));
    let [at, len] = guest.path("link");
    assert_eq!(guest.call("path_open", &[3, 0, at, len, 0, FD_READ, 0, 0, 0]), LOOP);
    assert_eq!(guest.call("path_open", &[3, 2, at, len, 0, FD_READ, 0, 0, 0]), INVAL);
    for (flags, kind, size) in [(0, 7, 6), (1, 4, 5)] {
        guest.ok("path_filestat_get", &[3, flags, at, len, 0]);
        assert_eq!((guest.bytes(16, 1)[0], guest.u64(32)), (kind, size));
    }
    assert_eq!(guest.call("path_filestat_get", &[3, 2, at, len, 0]), INVAL);

    assert_eq!(make_symlink(&mut guest, "loop", "loop"), SUCCESS);
    assert_eq!(guest.open("loop", 0, FD_READ), Err(LOOP));
    assert_eq!(link(&mut guest, (3, "loop"), 0, (3, "loop2")), SUCCESS);
    assert_eq!(guest.path_call("path_unlink_file", "loop"), SUCCESS);
    assert_eq!(guest.path_call("path_unlink_file", "link"), SUCCESS);
    assert!(folder.path().join("target").exists());
}

#[test]
fn times_of_paths_are_set_with_and_without_following() {
    let folder = folder();
    fs::write(folder.path().join("f"), b"").unwrap();
    symlink("f", folder.path().join("l")).unwrap();
    let mut guest = Guest::in_folder(&folder);
    let modified = |name: &str| fs::symlink_metadata(folder.path().join(name)).unwrap().modified().unwrap();
    let at = |ns| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns);
    let [path, len] = guest.path("l");
    guest.ok("path_filestat_set_times", &[3, 0, path, len, 0, 1_000_000_001, 4]);
    assert_eq!(modified("l"), at(1_000_000_001));
    assert_ne!(modified("f"), at(1_000_000_001));
    guest.ok("path_filestat_set_times", &[3, 1, path, len, 7, 2_000_000_000, 1 | 4]);
    assert_eq!((modified("l"), modified("f")), (at(1_000_000_001), at(2_000_000_000)));
    guest.ok("path_filestat_set_times", &[3, 1, path, len, 0, 0, 8]);
    assert!(modified("f").elapsed().unwrap() < Duration::from_secs(60));
    assert_eq!(guest.call("path_filestat_set_times", &[3, 1, path, len, 0, 0, 4 | 8]), INVAL);
}

#[test]
fn odd_paths_are_resolved_like_everywhere() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("dir/nested")).unwrap();
    fs::write(folder.path().join("dir/nested/file"), b"found").unwrap();
    let mut guest = Guest::in_folder(&folder);
    for path in ["dir/.//nested/../../dir/nested/../nested///./file", "./dir/nested/file", "dir/../dir/nested/file"] {
        let fd = guest.open(path, 0, FD_READ).unwrap();
        assert_eq!(guest.read(fd, 10), Ok(b"found".to_vec()), "{path}");
    }
    for path in [".", "dir/nested/", "dir/nested///", "dir/.."] {
        assert!(guest.open(path, 0, 0).is_ok(), "{path}");
    }
    for (path, errno) in
        [("", NOENT), ("dir/nested/file/", NOTDIR), ("dir/nested/file\0", INVAL), ("dir/nested/file/.", NOTDIR)]
    {
        assert_eq!(guest.open(path, 0, FD_READ), Err(errno), "{path:?}");
    }
    assert_eq!(guest.open(&"a/".repeat(2049), 0, FD_READ), Err(NAMETOOLONG));
    assert_eq!(guest.open(&"a".repeat(300), 0, FD_READ), Err(NAMETOOLONG));
    guest.put(0, b"dir\xff");
    assert_eq!(guest.call("path_create_directory", &[3, 0, 4]), ILSEQ);
}

/// A folder with a secret beside it, and every way out of it that we know.
fn prison() -> (TempDir, Vec<String>) {
    let folder = folder();
    let inside = folder.path().join("inside");
    fs::create_dir_all(inside.join("sub")).unwrap();
    fs::create_dir(folder.path().join("outside")).unwrap();
    fs::write(folder.path().join("outside/secret"), b"secret").unwrap();
    let absolute = folder.path().join("outside").to_str().unwrap().to_string();
    symlink("..", inside.join("up")).unwrap();
    symlink("../outside", inside.join("relative")).unwrap();
    symlink(&absolute, inside.join("absolute")).unwrap();
    symlink("relative", inside.join("twice")).unwrap();
    symlink("../../outside/secret", inside.join("sub/file")).unwrap();
    symlink("/proc/self/root", inside.join("magic")).unwrap();
    let ways = vec![
        "../outside/secret".into(),
        "sub/../../outside/secret".into(),
        "sub/../sub/../../inside/../outside/secret".into(),
        format!("{absolute}/secret"),
        format!("//{absolute}/secret"),
        "up/outside/secret".into(),
        "relative/secret".into(),
        "absolute/secret".into(),
        "twice/secret".into(),
        "sub/file".into(),
        format!("magic{absolute}/secret"),
        "..".into(),
        "up".into(),
        "/".into(),
    ];
    (folder, ways)
}

#[test]
fn no_path_leads_out_of_a_granted_directory() {
    let (folder, ways) = prison();
    let outside = folder.path().join("outside");
    let before = fs::metadata(outside.join("secret")).unwrap().modified().unwrap();
    let mut guest = Guest::in_folder(folder.path().join("inside"));
    let sub = guest.open("sub", DIRECTORY, 0).unwrap();
    fs::write(folder.path().join("inside/own"), b"own").unwrap();
    for way in &ways {
        for (oflags, rights) in [(0, FD_READ), (0, FD_WRITE), (DIRECTORY, 0), (TRUNC, FD_WRITE), (CREAT, FD_READ)] {
            let errno = guest.open(way, oflags, rights).expect_err(way);
            assert!([PERM, NOTDIR, LOOP].contains(&errno), "{way}: {errno}");
        }
        let [at, len] = guest.path(way);
        assert_ne!(guest.call("path_filestat_get", &[3, 1, at, len, 0]), SUCCESS, "{way}");
        assert_ne!(guest.call("path_filestat_set_times", &[3, 1, at, len, 0, 0, 5]), SUCCESS, "{way}");
        for name in ["path_create_directory", "path_remove_directory"] {
            assert_ne!(guest.call(name, &[3, at, len]), SUCCESS, "{name} {way}");
        }
        if way != "sub/file" && way != "up" {
            // The two are entries of the directory itself: links, which may go.
            assert_ne!(guest.call("path_unlink_file", &[3, at, len]), SUCCESS, "{way}");
            assert_ne!(rename(&mut guest, (3, way), (3, "stolen")), SUCCESS, "{way}");
            assert_ne!(link(&mut guest, (3, way), 0, (3, "stolen")), SUCCESS, "{way}");
            assert_ne!(rename(&mut guest, (3, "own"), (3, way)), SUCCESS, "{way}");
            assert_ne!(link(&mut guest, (3, "own"), 0, (3, way)), SUCCESS, "{way}");
        }
    }
    assert_eq!(guest.open_at(sub, "..", DIRECTORY, 0, 0), Err(PERM), "a directory below is a root as well");
    assert_eq!(guest.open_at(sub, "../own", 0, FD_READ, 0), Err(PERM));
    assert_eq!(readlink(&mut guest, "absolute", 1000), Err(PERM), "the host's paths do not show");

    // A way out that the guest makes itself.
    assert_eq!(make_symlink(&mut guest, "../outside/secret", "mine"), SUCCESS);
    assert_eq!(guest.open("mine", 0, FD_READ), Err(PERM));
    assert_eq!(guest.open("mine", CREAT, FD_WRITE), Err(PERM));

    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(fs::metadata(outside.join("secret")).unwrap().modified().unwrap(), before);
}

#[test]
fn listing_the_parent_entry_tells_nothing_of_it() {
    let folder = folder();
    let inside = folder.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let entries = Guest::in_folder(&inside).list(3, 1000);
    let parent = entries.iter().find(|e| e.0 == "..").unwrap();
    assert_eq!(parent.2, fs::metadata(&inside).unwrap().ino());
}

#[test]
fn a_directory_to_read_is_not_changed() {
    let folder = folder();
    fs::write(folder.path().join("f"), b"contents").unwrap();
    fs::create_dir(folder.path().join("d")).unwrap();
    let mut guest = Guest::with_perms(&folder, DirPerms::READ, FilePerms::READ);
    let fd = guest.open("f", 0, FD_READ).unwrap();
    assert_eq!(guest.read(fd, 100), Ok(b"contents".to_vec()));
    assert_eq!(guest.list(3, 1000).len(), 4);
    assert!(guest.open("d", DIRECTORY, 0).is_ok());
    assert_eq!(guest.open("d", 0, FD_WRITE), Err(ISDIR));

    assert_eq!(guest.open("f", 0, FD_WRITE), Err(PERM));
    assert_eq!(guest.open("f", 0, FD_READ | FD_WRITE), Err(PERM));
    assert_eq!(guest.open("f", TRUNC, FD_READ), Err(PERM));
    assert_eq!(guest.open("new", CREAT, FD_READ), Err(PERM));
    assert_eq!(guest.call("fd_filestat_set_times", &[fd, 0, 0, 5]), PERM);
    assert_eq!(guest.call("fd_filestat_set_times", &[3, 0, 0, 5]), PERM);
    assert_eq!(guest.call("fd_filestat_set_size", &[fd, 0]), NOTCAPABLE);
    let [at, len] = guest.path("f");
    assert_eq!(guest.call("path_filestat_set_times", &[3, 0, at, len, 0, 0, 5]), PERM);
    for name in ["path_create_directory", "path_remove_directory", "path_unlink_file"] {
        assert_eq!(guest.path_call(name, "f"), PERM, "{name}");
    }
    assert_eq!(rename(&mut guest, (3, "f"), (3, "g")), PERM);
    assert_eq!(link(&mut guest, (3, "f"), 0, (3, "g")), PERM);
    assert_eq!(make_symlink(&mut guest, "f", "g"), PERM);
    assert_eq!(fs::read(folder.path().join("f")).unwrap(), b"contents");

    let below = guest.open("d", DIRECTORY, 0).unwrap();
    assert_eq!(guest.open_at(below, "new", CREAT, FD_READ, 0), Err(PERM), "nor is what lies below");
}

#[test]
fn permissions_of_directories_and_files_are_apart() {
    let folder = folder();
    fs::write(folder.path().join("f"), b"contents").unwrap();
    // Files may be written but neither made nor removed.
    let mut guest = Guest::with_perms(&folder, DirPerms::READ, FilePerms::all());
    let fd = guest.open("f", TRUNC, FD_WRITE).unwrap();
    assert_eq!(guest.write(fd, b"new"), Ok(3));
    assert_eq!(guest.open("g", CREAT, FD_WRITE), Err(PERM));
    assert_eq!(guest.path_call("path_unlink_file", "f"), PERM);
    drop(guest);
    // The other way round.
    let mut guest = Guest::with_perms(&folder, DirPerms::all(), FilePerms::READ);
    assert_eq!(guest.open("f", 0, FD_WRITE), Err(PERM));
    assert_eq!(guest.path_call("path_unlink_file", "f"), SUCCESS);
    drop(guest);
    let mut guest = Guest::with_perms(&folder, DirPerms::MUTATE, FilePerms::all());
    assert_eq!(guest.path_call("path_create_directory", "d"), SUCCESS);
    assert_eq!(guest.open("d", 0, 0), Err(PERM));
    assert_eq!(guest.call("fd_readdir", &[3, 0, 100, 0, 200]), PERM);
    let [at, len] = guest.path("d");
    assert_eq!(guest.call("path_filestat_get", &[3, 0, at, len, 0]), PERM);
}

#[test]
fn nothing_gains_permissions_by_moving() {
    let (a, b) = (folder(), folder());
    fs::write(a.path().join("f"), b"contents").unwrap();
    let mut builder = WasiCtxBuilder::new();
    builder.preopened_dir(a.path(), "/a", DirPerms::all(), FilePerms::READ).unwrap();
    builder.preopened_dir(b.path(), "/b", DirPerms::all(), FilePerms::all()).unwrap();
    let mut guest = Guest::new(builder.build());
    assert_eq!(rename(&mut guest, (3, "f"), (4, "f")), XDEV);
    assert_eq!(link(&mut guest, (3, "f"), 0, (4, "f")), XDEV);
    let fd = guest.open_at(4, "g", CREAT, FD_WRITE, 0).unwrap();
    guest.ok("fd_close", &[fd]);
    assert_eq!(rename(&mut guest, (4, "g"), (3, "g")), SUCCESS, "they may be lost");
}

#[test]
fn a_directory_that_cannot_be_granted_says_why() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    for (path, word) in [(&file, "Not a directory"), (&folder.path().join("none"), "No such file")] {
        let error = fails(
            WasiCtxBuilder::new().preopened_dir(path, "/", DirPerms::all(), FilePerms::all()).map(drop),
            ErrorKind::Os,
        );
        assert!(error.message().contains(word) && error.message().contains(path.to_str().unwrap()), "{error}");
    }
}
