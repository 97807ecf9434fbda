//! Network namespaces, named under `/run/netns` as `ip netns` does, so that operators can look in.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};

const DIR: &str = "/run/netns";

/// An open network namespace. Clones share the file.
#[derive(Clone, Debug)]
pub struct Netns {
    name: String,
    file: Arc<File>,
}

impl Netns {
    /// The namespace of the calling thread.
    pub fn current() -> io::Result<Netns> {
        let file = File::open("/proc/thread-self/ns/net")?;
        Ok(Netns {
            name: String::new(),
            file: Arc::new(file),
        })
    }

    /// A named namespace, made if it is not there.
    pub fn ensure(name: &str) -> io::Result<Netns> {
        match Netns::open(name) {
            Ok(found) => Ok(found),
            Err(e) if e.kind() == io::ErrorKind::NotFound => create(name),
            Err(e) => Err(e),
        }
    }

    /// A new namespace without a name, which goes with the last that has it open; `called` stands
    /// for the name in errors.
    pub fn fresh(called: &str) -> io::Result<Netns> {
        let file = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net")
        })?;
        Ok(Netns {
            name: called.to_owned(),
            file: Arc::new(file),
        })
    }

    /// A named namespace that exists.
    ///
    /// # Errors
    /// `NotFound` when it does not, or when its file is a leftover that no namespace is mounted on.
    pub fn open(name: &str) -> io::Result<Netns> {
        let path = path(name);
        let file = File::open(&path)?;
        let nsfs = nix::sys::statfs::fstatfs(&file)?.filesystem_type();
        if nsfs != nix::sys::statfs::NSFS_MAGIC {
            fs::remove_file(&path)?;
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Netns {
            name: name.to_owned(),
            file: Arc::new(file),
        })
    }

    /// Takes the name away; the namespace itself goes when the last socket, tap and process in it
    /// has gone. Nothing happens when there is none.
    pub fn remove(name: &str) -> io::Result<()> {
        let path = path(name);
        match umount2(&path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(nix::Error::EINVAL | nix::Error::ENOENT) => {}
            Err(e) => return Err(e.into()),
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Names that begin with a prefix, sorted.
    pub fn list(prefix: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(DIR) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names: Vec<_> = entries
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|n| n.starts_with(prefix))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The name; empty for [`Netns::current`].
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` on a thread inside the namespace. Sockets opened there stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_thread(|| {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// Moves the calling thread into the namespace, for as long as it lives: for a thread whose
    /// sockets are all to be there.
    pub fn enter(&self) -> io::Result<()> {
        Ok(setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?)
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn create(name: &str) -> io::Result<Netns> {
    fs::create_dir_all(DIR)?;
    let path = path(name);
    File::create(&path)?;
    let made = on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let own = Path::new("/proc/thread-self/ns/net");
        mount(
            Some(own),
            &path,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )?;
        Ok(())
    });
    if let Err(e) = made {
        let _ = fs::remove_file(&path);
        return Err(e);
    }
    Netns::open(name)
}

/// A thread of its own, so that the caller's namespace never changes.
fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}
