//! `poll_oneoff`: waiting for clocks and streams.
//!
//! Subscriptions are read from the guest's memory each time they are looked at, and events are written as they are found:
//! nothing is kept in between but the streams of the host that must be waited for, at most one per descriptor.

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::wasi::clock::Clocks;
use crate::wasi::context::WasiCtx;
use crate::wasi::descriptor::{Descriptor, Object};
use crate::wasi::guest::{Guest, part};
use crate::wasi::types::{EVENT_BYTES, Errno, Event, Rights, SUBSCRIPTION_BYTES, Subscription, Wait};

type Result<T = ()> = std::result::Result<T, Errno>;

/// Most subscriptions of a call: more than descriptors and clocks of any program.
const MOST_SUBSCRIPTIONS: u32 = 4096;

/// What there is to say about a subscription now.
enum State {
    Ready {
        available: u64,
        hangup: bool,
    },
    /// In so many ns.
    Later(u64),
    /// When the host says so.
    Waiting,
}

/// The time of a call.
struct Passed {
    /// The clocks when it began, by their ids.
    start: [u64; 2],
    /// What it has slept, in ns: counts also where the embedder's clock stands still.
    slept: u64,
}

impl Passed {
    fn begin(clocks: &Clocks) -> Result<Self> {
        Ok(Passed { start: [clocks.now(Clocks::REALTIME)?, clocks.monotonic_now()], slept: 0 })
    }

    fn ns(&self, clocks: &Clocks) -> u64 {
        clocks.monotonic_now().saturating_sub(self.start[1]).max(self.slept)
    }

    /// What is left of a timeout of a clock.
    fn left(&self, clocks: &Clocks, id: u32, timeout: u64, absolute: bool) -> Result<u64> {
        let now = clocks.now(id)?;
        if absolute && now >= timeout {
            return Ok(0);
        }
        let from_start = if absolute { timeout.saturating_sub(self.start[id as usize]) } else { timeout };
        Ok(from_start.saturating_sub(self.ns(clocks)))
    }
}

pub(super) fn poll_oneoff(guest: &mut dyn Guest, subscriptions: u32, events: u32, count: u32, nevents: u32) -> Result {
    if count == 0 || count > MOST_SUBSCRIPTIONS {
        return Err(Errno::Inval);
    }
    guest.check(subscriptions, count * SUBSCRIPTION_BYTES)?;
    guest.check(events, count * EVENT_BYTES)?;
    guest.check(nevents, 4)?;

    let mut passed = Passed::begin(guest.context().clocks())?;
    loop {
        let mut found = 0;
        let mut soonest = None;
        let mut waiting: Vec<Wait> = Vec::new();
        for index in 0..count {
            let (memory, context) = guest.bytes();
            let bytes = part(memory, subscriptions + index * SUBSCRIPTION_BYTES, SUBSCRIPTION_BYTES)?;
            let subscription = Subscription::decode(bytes.try_into().expect("the length of a subscription"))?;
            let Subscription { userdata, what } = subscription;
            let (error, available, hangup) = match state(context, what, &passed) {
                Ok(State::Ready { available, hangup }) => (None, available, hangup),
                Ok(State::Later(ns)) => {
                    soonest = Some(soonest.map_or(ns, |soonest: u64| soonest.min(ns)));
                    continue;
                }
                Ok(State::Waiting) => {
                    if !waiting.contains(&what) {
                        waiting.push(what);
                    }
                    continue;
                }
                Err(error) => (Some(error), 0, false),
            };
            let event = Event { userdata, error, tag: what.tag(), available, hangup };
            guest.write(events + found * EVENT_BYTES, &event.encode())?;
            found += 1;
        }
        if found > 0 {
            return guest.write_u32(nevents, found);
        }
        passed.slept = passed.slept.saturating_add(wait(guest.context(), &waiting, soonest)?);
    }
}

fn state(context: &WasiCtx, what: Wait, passed: &Passed) -> Result<State> {
    let fd = match what {
        Wait::Clock { id, timeout, absolute } => {
            return Ok(match passed.left(context.clocks(), id, timeout, absolute)? {
                0 => State::Ready { available: 0, hangup: false },
                left => State::Later(left),
            });
        }
        Wait::Read { fd } | Wait::Write { fd } => fd,
    };
    let descriptor = context.fds.get(fd)?;
    let reads = matches!(what, Wait::Read { .. });
    descriptor.require(Rights::POLL_FD_READWRITE)?;
    descriptor.require(if reads { Rights::FD_READ } else { Rights::FD_WRITE })?;
    let Some(ready) = host_state(descriptor)? else { return Ok(State::Waiting) };
    let available = match &descriptor.object {
        Object::Input(stream) => stream.available().max(1),
        Object::File(file) if reads && file.is_regular() => {
            let place = file.seek(std::io::SeekFrom::Current(0))?;
            file.stat()?.size.saturating_sub(place)
        }
        _ => 1,
    };
    Ok(State::Ready { available, hangup: ready.contains(PollFlags::HUP) })
}

/// What the host says about a descriptor; `None` if it would block. Regular files, directories and streams without a
/// descriptor of the host never do.
fn host_state(descriptor: &Descriptor) -> Result<Option<PollFlags>> {
    let Some(mut polled) = host_poll(descriptor) else { return Ok(Some(PollFlags::empty())) };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let ready = rustix::event::poll(std::slice::from_mut(&mut polled), Some(&now))?;
    Ok((ready > 0).then_some(polled.revents()))
}

/// Whether a descriptor can be read or written without waiting.
pub(super) fn is_ready(descriptor: &Descriptor) -> Result<bool> {
    Ok(host_state(descriptor)?.is_some())
}

fn host_poll(descriptor: &Descriptor) -> Option<PollFd<'_>> {
    let (fd, flags) = match &descriptor.object {
        Object::Input(stream) => (stream.poll_fd()?, PollFlags::IN),
        Object::Output(stream) => (stream.poll_fd()?, PollFlags::OUT),
        Object::File(file) if !file.is_regular() => {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, descriptor.base.contains(Rights::FD_READ));
            flags.set(PollFlags::OUT, descriptor.base.contains(Rights::FD_WRITE));
            (file.fd(), flags)
        }
        Object::File(_) | Object::Dir(_) => return None,
    };
    Some(PollFd::from_borrowed_fd(fd, flags))
}

/// Waits for any of these descriptors, but `timeout_ns` at most. Gives that time if it has passed, or else 0.
fn wait(context: &WasiCtx, waiting: &[Wait], timeout_ns: Option<u64>) -> Result<u64> {
    let mut fds = Vec::with_capacity(waiting.len());
    for what in waiting {
        if let Wait::Read { fd } | Wait::Write { fd } = *what {
            fds.extend(host_poll(context.fds.get(fd)?));
        }
    }
    match timeout_ns {
        Some(ns) if fds.is_empty() => {
            context.clocks().sleep(ns);
            Ok(ns)
        }
        _ => {
            let timeout = timeout_ns
                .map(|ns| Timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 });
            match rustix::event::poll(&mut fds, timeout.as_ref()) {
                Ok(0) => Ok(timeout_ns.unwrap_or(0)),
                // Something may be ready, and after a signal nothing: the caller looks again.
                Ok(_) | Err(rustix::io::Errno::INTR) => Ok(0),
                Err(error) => Err(error.into()),
            }
        }
    }
}
