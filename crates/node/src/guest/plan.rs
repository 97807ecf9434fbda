//! What to do next with a guest: a pure function of what is wanted and what is.

use model::{Power, Reboot};

/// All that decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// `None`: the server is deleted, or placed elsewhere.
    pub wanted: Option<Wish>,
    /// Every port's tap and filters are in place.
    pub ports_up: bool,
    pub disk: bool,
    /// The newest epochs that were carried out.
    pub done: Epochs,
    /// The epochs under which starting failed last.
    pub failed: Option<Epochs>,
    pub machine: Machine,
    pub button: Button,
}

impl Facts {
    /// Only the network is not ready for the guest.
    pub(super) fn waits_for_ports(&self) -> bool {
        !self.ports_up
            && plan(&Facts {
                ports_up: true,
                ..*self
            }) == Step::Launch
    }
}

/// The part of a server's document that says what should run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub power: Power,
    pub epochs: Epochs,
    pub reboot: Reboot,
}

/// Counters of wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Epochs {
    pub start: u64,
    pub reboot: u64,
}

/// The guest's QEMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Machine {
    /// There is none.
    Off,
    Running,
    /// The guest powered itself off; QEMU waits.
    PoweredOff,
    /// Reset, and not let run: we were killed between the two.
    Prelaunch,
    /// QEMU stopped the guest, for instance because the disk failed.
    Stalled,
    /// QEMU runs but does not answer.
    Silent,
}

/// The guest's power button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Button {
    Untouched,
    /// The guest has time left to shut down.
    Pressed(For),
    /// It has time left, but has perhaps not heard: a booting system ignores the button.
    Unheard(For),
    /// It did not use its time.
    Ignored(For),
}

/// What the button was pressed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Stop,
    Reboot,
}

/// One thing to do. Each may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing until something changes.
    Wait,
    /// Image and disk.
    Prepare,
    /// Start QEMU.
    Launch,
    Press(For),
    /// Reset the running guest.
    Reset,
    /// Reset the guest that powered itself off, and let it run.
    Revive,
    /// The wishes are fulfilled without doing anything.
    Settle,
    /// End QEMU.
    End,
    /// Remove the guest's files.
    Remove,
}

/// The next step.
pub(super) fn plan(facts: &Facts) -> Step {
    let Some(wish) = facts.wanted else {
        return match facts.machine {
            Machine::Off => Step::Remove,
            _ => Step::End,
        };
    };
    match wish.power {
        Power::Stopped => stop(facts, &wish),
        Power::Running => run(facts, &wish),
    }
}

fn stop(facts: &Facts, wish: &Wish) -> Step {
    match (facts.machine, facts.button) {
        // A guest that does not run needs no reboot.
        (Machine::Off, _) if facts.done.reboot < wish.epochs.reboot => Step::Settle,
        (Machine::Off, _) => Step::Wait,
        (Machine::Running, Button::Pressed(For::Stop)) => Step::Wait,
        (Machine::Running, Button::Ignored(For::Stop)) => Step::End,
        (Machine::Running, _) => Step::Press(For::Stop),
        _ => Step::End,
    }
}

fn run(facts: &Facts, wish: &Wish) -> Step {
    let start_due = facts.done.start < wish.epochs.start;
    let reboot_due = facts.done.reboot < wish.epochs.reboot;
    match facts.machine {
        // What a hard reboot is asked for may lie outside the guest: it gets a new QEMU, on new
        // descriptors.
        machine if reboot_due && wish.reboot == Reboot::Hard && machine != Machine::Off => {
            Step::End
        }
        // It ran under these epochs, and ended by itself.
        Machine::Off if !start_due && !reboot_due => Step::Wait,
        Machine::Off if facts.failed == Some(wish.epochs) => Step::Wait,
        Machine::Off if !facts.disk => Step::Prepare,
        Machine::Off if !facts.ports_up => Step::Wait,
        Machine::Off => Step::Launch,
        Machine::Running if reboot_due => soft_reboot(facts.button),
        // Stop, then start before the guest was down: the guest may be on its way down.
        Machine::Running if start_due => match facts.button {
            Button::Pressed(_) | Button::Unheard(_) => Step::Wait,
            Button::Untouched | Button::Ignored(_) => Step::Settle,
        },
        Machine::Running => Step::Wait,
        Machine::PoweredOff if start_due || reboot_due => Step::Revive,
        Machine::PoweredOff => Step::End,
        Machine::Prelaunch => Step::Revive,
        Machine::Stalled if start_due || reboot_due => Step::Revive,
        Machine::Stalled => Step::Wait,
        // Its process is all that we can reach.
        Machine::Silent if start_due || reboot_due => Step::End,
        Machine::Silent => Step::Wait,
    }
}

fn soft_reboot(button: Button) -> Step {
    match button {
        Button::Ignored(For::Reboot) => Step::Reset,
        Button::Pressed(For::Reboot) => Step::Wait,
        _ => Step::Press(For::Reboot),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Button::{Ignored, Pressed, Unheard, Untouched};
    use Machine::{Off, PoweredOff, Prelaunch, Running, Silent, Stalled};

    const MACHINES: [Machine; 6] = [Off, Running, PoweredOff, Prelaunch, Stalled, Silent];
    const BUTTONS: [Button; 7] = [
        Untouched,
        Pressed(For::Stop),
        Pressed(For::Reboot),
        Unheard(For::Stop),
        Unheard(For::Reboot),
        Ignored(For::Stop),
        Ignored(For::Reboot),
    ];

    fn wish(power: Power, start: u64, reboot: u64, how: Reboot) -> Option<Wish> {
        Some(Wish {
            power,
            epochs: Epochs { start, reboot },
            reboot: how,
        })
    }

    /// A guest that was started once, has all it needs, and was never asked to reboot.
    fn facts(wanted: Option<Wish>, machine: Machine, button: Button) -> Facts {
        let done = Epochs {
            start: 1,
            reboot: 0,
        };
        Facts {
            wanted,
            ports_up: true,
            disk: true,
            done,
            failed: None,
            machine,
            button,
        }
    }

    fn check(wanted: Option<Wish>, machine: Machine, button: Button, expected: Step) {
        let facts = facts(wanted, machine, button);
        assert_eq!(plan(&facts), expected, "{facts:?}");
    }

    #[test]
    fn a_new_guest_is_prepared_then_waits_for_its_ports_then_starts() {
        let wanted = wish(Power::Running, 1, 0, Reboot::Soft);
        let new = Facts {
            done: Epochs::default(),
            ..facts(wanted, Off, Untouched)
        };
        assert_eq!(
            plan(&Facts {
                disk: false,
                ports_up: false,
                ..new
            }),
            Step::Prepare
        );
        assert_eq!(
            plan(&Facts {
                ports_up: false,
                ..new
            }),
            Step::Wait
        );
        assert_eq!(plan(&new), Step::Launch);
    }

    #[test]
    fn a_failed_start_is_repeated_only_for_a_new_wish() {
        let failed = Some(Epochs {
            start: 2,
            reboot: 0,
        });
        for (start, reboot, step) in [
            (2, 0, Step::Wait),
            (3, 0, Step::Launch),
            (2, 1, Step::Launch),
        ] {
            let wanted = wish(Power::Running, start, reboot, Reboot::Hard);
            let facts = Facts {
                failed,
                ..facts(wanted, Off, Untouched)
            };
            assert_eq!(plan(&facts), step, "{facts:?}");
        }
    }

    #[test]
    fn a_started_guest_runs_until_it_ends_by_itself() {
        let wanted = wish(Power::Running, 1, 0, Reboot::Soft);
        check(wanted, Running, Untouched, Step::Wait);
        check(wanted, PoweredOff, Untouched, Step::End);
        check(wanted, Off, Untouched, Step::Wait);
        check(wanted, Stalled, Untouched, Step::Wait);
        check(wanted, Prelaunch, Untouched, Step::Revive);
        check(
            wish(Power::Running, 2, 0, Reboot::Soft),
            Off,
            Untouched,
            Step::Launch,
        );
    }

    #[test]
    fn stopping_asks_first() {
        let wanted = wish(Power::Stopped, 1, 0, Reboot::Soft);
        check(wanted, Running, Untouched, Step::Press(For::Stop));
        check(wanted, Running, Pressed(For::Stop), Step::Wait);
        check(wanted, Running, Unheard(For::Stop), Step::Press(For::Stop));
        check(wanted, Running, Ignored(For::Stop), Step::End);
        check(wanted, PoweredOff, Pressed(For::Stop), Step::End);
        check(wanted, Off, Untouched, Step::Wait);
        check(
            wish(Power::Stopped, 1, 1, Reboot::Soft),
            Off,
            Untouched,
            Step::Settle,
        );
        // A reboot was under way: the stop takes over.
        check(
            wanted,
            Running,
            Pressed(For::Reboot),
            Step::Press(For::Stop),
        );
        check(
            wanted,
            Running,
            Ignored(For::Reboot),
            Step::Press(For::Stop),
        );
    }

    #[test]
    fn starting_a_guest_that_is_being_stopped() {
        let wanted = wish(Power::Running, 2, 0, Reboot::Soft);
        check(wanted, Running, Untouched, Step::Settle);
        check(wanted, Running, Pressed(For::Stop), Step::Wait);
        check(wanted, Running, Unheard(For::Stop), Step::Wait);
        check(wanted, Running, Ignored(For::Stop), Step::Settle);
        check(wanted, PoweredOff, Pressed(For::Stop), Step::Revive);
    }

    #[test]
    fn reboots() {
        let hard = wish(Power::Running, 1, 1, Reboot::Hard);
        let soft = wish(Power::Running, 1, 1, Reboot::Soft);
        for machine in [Running, PoweredOff, Prelaunch, Stalled, Silent] {
            check(hard, machine, Untouched, Step::End);
        }
        check(hard, Running, Pressed(For::Reboot), Step::End);
        check(hard, Off, Untouched, Step::Launch);
        check(soft, Running, Untouched, Step::Press(For::Reboot));
        check(soft, Running, Pressed(For::Reboot), Step::Wait);
        check(
            soft,
            Running,
            Unheard(For::Reboot),
            Step::Press(For::Reboot),
        );
        check(soft, Running, Ignored(For::Reboot), Step::Reset);
        check(soft, Running, Pressed(For::Stop), Step::Press(For::Reboot));
        check(soft, PoweredOff, Untouched, Step::Revive);
        check(soft, Stalled, Untouched, Step::Revive);
        check(soft, Silent, Untouched, Step::End);
        check(soft, Off, Untouched, Step::Launch);
    }

    #[test]
    fn a_vanished_server_ends_whatever_it_did() {
        for machine in MACHINES {
            for button in BUTTONS {
                let expected = if machine == Off {
                    Step::Remove
                } else {
                    Step::End
                };
                check(None, machine, button, expected);
            }
        }
    }

    #[test]
    fn a_fulfilled_wish_asks_for_nothing() {
        for power in [Power::Running, Power::Stopped] {
            let machine = if power == Power::Running {
                Running
            } else {
                Off
            };
            for button in BUTTONS {
                check(wish(power, 1, 0, Reboot::Soft), machine, button, Step::Wait);
            }
        }
    }
}
