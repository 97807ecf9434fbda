//! What lies in a cache beside what should.

use std::fs::File;
use std::io;
use std::path::Path;

use model::Finding;

use super::sha512;
use crate::check::{Depth, LEAK, names};

/// Looks for what an attempt left behind, and, when asked, whether contents are true.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn check(dir: &Path, depth: Depth) -> io::Result<Vec<Finding>> {
    let mut found = Vec::new();
    for name in names(dir)? {
        let path = dir.join(&name);
        if name.starts_with('.') {
            found.push(Finding::new(
                format!("{} is half an image", path.display()),
                "it takes room for nothing",
                LEAK,
            ));
        } else if depth == Depth::Deep && name.len() == 128 && sha512(&File::open(&path)?)? != name
        {
            found.push(Finding::new(
                format!("{} is not what its checksum says", path.display()),
                "servers made of it hold wrong data",
                "remove the file: it is fetched again",
            ));
        }
    }
    Ok(found)
}
