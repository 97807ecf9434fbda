//! The cache, with an image store in a directory and the machine's qemu-img.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::time::Duration;

use model::ImageId;
use sha2::{Digest, Sha512};

use super::*;
use crate::guest::scratch::Scratch;

fn stored(store: &Path, content: &[u8]) -> ImageFile {
    let id = ImageId::random();
    fs::write(store.join(id.to_string()), content).unwrap();
    let sha512 = Sha512::digest(content)
        .iter()
        .map(|o| format!("{o:02x}"))
        .collect();
    ImageFile {
        id,
        size_bytes: content.len() as u64,
        sha512,
        disk_format: "raw".into(),
    }
}

fn cache(scratch: &Scratch, limit_bytes: u64) -> ImageCache {
    ImageCache::new(CacheSettings {
        dir: scratch.0.join("cache"),
        source: ImageSource::Directory(scratch.0.clone()),
        limit_bytes,
        uid: 1_998_000_000 + std::process::id() % 1_000_000,
    })
}

/// The names in the cache's directory, hidden ones too.
fn names(scratch: &Scratch) -> Vec<String> {
    let entries = fs::read_dir(scratch.0.join("cache")).unwrap();
    let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_image_is_fetched_once() {
    let scratch = Scratch::new();
    let image = stored(&scratch.0, b"content");
    let dir = scratch.0.join("cache");
    let cache = cache(&scratch, 1 << 30);
    let (one, two) = tokio::join!(cache.fetch(&image), cache.fetch(&image));
    assert_eq!(one.unwrap().path, two.unwrap().path);
    assert_eq!(cache.shared.attempts.load(Ordering::Relaxed), 1);
    assert_eq!(fs::read(dir.join(&image.sha512)).unwrap(), b"content");
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o777, 0o700);

    // A later process finds it, though the store has lost it.
    fs::remove_file(scratch.0.join(image.id.to_string())).unwrap();
    fs::write(dir.join(".half"), "made when we were killed").unwrap();
    let later = super::tests::cache(&scratch, 1 << 30);
    assert!(later.fetch(&image).await.is_ok());
    assert_eq!(names(&scratch), [image.sha512]);
    assert!(later.shared.used().is_empty());
}

#[tokio::test]
async fn a_wrong_image_leaves_nothing() {
    let scratch = Scratch::new();
    let image = ImageFile {
        sha512: "0123456789ab".repeat(11)[..128].to_owned(),
        ..stored(&scratch.0, b"content")
    };
    let cache = cache(&scratch, 1 << 30);
    let error = cache.fetch(&image).await.unwrap_err().to_string();
    assert!(error.contains(&image.id.to_string()), "{error}");
    let sums = ["b2d1d285b5199c85", "0123456789ab"].map(|sum| &sum[..12]);
    assert!(sums.iter().all(|sum| error.contains(sum)), "{error}");
    assert_eq!(names(&scratch), [""; 0]);

    let missing = ImageFile {
        id: ImageId::random(),
        ..image
    };
    let error = cache.fetch(&missing).await.unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[test]
fn holes_stay_holes() {
    let scratch = Scratch::new();
    let from = File::create(scratch.0.join("from")).unwrap();
    from.set_len(64 << 20).unwrap();
    from.write_all_at(b"middle", 32 << 20).unwrap();
    let to = File::create_new(scratch.0.join("to")).unwrap();
    copy(&scratch.0.join("from"), &to).unwrap();
    let seen = fs::metadata(scratch.0.join("to")).unwrap();
    assert_eq!(seen.len(), 64 << 20);
    assert!(seen.blocks() < 1000, "{} blocks", seen.blocks());
    assert_eq!(
        fs::read(scratch.0.join("to")).unwrap()[32 << 20..][..6],
        *b"middle"
    );
}

/// An image of a disk of 8 MiB that begins with this.
fn qcow2(scratch: &Scratch, begin: &[u8], options: &[&str]) -> ImageFile {
    let (raw, made) = (scratch.0.join("raw"), scratch.0.join("made"));
    let file = File::create(&raw).unwrap();
    file.set_len(8 << 20).unwrap();
    file.write_all_at(begin, 0).unwrap();
    let mut command = Command::new("qemu-img");
    command.args(["convert", "-f", "raw", "-O", "qcow2"]);
    let done = command.args(options).arg(&raw).arg(&made).status().unwrap();
    assert!(done.success());
    ImageFile {
        disk_format: "qcow2".into(),
        ..stored(&scratch.0, &fs::read(&made).unwrap())
    }
}

#[tokio::test]
async fn a_qcow2_image_becomes_the_disk_it_stands_for_once() {
    let scratch = Scratch::new();
    let cache = cache(&scratch, 1 << 30);
    for options in [[].as_slice(), &["-c", "-o", "compression_type=zstd"]] {
        let image = qcow2(&scratch, b"a boot sector", options);
        let before = cache.shared.attempts.load(Ordering::Relaxed);
        let (one, two) = tokio::join!(cache.disk(&image), cache.disk(&image));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(one.path, two.path);
        let made = cache.shared.attempts.load(Ordering::Relaxed) - before;
        assert_eq!(made, 2, "one fetched, one converted");
        let disk = fs::read(&*one).unwrap();
        assert_eq!(
            (disk.len(), &disk[..13]),
            (8 << 20, b"a boot sector".as_slice())
        );
        let seen = fs::metadata(&*one).unwrap();
        assert!(seen.blocks() * 512 < 1 << 20, "holes stay holes");
        assert_eq!((seen.uid(), seen.mode() & 0o777), (0, 0o600));
    }
}

#[tokio::test]
async fn a_qcow2_image_that_is_none_leaves_nothing() {
    let scratch = Scratch::new();
    let cache = cache(&scratch, 1 << 30);
    let whole = qcow2(&scratch, b"x", &[]);
    let data = fs::read(scratch.0.join(whole.id.to_string())).unwrap();
    let changed = |at: usize, octets: &[u8]| {
        let mut data = data.clone();
        data[at..at + octets.len()].copy_from_slice(octets);
        ImageFile {
            disk_format: "qcow2".into(),
            ..stored(&scratch.0, &data)
        }
    };
    // The L1 table's first entry leads outside the file: only qemu-img can know.
    let l1 = u64::from_be_bytes(data[40..48].try_into().unwrap()) as usize;
    for (image, why) in [
        (changed(0, b"RAW!"), "not qcow2"),
        (changed(15, b"\x01"), "backing file"),
        (changed(l1, &[0xff; 8]), "qemu-img cannot read it"),
    ] {
        let error = cache.disk(&image).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(error.contains(&image.id.to_string()), "{error}");
    }
    assert!(names(&scratch).iter().all(|name| name.len() == 128));
}

#[tokio::test]
async fn what_was_not_used_for_longest_makes_room() {
    let scratch = Scratch::new();
    let octets = 600 << 10;
    let images: Vec<_> = (0..4_u8)
        .map(|n| stored(&scratch.0, &vec![n + 1; octets]))
        .collect();
    let cache = cache(&scratch, 2 << 20);
    for image in &images {
        cache.fetch(image).await.unwrap();
    }
    // The image store has them too: they take no room, and to remove them gives none.
    assert_eq!(names(&scratch).len(), 4);
    for image in &images {
        fs::remove_file(scratch.0.join(image.id.to_string())).unwrap();
    }
    let used_last = |n: u64, image: &ImageFile| {
        let file = File::open(scratch.0.join("cache").join(&image.sha512)).unwrap();
        let time = SystemTime::now() - Duration::from_secs(1000 - n);
        file.set_modified(time).unwrap();
    };
    for (n, image) in (0..).zip(&images) {
        used_last(n, image);
    }
    let held = cache.fetch(&images[0]).await.unwrap();
    used_last(0, &images[0]);
    cache.shared.make_room(octets as u64);
    let left = names(&scratch);
    let there = |n: usize| left.contains(&images[n].sha512);
    // Three are one too many with the one to come; the first is in use, and the next two go.
    assert_eq!([0, 1, 2, 3].map(there), [true, false, false, true]);
    assert!(held.exists());
    drop(held);
    cache.shared.make_room(10 << 20);
    assert_eq!(names(&scratch), [""; 0]);
}
