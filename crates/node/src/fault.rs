//! What a node says of what went wrong, as the owner of the thing may read it: without the host's
//! paths, which stand in the log. Everything that leaves for the controller passes here.

use model::Seen;

/// What stands for a path.
const FILE: &str = "a file of the node";

/// The same news for a tenant's eyes.
pub(crate) fn told(seen: Seen) -> Seen {
    match seen {
        Seen::Guest(mut guest) => {
            guest.failure = guest.failure.map(|why| without_paths(&why));
            for one in &mut guest.attachments {
                one.failure = one.failure.take().map(|why| without_paths(&why));
            }
            Seen::Guest(guest)
        }
        Seen::Volume(mut volume) => {
            volume.failure = volume.failure.map(|why| without_paths(&why));
            Seen::Volume(volume)
        }
        other => other,
    }
}

/// A sentence in which no absolute path of more than one name is left: what begins with a slash
/// that follows no word, and holds another. Prefixes such as `::/0` are none.
pub(crate) fn without_paths(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('/') {
        let (before, from) = rest.split_at(at);
        let length = from.find(ends).unwrap_or(from.len());
        let (word, after) = from.split_at(length);
        out.push_str(before);
        let begins = !before.ends_with(|c: char| c.is_alphanumeric() || "./_-".contains(c));
        let url = before.ends_with(':') && word.starts_with("//");
        let path = begins && !url && word[1..].trim_matches('/').contains('/');
        out.push_str(if path { FILE } else { word });
        rest = after;
    }
    out + rest
}

fn ends(c: char) -> bool {
    c.is_whitespace() || ":;,'\"()[]{}<>`".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{AttachmentId, AttachmentSeen, GuestSeen, PowerSeen, ServerId};

    #[test]
    fn paths_go_and_the_rest_stays() {
        for (text, expected) in [
            (
                "making /var/lib/x/disk.raw: No space left",
                "making a file of the node: No space left",
            ),
            (
                "'/a/b' and (/c/d/)",
                "'a file of the node' and (a file of the node)",
            ),
            ("see https://example.org/a/b", "see https://example.org/a/b"),
            ("=/etc/passwd", "=a file of the node"),
            (
                "2001:db8::/64, ::/0, 10.0.0.0/8 and/or",
                "2001:db8::/64, ::/0, 10.0.0.0/8 and/or",
            ),
            (
                "[::1]:3260 refused the connection",
                "[::1]:3260 refused the connection",
            ),
            (
                "https://[::1]:8443/a/b, / and é/ü/x",
                "https://[::1]:8443/a/b, / and é/ü/x",
            ),
        ] {
            assert_eq!(without_paths(text), expected);
        }
    }

    #[test]
    fn every_reason_of_a_guest_is_told_without() {
        let why = || Some("opening /root/x: denied".to_owned());
        let told = told(Seen::Guest(GuestSeen {
            server: ServerId::random(),
            power: PowerSeen::Stopped,
            started_epoch: 0,
            rebooted_epoch: 0,
            failure: why(),
            launched_ms: None,
            attachments: vec![AttachmentSeen {
                id: AttachmentId::random(),
                failure: why(),
            }],
            ended: None,
        }));
        let told = serde_json::to_string(&told).unwrap();
        assert!(
            !told.contains("/root") && told.matches(FILE).count() == 2,
            "{told}"
        );
    }
}
