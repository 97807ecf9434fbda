//! Taking a guest's things away.

use std::fs;
use std::io;
use std::path::Path;

use model::ServerId;

use super::state::{self, State, run_dir, state_dir};
use super::{GuestSettings, TGTD_GROUP, cgroup, fence, machine};

/// Ends every guest whose files are here and removes what it had, with no task and no QMP: for a
/// host that is taken out of its cloud. Blocks.
pub fn purge(settings: &GuestSettings) -> io::Result<()> {
    let mut result = Ok(());
    for server in state::list(settings)? {
        let ended = match State::load(&state_dir(settings, server)) {
            Some(state) => machine::kill_all_of(state.uid),
            None => Ok(()),
        };
        // One guest that stays must not keep the others.
        if let Err(e) = ended.and_then(|()| files(settings, server)) {
            result = Err(io::Error::new(
                e.kind(),
                format!("removing guest {server}: {e}"),
            ));
        }
    }
    parents(settings);
    result.and(fence::purge(&settings.base, &settings.fence))
}

/// Removes a guest's files and cgroup. QEMU must have ended.
pub(super) fn files(settings: &GuestSettings, server: ServerId) -> io::Result<()> {
    cgroup::remove(settings.cgroup.as_deref(), server)?;
    directory(&run_dir(settings, server))?;
    crash::point("guest: its sockets are gone");
    directory(&state_dir(settings, server))
}

/// Removes the directory of a guest's sockets, and its cgroup, after its QEMU.
pub(super) fn run(settings: &GuestSettings, server: ServerId) -> io::Result<()> {
    cgroup::remove(settings.cgroup.as_deref(), server)?;
    directory(&run_dir(settings, server))
}

/// Removes what held the guests, where it is empty.
pub(super) fn parents(settings: &GuestSettings) {
    let groups = settings.cgroup.iter();
    let groups = groups.flat_map(|group| [group.join(TGTD_GROUP), group.clone()]);
    for dir in [settings.run.clone(), settings.state.clone()]
        .into_iter()
        .chain(groups)
    {
        let _ = fs::remove_dir(dir);
    }
}

fn directory(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io::Error::new(
            e.kind(),
            format!("removing {}: {e}", path.display()),
        )),
        _ => Ok(()),
    }
}
