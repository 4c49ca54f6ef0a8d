//! Bounds of the calling thread's stack.

/// Room that is always left for host functions and signal handlers on a thread of ordinary size, in bytes.
const HOST_ROOM: usize = 128 << 10;

/// The least room on small threads. Without signals, a guest function may touch some pages below the limit before it has
/// looked at it.
const MIN_ROOM: usize = 48 << 10;

/// Lowest stack address that guest code may use on this thread, and the highest address of the stack; `None` when the
/// system does not tell.
pub fn thread_bounds() -> Option<(usize, usize)> {
    // SAFETY: `attr` is initialised by pthread_getattr_np before it is read and destroyed after.
    unsafe {
        let mut attr = std::mem::zeroed::<libc::pthread_attr_t>();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attr) != 0 {
            return None;
        }
        let mut low = std::ptr::null_mut();
        let mut size = 0;
        let mut guard = 0;
        let ok = libc::pthread_attr_getstack(&attr, &mut low, &mut size) == 0;
        libc::pthread_attr_getguardsize(&attr, &mut guard);
        libc::pthread_attr_destroy(&mut attr);
        if !ok {
            return None;
        }
        let low = low as usize;
        let room = HOST_ROOM.min((size / 4).max(MIN_ROOM).min(size / 2));
        Some((low + guard + room, low + size))
    }
}
