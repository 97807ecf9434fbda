//! The one function that turns desired and observed into what a client sees.

use crate::{GuestSeen, Power, PowerSeen};

/// A server's status in the compute API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Build,
    Active,
    Shutoff,
    Reboot,
    HardReboot,
    Error,
}

impl Status {
    /// The API's word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Status::Build => "BUILD",
            Status::Active => "ACTIVE",
            Status::Shutoff => "SHUTOFF",
            Status::Reboot => "REBOOT",
            Status::HardReboot => "HARD_REBOOT",
            Status::Error => "ERROR",
        }
    }
}

/// `OS-EXT-STS:task_state`: what is being done now.
pub type TaskState = Option<&'static str>;

/// What the desired side says, reduced to what the status needs.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub power: Power,
    pub start_epoch: u64,
    pub reboot_epoch: u64,
    pub hard_reboot: bool,
    pub deleting: bool,
    /// Volumes that were asked for with it are still being made.
    pub waiting: bool,
}

/// Status and task state of a server.
pub fn status(wish: Wish, seen: Option<&GuestSeen>, fault: bool) -> (Status, TaskState) {
    let (status, task) = settled(wish, seen, fault);
    match wish.deleting {
        true => (status, Some("deleting")),
        false => (status, task),
    }
}

fn settled(wish: Wish, seen: Option<&GuestSeen>, fault: bool) -> (Status, TaskState) {
    let Some(guest) = seen else {
        return match fault {
            true => (Status::Error, None),
            false if wish.waiting => (Status::Build, Some("block_device_mapping")),
            false => (Status::Build, Some("scheduling")),
        };
    };
    if fault || guest.failure.is_some() {
        return (Status::Error, None);
    }
    if guest.started_epoch == 0 {
        return (Status::Build, Some("spawning"));
    }
    match (wish.power, guest.power) {
        // A hard reboot ends one QEMU and starts another.
        (Power::Running, _) if guest.rebooted_epoch < wish.reboot_epoch => match wish.hard_reboot {
            true => (Status::HardReboot, Some("rebooting_hard")),
            false => (Status::Reboot, Some("rebooting")),
        },
        (Power::Running, PowerSeen::Running) => (Status::Active, None),
        (Power::Running, _) if guest.started_epoch < wish.start_epoch => {
            (Status::Shutoff, Some("powering-on"))
        }
        // The guest ran under this epoch and powered itself off: it has what it wanted.
        (Power::Running, _) => (Status::Shutoff, None),
        (Power::Stopped, PowerSeen::Running) => (Status::Active, Some("powering-off")),
        (Power::Stopped, _) => (Status::Shutoff, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServerId;

    fn check(
        power: Power,
        epochs: (u64, u64),
        seen: Option<(PowerSeen, u64, u64)>,
        expected: (Status, TaskState),
    ) {
        let wish = Wish {
            power,
            start_epoch: epochs.0,
            reboot_epoch: epochs.1,
            hard_reboot: false,
            deleting: false,
            waiting: false,
        };
        let seen = seen.map(|(power, started_epoch, rebooted_epoch)| GuestSeen {
            server: ServerId::random(),
            power,
            started_epoch,
            rebooted_epoch,
            failure: None,
            launched_ms: None,
            attachments: Vec::new(),
            ended: None,
        });
        assert_eq!(status(wish, seen.as_ref(), false), expected);
    }

    #[test]
    fn what_a_client_sees() {
        use Power::{Running, Stopped};
        check(Running, (1, 0), None, (Status::Build, Some("scheduling")));
        check(
            Running,
            (1, 0),
            Some((PowerSeen::Preparing, 0, 0)),
            (Status::Build, Some("spawning")),
        );
        check(
            Running,
            (1, 0),
            Some((PowerSeen::Running, 1, 0)),
            (Status::Active, None),
        );
        check(
            Running,
            (1, 1),
            Some((PowerSeen::Stopped, 1, 0)),
            (Status::Reboot, Some("rebooting")),
        );
        check(
            Running,
            (1, 1),
            Some((PowerSeen::Running, 1, 0)),
            (Status::Reboot, Some("rebooting")),
        );
        check(
            Running,
            (1, 0),
            Some((PowerSeen::Stopped, 1, 0)),
            (Status::Shutoff, None),
        );
        check(
            Running,
            (2, 0),
            Some((PowerSeen::Stopped, 1, 0)),
            (Status::Shutoff, Some("powering-on")),
        );
        check(
            Stopped,
            (1, 0),
            Some((PowerSeen::Running, 1, 0)),
            (Status::Active, Some("powering-off")),
        );
        check(
            Stopped,
            (1, 0),
            Some((PowerSeen::Stopped, 1, 0)),
            (Status::Shutoff, None),
        );
    }
}
