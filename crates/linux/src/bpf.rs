//! Programs for the kernel's traffic control: those that put a VLAN's tag on a frame and take it off.
//!
//! They are a dozen instructions each, so they are written here by hand; nothing is compiled, and no
//! VLAN device is needed, which some kernels lack.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// `struct bpf_insn`: an instruction of eBPF (RFC 9669, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    opcode: u8,
    to: u8,
    from: u8,
    offset: i16,
    value: i32,
}

/// A program with its instructions as the kernel reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program(Vec<u8>);

// Opcodes (RFC 9669, section 4 and 5).
const LOAD_WORD: u8 = 0x61;
const MOVE_REGISTER: u8 = 0xbf;
const MOVE: u8 = 0xb7;
const AND: u8 = 0x57;
const JUMP_IF_NOT: u8 = 0x55;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;

// linux/bpf.h
const SKB_VLAN_TCI: i16 = 24;
const SKB_VLAN_PUSH: i32 = 18;
const SKB_VLAN_POP: i32 = 19;
const REDIRECT: i32 = 23;
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

// linux/pkt_cls.h
const TC_ACT_UNSPEC: i32 = -1;
const TC_ACT_SHOT: i32 = 2;

/// IEEE 802.1Q, as it stands in a frame.
pub(crate) const ETH_P_8021Q: u16 = 0x8100;

impl Program {
    /// Takes the tag of VLAN `id` off a frame and sends it out of the link with this index; frames of
    /// other VLANs are left to the next program.
    pub(crate) fn pop(id: u16, index: u32) -> Program {
        let own = [
            op(MOVE_REGISTER, 6, 1, 0, 0),
            op(LOAD_WORD, 2, 1, SKB_VLAN_TCI, 0),
            op(AND, 2, 0, 0, 0xfff),
            op(JUMP_IF_NOT, 2, 0, 9, i32::from(id)),
            op(MOVE_REGISTER, 1, 6, 0, 0),
            op(CALL, 0, 0, 0, SKB_VLAN_POP),
        ];
        let rest = [op(MOVE, 0, 0, 0, TC_ACT_UNSPEC), op(EXIT, 0, 0, 0, 0)];
        Program::of(own.into_iter().chain(out_of(index)).chain(rest))
    }

    /// Puts the tag of VLAN `id` on every frame and sends it out of the link with this index.
    pub(crate) fn push(id: u16, index: u32) -> Program {
        let own = [
            op(MOVE, 2, 0, 0, i32::from(ETH_P_8021Q.to_be())),
            op(MOVE, 3, 0, 0, i32::from(id)),
            op(CALL, 0, 0, 0, SKB_VLAN_PUSH),
        ];
        Program::of(own.into_iter().chain(out_of(index)))
    }

    fn of(instructions: impl Iterator<Item = Instruction>) -> Program {
        Program(instructions.flat_map(Instruction::bytes).collect())
    }

    /// Has the kernel check it, and gives the descriptor by which a filter takes it.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_BPF` and `CAP_NET_ADMIN`; `InvalidInput` from a kernel without BPF.
    pub(crate) fn load(&self) -> io::Result<OwnedFd> {
        let license = c"Apache-2.0";
        let attributes = Load {
            program_type: BPF_PROG_TYPE_SCHED_CLS,
            count: (self.0.len() / 8) as u32,
            instructions: self.0.as_ptr() as u64,
            license: license.as_ptr() as u64,
        };
        // SAFETY: the attributes are whole and what they point to outlives the call.
        let descriptor = unsafe {
            libc::syscall(
                libc::SYS_bpf,
                BPF_PROG_LOAD,
                &raw const attributes,
                size_of::<Load>(),
            )
        };
        match i32::try_from(descriptor) {
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes the rest for zeroes.
#[repr(C)]
struct Load {
    program_type: u32,
    count: u32,
    instructions: u64,
    license: u64,
}

/// Drops the frame if the call before failed, else sends it.
fn out_of(index: u32) -> [Instruction; 7] {
    [
        op(JUMP_IF_NOT, 0, 0, 4, 0),
        op(MOVE, 1, 0, 0, index.cast_signed()),
        op(MOVE, 2, 0, 0, 0),
        op(CALL, 0, 0, 0, REDIRECT),
        op(EXIT, 0, 0, 0, 0),
        op(MOVE, 0, 0, 0, TC_ACT_SHOT),
        op(EXIT, 0, 0, 0, 0),
    ]
}

fn op(opcode: u8, to: u8, from: u8, offset: i16, value: i32) -> Instruction {
    Instruction {
        opcode,
        to,
        from,
        offset,
        value,
    }
}

impl Instruction {
    fn bytes(self) -> [u8; 8] {
        let registers = if cfg!(target_endian = "little") {
            self.from << 4 | self.to
        } else {
            self.to << 4 | self.from
        };
        let [a, b] = self.offset.to_ne_bytes();
        let [c, d, e, f] = self.value.to_ne_bytes();
        [self.opcode, registers, a, b, c, d, e, f]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_vlans_are_left_alone() {
        let Program(bytes) = Program::pop(100, 7);
        // The jump leads to the last two instructions: "not mine", and the end.
        let jump = 3;
        let target = jump + 1 + usize::from(bytes[jump * 8 + 2]);
        let unspec = op(MOVE, 0, 0, 0, TC_ACT_UNSPEC).bytes();
        assert_eq!(bytes[target * 8..target * 8 + 8], unspec);
        assert_eq!(bytes.len(), (target + 2) * 8);
    }

    #[test]
    fn a_tag_stands_in_network_order() {
        let Program(bytes) = Program::push(100, 7);
        let tag = i32::from_ne_bytes(bytes[4..8].try_into().unwrap());
        assert_eq!(u16::try_from(tag).unwrap().to_ne_bytes(), [0x81, 0x00]);
    }
}
