//! What guests boot: they need no operating system.

/// What a guest does after it said hello.
#[derive(Clone, Copy)]
pub(crate) enum Sector {
    /// Runs, and does not hear its power button.
    Deaf,
    /// Powers itself off after half a second.
    Brief,
    /// Powers itself off when its button is pressed.
    Polite,
}

/// `si = text; dx = 0x3f8; while (al = *si++) out dx, al`
const HELLO: &[u8] =
    b"\x31\xc0\x8e\xd8\xbe\x60\x7c\xba\xf8\x03\xfc\xac\x84\xc0\x74\x03\xee\xeb\xf8";
/// `sti; forever hlt`
const HALT: &[u8] = b"\xfb\xf4\xeb\xfc";
/// `sti; 9 times hlt` (the timer wakes it 18 times a second)
const PAUSE: &[u8] = b"\xfb\xb9\x09\x00\xf4\xe2\xfd";
/// `outw 0x602, 0x100; sti; do hlt while !(inw(0x600) & 0x100)`: the power button's enable and
/// status bits of ACPI's PM1 registers.
const BUTTON: &[u8] = b"\xba\x02\x06\xb8\x00\x01\xef\xfb\xba\x00\x06\xf4\xed\xf6\xc4\x01\x74\xf9";
/// `outw 0x604, 0x2000; forever hlt`: ACPI's soft off.
const OFF: &[u8] = b"\xba\x04\x06\xb8\x00\x20\xef\xf4\xeb\xfd";
/// Where the text is, after the program.
const TEXT: usize = 0x60;

impl Sector {
    /// A disk of 1 MiB, because the firmware boots none without a whole cylinder.
    pub(crate) fn disk(self) -> Vec<u8> {
        let program = match self {
            Sector::Deaf => [HELLO, HALT].concat(),
            Sector::Brief => [HELLO, PAUSE, OFF].concat(),
            Sector::Polite => [HELLO, BUTTON, OFF].concat(),
        };
        let mut disk = vec![0; 1 << 20];
        disk[..program.len()].copy_from_slice(&program);
        disk[TEXT..][..8].copy_from_slice(b"hello\r\n\0");
        disk[510..512].copy_from_slice(b"\x55\xaa");
        disk
    }
}

/// A kernel after the Multiboot specification, 3.1, that says its command line.
pub(super) fn multiboot_kernel() -> Vec<u8> {
    const MAGIC: u32 = 0x1bad_b002;
    const WITH_ADDRESSES: u32 = 1 << 16;
    const AT: u32 = 0x10_0000;
    const HEADER: u32 = 32;
    // esi = info->cmdline; dx = 0x3f8; while (al = *esi++) out dx, al; forever hlt
    const PROGRAM: &[u8] =
        b"\x8b\x73\x10\x66\xba\xf8\x03\xac\x84\xc0\x74\x03\xee\xeb\xf8\xf4\xeb\xfd";
    let checksum = 0_u32.wrapping_sub(MAGIC).wrapping_sub(WITH_ADDRESSES);
    let end = AT + HEADER + PROGRAM.len() as u32;
    let header = [
        MAGIC,
        WITH_ADDRESSES,
        checksum,
        AT,
        AT,
        end,
        end,
        AT + HEADER,
    ];
    let mut kernel: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
    kernel.extend_from_slice(PROGRAM);
    kernel.resize(8192, 0);
    kernel
}
