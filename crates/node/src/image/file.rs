//! Files as the cache handles them: verified, copied with their holes, in directories of our own.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use model::ImageFile;
use nix::unistd::{Whence, lseek};
use sha2::{Digest, Sha512};

/// Makes a directory that only we can enter, and those above it.
pub(crate) fn private_dir(path: &Path) -> io::Result<()> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|e| io::Error::new(e.kind(), format!("making {}: {e}", path.display())))
}

/// Copies a file into an empty one: its extents are shared where the file system can, and its
/// holes stay holes.
pub(crate) fn copy(from: &Path, to: &File) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", from.display()));
    let from = File::open(from).map_err(named)?;
    let size = from.metadata()?.len();
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        // ENXIO: from here on there is only a hole.
        let data = match lseek(&from, at.cast_signed(), Whence::SeekData) {
            Err(nix::Error::ENXIO) => break,
            data => data?.cast_unsigned(),
        };
        let end = lseek(&from, data.cast_signed(), Whence::SeekHole)?.cast_unsigned();
        (&from).seek(SeekFrom::Start(data))?;
        let mut to = to;
        to.seek(SeekFrom::Start(data))?;
        // Between two files this is copy_file_range(2), which reflinks on XFS and btrfs.
        io::copy(&mut (&from).take(end - data), &mut to)?;
        at = end;
    }
    Ok(())
}

/// A content's SHA-512 in lower-case hex.
pub(crate) fn sha512(mut file: &File) -> io::Result<String> {
    let mut sum = Sha512::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sum.update(&piece[..read]),
        }
    }
    let octets = sum.finalize();
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Holds a file's content against the image's checksum.
pub(super) fn verify(file: &File, image: &ImageFile) -> io::Result<()> {
    let found = sha512(file)?;
    if found == image.sha512 {
        return Ok(());
    }
    let begin = |sum: &str| sum.chars().take(12).collect::<String>();
    let (found, wanted) = (begin(&found), begin(&image.sha512));
    let text = format!("its SHA-512 begins with {found}, and should with {wanted}");
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}
