//! Writing a file so that nobody ever sees half of it: into a temporary file beside it, which is then renamed.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::Builder;

use crate::failure::{Failure, Result, reason};
use crate::input::shown;

/// Makes `bytes` the contents of a file, new or there already. When it fails, what was there stays.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let target = target(path)?;
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let failed = |e: std::io::Error| {
        Failure::new(format_args!("cannot write {}: {}", shown(path), reason(&e)))
            .or_hint("-o names a file in a folder that exists and can be written to")
    };
    let mut builder = Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.prefix(".instar-").suffix(".tmp").tempfile_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.persist(&target).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The file that will be renamed over: behind a link, what the link leads to.
fn target(path: &Path) -> Result<PathBuf> {
    let Ok(metadata) = std::fs::metadata(path) else { return Ok(path.to_path_buf()) };
    if metadata.is_dir() {
        return Err(Failure::new(format_args!("cannot write {}: it is a directory", shown(path)))
            .or_hint("-o names the file to be written"));
    }
    if !metadata.is_file() {
        // Renaming would replace the device itself.
        return Err(Failure::new(format_args!("cannot write {}: it is not a regular file", shown(path)))
            .or_hint("-o names the file to be written"));
    }
    Ok(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.cwasm");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(entries(folder.path()), ["out.cwasm"]);
    }

    #[cfg(unix)]
    #[test]
    fn others_may_read_it_as_far_as_the_umask_lets_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        replace(&ours, b"").unwrap();
        fs::write(&plain, b"").unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn what_cannot_be_replaced_stays() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(folder.path(), b"x").is_err());
        assert!(replace(&folder.path().join("no/such/folder"), b"x").is_err());
        assert!(replace(Path::new("/dev/null"), b"x").is_err());
        assert!(entries(folder.path()).is_empty());
    }
}
