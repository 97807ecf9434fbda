//! The one function that turns desired and observed into a volume's status.

use crate::VolumeSeen;

/// What the desired side says of a volume, reduced to what its status needs.
#[derive(Clone, Copy, Debug)]
pub struct VolumeWish {
    pub size_gib: u32,
    pub deleting: bool,
    pub attached: Option<Attached>,
}

/// How far a volume's attachment has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// The server is to have it, and has not had it yet.
    Attaching,
    /// The server has it, or will when it is started again.
    InUse,
    /// The server is to have it no longer, and may have it yet.
    Detaching,
}

/// A volume's status in the volume API. `made` tells that its data has been whole once: what its
/// node says later is of how it is served, and does not unmake it.
pub fn volume_status(
    wish: VolumeWish,
    seen: Option<&VolumeSeen>,
    made: bool,
    fault: bool,
) -> &'static str {
    if wish.deleting {
        return "deleting";
    }
    match wish.attached {
        // A volume that is made for its server is there before it is attached.
        Some(Attached::Attaching) if made => return "attaching",
        Some(Attached::InUse) => return "in-use",
        Some(Attached::Detaching) => return "detaching",
        Some(Attached::Attaching) | None => {}
    }
    let failed = seen.is_some_and(|s| s.failure.is_some());
    let small = seen.is_some_and(|s| s.ready && s.size_gib < wish.size_gib);
    match (made, small) {
        _ if fault => "error",
        (true, true) if failed => "error_extending",
        (true, true) => "extending",
        _ if failed => "error",
        (true, false) => "available",
        (false, _) => "creating",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VolumeId;

    struct Case {
        deleting: bool,
        attached: Option<Attached>,
        /// Whether it is ready, its size, and whether it failed.
        seen: Option<(bool, u32, bool)>,
        made: bool,
    }

    const NEW: Case = Case {
        deleting: false,
        attached: None,
        seen: None,
        made: false,
    };

    fn check(case: Case, expected: &str) {
        let wish = VolumeWish {
            size_gib: 2,
            deleting: case.deleting,
            attached: case.attached,
        };
        let seen = case.seen.map(|(ready, size_gib, failed)| VolumeSeen {
            volume: VolumeId::random(),
            ready,
            size_gib,
            failure: failed.then(|| "no room".to_owned()),
        });
        let status = volume_status(wish, seen.as_ref(), case.made, false);
        assert_eq!(status, expected);
    }

    #[test]
    fn what_a_client_sees() {
        let seen = |ready, size, failed, made| Case {
            seen: Some((ready, size, failed)),
            made,
            ..NEW
        };
        check(NEW, "creating");
        check(seen(false, 0, false, false), "creating");
        check(seen(false, 0, true, false), "error");
        check(seen(true, 2, false, true), "available");
        check(seen(true, 1, false, true), "extending");
        check(seen(true, 1, true, true), "error_extending");
        // Its node has just started, and says so before it serves the volume again.
        check(seen(false, 2, false, true), "available");
        check(seen(false, 2, true, true), "error");
        for (attached, expected) in [
            (Attached::Attaching, "attaching"),
            (Attached::InUse, "in-use"),
            (Attached::Detaching, "detaching"),
        ] {
            let attached = Some(attached);
            let case = seen(false, 2, true, true);
            check(Case { attached, ..case }, expected);
        }
        let attached = Some(Attached::Attaching);
        check(Case { attached, ..NEW }, "creating");
        let failed = seen(false, 0, true, false);
        check(Case { attached, ..failed }, "error");
        let deleting = true;
        check(Case { deleting, ..NEW }, "deleting");
    }

    #[test]
    fn a_volume_that_has_no_place_is_an_error() {
        let wish = VolumeWish {
            size_gib: 1,
            deleting: false,
            attached: None,
        };
        assert_eq!(volume_status(wish, None, false, true), "error");
    }
}
