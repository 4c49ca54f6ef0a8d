//! What the system lets this process have: address space, mappings, memory. Read anew each time, as limits may change.

use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Attachment, Error};

/// A limit and how much of it is used, in bytes or pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    pub limit: u64,
    pub used: u64,
}

/// Limits of this process. `None` where there is none, or where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// `RLIMIT_AS`: address space in bytes, `ulimit -v`.
    pub address_space: Option<Amount>,
    /// `RLIMIT_DATA`: private writable mappings in bytes, `ulimit -d`.
    pub data: Option<Amount>,
    /// `vm.max_map_count`: mappings. `used` is counted by [`scarce`] only, as it takes long where there are many.
    pub mappings: Option<Amount>,
    /// The memory limit of the control group, or of one that it lies in, in bytes.
    pub cgroup: Option<Amount>,
    /// What may be committed where the system does not overcommit (`vm.overcommit_memory` is 2), in bytes.
    pub commit: Option<Amount>,
    /// Memory of the machine in bytes.
    pub physical: Option<u64>,
}

/// The limits of this process.
pub fn probe() -> Machine {
    let page = super::page_size() as u64;
    // Sizes in pages: the first is that of the address space, the sixth that of data.
    let sizes = read("/proc/self/statm");
    let size = |i: usize| field(&sizes, i).map_or(0, |pages| pages.saturating_mul(page));
    let strict = read("/proc/sys/vm/overcommit_memory").trim() == "2";
    let meminfo = read("/proc/meminfo");
    let kib = |name: &str| meminfo_bytes(&meminfo, name);
    Machine {
        address_space: resource_limit(libc::RLIMIT_AS).map(|limit| Amount { limit, used: size(0) }),
        data: resource_limit(libc::RLIMIT_DATA).map(|limit| Amount { limit, used: size(5) }),
        mappings: field(&read("/proc/sys/vm/max_map_count"), 0).map(|limit| Amount { limit, used: 0 }),
        cgroup: cgroup(Path::new("/sys/fs/cgroup"), &read("/proc/self/cgroup")),
        commit: strict.then(|| Some(Amount { limit: kib("CommitLimit:")?, used: kib("Committed_AS:")? })).flatten(),
        physical: kib("MemTotal:"),
    }
}

/// What of the system's limits is used, in words for the end of an error.
pub fn scarce() -> String {
    let mut machine = probe();
    if let Some(mappings) = &mut machine.mappings {
        mappings.used = read("/proc/self/maps").lines().count() as u64;
    }
    machine.describe()
}

impl Machine {
    fn describe(&self) -> String {
        let mut text = String::new();
        let mut say = |amount: Option<Amount>, what: &str, bytes: bool| {
            let Some(Amount { limit, used }) = amount else { return };
            let start = if text.is_empty() { " (in use: " } else { ", " };
            let _ = match bytes {
                true => write!(text, "{start}{} of {} of {what}", Bytes(used), Bytes(limit)),
                false => write!(text, "{start}{used} of {limit} {what}"),
            };
        };
        say(self.address_space, "address space, ulimit -v", true);
        say(self.data, "data, ulimit -d", true);
        say(self.mappings, "mappings, vm.max_map_count", false);
        say(self.cgroup, "the control group's memory", true);
        say(self.commit, "what may be committed, vm.overcommit_memory", true);
        if !text.is_empty() {
            text.push(')');
        }
        text
    }
}

/// A size for people.
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match UNITS.iter().find(|(unit, _)| self.0 >= *unit) {
            Some((unit, name)) if self.0.is_multiple_of(*unit) => write!(f, "{} {name}", self.0 / unit),
            Some((unit, name)) => write!(f, "{:.1} {name}", self.0 as f64 / *unit as f64),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

/// What an error says of itself when memory, address space or mappings were used up: then less of them may help.
#[derive(Debug)]
struct Exhausted;

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("memory, address space or mappings are used up")
    }
}

impl Attachment for Exhausted {}

/// Notes that an error is one of memory, address space or mappings that are used up.
pub fn exhaustion(mut error: Error) -> Error {
    error.attach(Exhausted);
    error
}

/// Whether it was noted.
pub fn is_exhaustion(error: &Error) -> bool {
    error.attachment::<Exhausted>().is_some()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn field(text: &str, index: usize) -> Option<u64> {
    text.split_whitespace().nth(index)?.parse().ok()
}

fn meminfo_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.starts_with(name))?;
    field(line, 1)?.checked_mul(1 << 10)
}

#[cfg(target_env = "musl")]
type Resource = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Resource = libc::__rlimit_resource_t;

fn resource_limit(resource: Resource) -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is good to be written.
    let result = unsafe { libc::getrlimit(resource, &mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// The narrowest memory limit of a control group and those that it lies in. `root` is where groups are mounted, `own` the text
/// of `/proc/self/cgroup`: `hierarchy:controllers:path` in each line, without controllers for version 2.
fn cgroup(root: &Path, own: &str) -> Option<Amount> {
    let mut least: Option<Amount> = None;
    for line in own.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let (mount, limit, used) = if controllers.is_empty() {
            (root.to_path_buf(), "memory.max", "memory.current")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
        } else {
            continue;
        };
        // In a container the path may be one of the host's, of which only the last part, if any, is to be seen.
        let relative = PathBuf::from(path.trim_start_matches('/'));
        for group in relative.ancestors() {
            let group = mount.join(group);
            // "max", or a number so large that nothing has it, means that there is no limit.
            let Some(bytes) = field(&read(group.join(limit)), 0).filter(|&bytes| bytes < 1 << 60) else { continue };
            if least.is_none_or(|least| bytes < least.limit) {
                least = Some(Amount { limit: bytes, used: field(&read(group.join(used)), 0).unwrap_or(0) });
            }
        }
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_tells_something() {
        let machine = probe();
        assert!(machine.physical.unwrap() > 1 << 20);
        assert!(machine.mappings.unwrap().limit > 100);
        let text = scarce();
        assert!(text.starts_with(" (in use: ") && text.contains("vm.max_map_count"), "{text}");
    }

    #[test]
    fn the_narrowest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let own = "12:cpu,cpuacct:/a\n5:memory:/docker/abc\n0::/user/session\nnonsense\n";
        assert_eq!(cgroup(root.path(), own), None);
        put("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(cgroup(root.path(), own), None, "no limit at all");
        put("user/session/memory.max", "max\n");
        put("user/memory.max", "5000\n");
        put("user/memory.current", "70\n");
        assert_eq!(cgroup(root.path(), own), Some(Amount { limit: 5000, used: 70 }));
        put("memory/docker/memory.limit_in_bytes", "6000\n");
        assert_eq!(cgroup(root.path(), own), Some(Amount { limit: 5000, used: 70 }));
        put("memory/docker/abc/memory.limit_in_bytes", "400\n");
        assert_eq!(cgroup(root.path(), own), Some(Amount { limit: 400, used: 0 }));
    }

    #[test]
    fn sizes_read_well() {
        let text = |bytes| Bytes(bytes).to_string();
        assert_eq!(text(4 << 30), "4 GiB");
        assert_eq!(text(3 << 29), "1.5 GiB");
        assert_eq!(text(64 << 10), "64 KiB");
        assert_eq!(text(100), "100 bytes");
    }
}
