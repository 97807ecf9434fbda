//! Whether guests can use KVM here.
//!
//! `/dev/kvm` proves nothing. There are hosts where a guest on it dies at once, and hosts where it
//! runs a hundred times slower than QEMU's own emulation, because KVM itself is emulated. So a guest
//! is tried that needs what an operating system needs, for as long as a working KVM never takes.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// What runs the guests' instructions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accelerator {
    Kvm,
    /// QEMU's own emulation, and why.
    Tcg {
        why: String,
    },
}

impl Accelerator {
    /// The name in a node's facts.
    pub fn as_str(&self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg { .. } => "tcg",
        }
    }

    /// Why it is not KVM.
    pub fn why(&self) -> Option<&str> {
        match self {
            Accelerator::Kvm => None,
            Accelerator::Tcg { why } => Some(why),
        }
    }

    /// The groups that a guest's user has to be in.
    pub fn groups(&self) -> Vec<u32> {
        match self {
            Accelerator::Kvm => std::fs::metadata(DEVICE)
                .map(|m| m.gid())
                .into_iter()
                .collect(),
            Accelerator::Tcg { .. } => Vec::new(),
        }
    }
}

const DEVICE: &str = "/dev/kvm";

/// QEMU itself starts in 0.05 s, and the guest's work takes KVM 0.01 s.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What QEMU exits with when the guest writes 0x10 to the port of `isa-debug-exit`: twice that, and 1.
const DONE: i32 = 0x21;

/// Tries KVM as the user that a guest will have.
pub async fn accelerator(qemu: &Path, uid: u32) -> Accelerator {
    let device = match std::fs::metadata(DEVICE) {
        Ok(device) => device,
        Err(e) => {
            return Accelerator::Tcg {
                why: format!("{DEVICE}: {e}"),
            };
        }
    };
    match trial(qemu, ("kvm", "host"), uid, device.gid()).await {
        Ok(()) => Accelerator::Kvm,
        Err(why) => Accelerator::Tcg { why },
    }
}

async fn trial(
    qemu: &Path,
    (accelerator, cpu): (&str, &str),
    uid: u32,
    gid: u32,
) -> Result<(), String> {
    let rom = linux::spawn::memory_file(c"trial", &rom()).map_err(|e| e.to_string())?;
    let mut command = Command::new(qemu);
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-m",
        "2M",
    ]);
    command.args(["-machine", "pc", "-accel", accelerator, "-cpu", cpu]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=1"]);
    // Standard input is the one descriptor that the standard library hands over.
    command.args(["-bios", "/proc/self/fd/0"]).stdin(rom);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.uid(uid).gid(gid).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let limit = PATIENCE.as_millis();
    let slow = |_| format!("a trial guest under KVM did not finish in {limit} ms");
    let output = output.map_err(slow)?;
    verdict(&output.map_err(|e| format!("{}: {e}", qemu.display()))?)
}

fn verdict(output: &Output) -> Result<(), String> {
    if output.status.code() == Some(DONE) {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = stderr.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!(
        "a trial guest under KVM: {}",
        said.unwrap_or("QEMU ended without a word")
    ))
}

/// QEMU's version, as `--version` tells it.
pub async fn version(qemu: &Path) -> io::Result<String> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", qemu.display()));
    let output = Command::new(qemu)
        .arg("--version")
        .output()
        .await
        .map_err(named)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_whitespace()
        .skip_while(|word| *word != "version")
        .nth(1);
    version
        .map(str::to_owned)
        .ok_or_else(|| io::Error::other(format!("{} told no version", qemu.display())))
}

/// The trial guest: 64 KiB of firmware that goes straight to 64-bit mode with paging, as an
/// operating system does, counts down from ten million, and tells QEMU to exit.
fn rom() -> Vec<u8> {
    let mut rom = vec![0; 0x10000];
    rom[..PROGRAM.len()].copy_from_slice(PROGRAM);
    // A processor starts 16 octets below the end: jmp f000:0000
    rom[0xfff0..0xfff5].copy_from_slice(&[0xea, 0x00, 0x00, 0x00, 0xf0]);
    rom
}

#[rustfmt::skip]
const PROGRAM: &[u8] = &[
    0xfa,                                           // cli
    0x66, 0x31, 0xc0,                               // xor eax, eax
    0x8e, 0xd0,                                     // mov ss, ax
    0x8e, 0xc0,                                     // mov es, ax
    // Page tables at 0x1000, 0x2000 and 0x3000 map the first 2 MiB to themselves.
    0x66, 0xbf, 0x00, 0x10, 0x00, 0x00,             // mov edi, 0x1000
    0x66, 0xb9, 0x00, 0x0c, 0x00, 0x00,             // mov ecx, 0xc00
    0xfc,                                           // cld
    0x67, 0x66, 0xf3, 0xab,                         // rep stosd
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x10, 0x03, 0x20, 0x00, 0x00, // mov dword [es:0x1000], 0x2003
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x20, 0x03, 0x30, 0x00, 0x00, // mov dword [es:0x2000], 0x3003
    0x26, 0x66, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00, // mov dword [es:0x3000], 0x83
    0x66, 0xb8, 0x00, 0x10, 0x00, 0x00,             // mov eax, 0x1000
    0x0f, 0x22, 0xd8,                               // mov cr3, eax
    0x66, 0xb8, 0x20, 0x00, 0x00, 0x00,             // mov eax, 0x20           ; PAE
    0x0f, 0x22, 0xe0,                               // mov cr4, eax
    0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0,             // mov ecx, 0xc0000080     ; EFER
    0x66, 0x31, 0xd2,                               // xor edx, edx
    0x66, 0xb8, 0x00, 0x01, 0x00, 0x00,             // mov eax, 0x100          ; long mode
    0x0f, 0x30,                                     // wrmsr
    0x2e, 0x66, 0x0f, 0x01, 0x16, 0x98, 0x00,       // lgdt [cs:0x98]
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x80,             // mov eax, 0x80000001     ; paging, protection
    0x0f, 0x22, 0xc0,                               // mov cr0, eax
    0x66, 0xea, 0x72, 0x00, 0x0f, 0x00, 0x08, 0x00, // jmp 8:0xf0072
    // 0x72, 64 bits:
    0xb9, 0x80, 0x96, 0x98, 0x00,                   // mov ecx, 10000000
    0xff, 0xc9,                                     // dec ecx
    0x75, 0xfc,                                     // jnz -4
    0xb0, 0x10,                                     // mov al, 0x10
    0xe6, 0xf4,                                     // out 0xf4, al
    0xf4,                                           // hlt
    0xeb, 0xfd,                                     // jmp -3
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    // 0x88, the descriptors: none, 64-bit code.
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9b, 0xaf, 0x00,
    // 0x98, where they are.
    0x0f, 0x00, 0x88, 0x00, 0x0f, 0x00,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    #[test]
    fn a_failure_is_told_in_qemus_own_words() {
        let output = |code: i32, stderr: &str| Output {
            status: ExitStatus::from_raw(code),
            stdout: Vec::new(),
            stderr: stderr.into(),
        };
        assert_eq!(verdict(&output(DONE << 8, "warning: something\n")), Ok(()));
        let died = verdict(&output(
            6,
            "error: failed to set MSR 0x48f to 0x7fefff00036dfb\n\n",
        ));
        assert!(
            died.unwrap_err()
                .ends_with("failed to set MSR 0x48f to 0x7fefff00036dfb")
        );
        assert!(verdict(&output(0, "")).is_err());
    }

    #[tokio::test]
    async fn the_trial_guest_finishes_when_emulated() {
        let me = own_uid();
        let done = trial(Path::new("qemu-system-x86_64"), ("tcg", "max"), me, me).await;
        assert_eq!(done, Ok(()));
    }

    /// Whoever owns our own process, so that the test needs no right to change users.
    fn own_uid() -> u32 {
        std::fs::metadata("/proc/self").unwrap().uid()
    }
}
