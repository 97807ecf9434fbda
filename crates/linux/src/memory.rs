//! How the C library's allocator keeps memory that was freed.

/// Octets from which an allocation is a mapping of its own, given back as soon as it is freed.
const MAPPED_FROM: libc::c_int = 1 << 20;

/// Makes the process give large freed blocks back to the system. By default the C library raises
/// this limit with each large block it sees freed, so that a password hash's 19 MiB, used for
/// 20 ms, would stay with every thread that ever checked a password. One arena for all threads,
/// because aligned blocks in any other are never mappings of their own.
///
/// To be called once, before threads start.
pub fn give_back() {
    // SAFETY: mallopt changes only the allocator's own settings. It fails only for unknown names.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}
