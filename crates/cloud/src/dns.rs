//! What names of ports and domains may be (neutron's extensions `dns-integration` and
//! `dns-domain-ports`), and the domain of networks that name none.

use model::{Error, Key, Result};
use store::{Query, row};

use crate::{Cloud, resolver};

/// Characters of a name with the dot at its end; on the wire it is one octet longer (RFC 1035,
/// section 2.3.4).
const FQDN_MAX: usize = 254;

impl Cloud {
    /// Takes the domain of networks that name none from the settings, and gives a resolver to
    /// networks that were made before there were any.
    ///
    /// # Errors
    /// `Invalid` when it is no domain.
    pub fn use_dns_domain(&self, domain: &str) -> Result<()> {
        let domain = match domain.ends_with('.') {
            true => domain.to_ascii_lowercase(),
            false => format!("{}.", domain.to_ascii_lowercase()),
        };
        check_domain("dns_domain", &domain)?;
        self.store().write(|tx| {
            let changed = tx.dns_domain()? != domain;
            if changed {
                tx.set_dns_domain(&domain)?;
            }
            for network in tx.list::<row::Network>(&Query::all())? {
                resolver::settle(tx, &network.id)?;
                if changed && network.dns_domain.is_empty() {
                    tx.touch(Key::Network(network.id))?;
                }
            }
            Ok(())
        })
    }
}

/// Whether a port may be called so. `cloud` is the cloud's own domain: a whole name lies in it.
pub(crate) fn check_name(name: &str, cloud: &str) -> Result<()> {
    check_labels("dns_name", name)?;
    let above = format!(".{cloud}");
    if name.ends_with('.') && (name.len() <= above.len() || !name.ends_with(&above)) {
        return Err(Error::invalid(format!(
            "Invalid input for dns_name. Reason: The dns_name passed is a FQDN. Its higher level labels must be equal to the dns_domain of this cloud, '{cloud}', with one or more labels to the left of it."
        )));
    }
    if !name.is_empty() && !name.ends_with('.') && name.len() + above.len() > FQDN_MAX {
        return Err(Error::invalid(format!(
            "Invalid input for dns_name. Reason: '{name}' with the domain '{cloud}' exceeds the {FQDN_MAX} characters of a FQDN."
        )));
    }
    Ok(())
}

/// Whether a floating IP may be called so: it is always called in a domain of its own.
pub(crate) fn check_floating(name: &str, domain: &str) -> Result<()> {
    check_labels("dns_name", name)?;
    check_domain("dns_domain", domain)?;
    if name.ends_with('.') {
        return Err(Error::invalid(format!(
            "Invalid input for dns_name. Reason: '{name}' is a FQDN. It should be a relative domain name."
        )));
    }
    if name.is_empty() != domain.is_empty() {
        let (there, missing) = match name.is_empty() {
            true => ("dns_domain", "dns_name"),
            false => ("dns_name", "dns_domain"),
        };
        return Err(Error::invalid(format!(
            "Bad floatingip request: {there} cannot be specified without a {missing}."
        )));
    }
    match name.len() + 1 + domain.len() > FQDN_MAX {
        false => Ok(()),
        true => Err(Error::invalid(format!(
            "Invalid input for dns_name. Reason: '{name}' with the domain '{domain}' exceeds the {FQDN_MAX} characters of a FQDN."
        ))),
    }
}

/// Whether something may be a domain: nothing, or a whole name with room for another before it.
pub(crate) fn check_domain(field: &str, domain: &str) -> Result<()> {
    let wrong = |why: String| Error::invalid(format!("Invalid input for {field}. Reason: {why}"));
    if !domain.is_empty() && !domain.ends_with('.') {
        return Err(wrong(format!(
            "'{domain}' is not a FQDN: it ends in no dot"
        )));
    }
    check_labels(field, domain)?;
    match domain.len() + 2 > FQDN_MAX {
        false => Ok(()),
        true => Err(wrong(format!(
            "'{domain}' contains {} characters. Adding a sub-domain will cause it to exceed the maximum length of a FQDN of '{FQDN_MAX}'",
            domain.len()
        ))),
    }
}

/// Whether a text is made of labels (RFC 1123, section 2.1).
fn check_labels(field: &str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let labels: Vec<&str> = text.strip_suffix('.').unwrap_or(text).split('.').collect();
    let numeric = |label: &str| label.bytes().all(|c| c.is_ascii_digit());
    let plain = |label: &str| {
        label
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-')
    };
    let wrong = |label: &&str| {
        if label.is_empty() {
            Some("Encountered an empty component".to_owned())
        } else if label.starts_with('-') || label.ends_with('-') {
            Some(format!(
                "Name '{label}' must not start or end with a hyphen"
            ))
        } else if label.len() > 63 || !plain(label) {
            Some(format!(
                "Name '{label}' must be 1-63 characters long, each of which can only be alphanumeric or a hyphen"
            ))
        } else {
            None
        }
    };
    let top = labels.last().filter(|top| labels.len() > 1 && numeric(top));
    let too_long =
        (text.len() > FQDN_MAX).then(|| format!("it exceeds the {FQDN_MAX} characters of a FQDN"));
    let why = too_long
        .or_else(|| labels.iter().find_map(wrong))
        .or_else(|| top.map(|top| format!("TLD '{top}' must not be all numeric")));
    match why {
        None => Ok(()),
        Some(why) => Err(Error::invalid(format!(
            "Invalid input for {field}. Reason: '{text}' not a valid PQDN or FQDN. Reason: {why}."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_letters_digits_and_hyphens() {
        let label = "a".repeat(63);
        let long = [label.as_str(); 4].join(".");
        for (name, good) in [
            ("", true),
            ("web", true),
            ("web-1.rack2", true),
            ("10", true),
            ("web.a.example.", true),
            (&label, true),
            ("web.", false),
            ("a.example.", false),
            ("weba.example.", false),
            ("web.b.example.", false),
            ("web_1", false),
            ("-web", false),
            ("web-", false),
            ("web..a", false),
            (".", false),
            ("web 1", false),
            ("wéb", false),
            ("web.10", false),
            (&format!("{label}a"), false),
            (&long, false),
        ] {
            assert_eq!(check_name(name, "a.example.").is_ok(), good, "{name}");
        }
    }

    #[test]
    fn domains_are_whole() {
        let label = "a".repeat(62);
        let long = format!("{}.", [label.as_str(); 4].join("."));
        for (domain, good) in [
            ("", true),
            ("example.", true),
            ("a.example.", true),
            (&long[1..], true),
            (&long, true),
            (&format!("a{long}"), false),
            ("example", false),
            (".", false),
            ("a..example.", false),
            ("exa mple.", false),
            ("example.10.", false),
        ] {
            assert_eq!(check_domain("dns_domain", domain).is_ok(), good, "{domain}");
        }
    }

    #[test]
    fn a_floating_ip_has_both_or_none() {
        for (name, domain, good) in [
            ("", "", true),
            ("web", "example.", true),
            ("web", "", false),
            ("", "example.", false),
            ("web.", "example.", false),
            ("web", "example", false),
        ] {
            assert_eq!(
                check_floating(name, domain).is_ok(),
                good,
                "{name} {domain}"
            );
        }
    }
}
