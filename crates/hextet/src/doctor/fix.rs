//! What `--fix` does: settings of the running kernel, and who may read a file. All else is said,
//! and left to the operator.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use doctor::{Edit, Finding};
use linux::netns::Netns;
use linux::sysctl;

use super::Host;

/// Does what can be done for a finding, and says so.
pub(super) fn mend(host: &Host<'_>, finding: &Finding) {
    let Some(edit) = &finding.edit else { return };
    let file = &finding.place.file;
    match apply(host, file, edit) {
        Ok(Some(done)) => eprintln!("hextet: {}: {done}", doctor::shown(file)),
        Ok(None) => {}
        Err(e) => eprintln!("hextet: {} stays as it is: {e}", doctor::shown(file)),
    }
}

fn apply(host: &Host<'_>, file: &str, edit: &Edit) -> io::Result<Option<String>> {
    match edit {
        Edit::Sysctl { name, value } => {
            // Only the first namespace has the tables of neighbours; links are where uplinks are.
            let ns = match &host.node {
                Some(node) if name.contains("/conf/") => node.base.clone(),
                _ => Netns::current()?,
            };
            let before = sysctl::get(&ns, name)?;
            sysctl::set(&ns, name, value)?;
            Ok(Some(format!("{value} now, and was {before}")))
        }
        Edit::Mode { mode } => {
            fs::set_permissions(file, Permissions::from_mode(*mode))?;
            Ok(Some(format!("its mode is {mode:03o} now")))
        }
        // Lines of files are the operator's.
        Edit::Replace { .. } | Edit::Insert { .. } => Ok(None),
    }
}
