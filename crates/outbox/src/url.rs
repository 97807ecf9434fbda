//! Transport URLs as oslo.messaging writes them.

use std::fmt;

/// AMQP over TLS, as IANA numbers it.
const PORT: u16 = 5671;

/// `rabbit://USER:PASSWORD@HOST:PORT,USER:PASSWORD@HOST:PORT/VIRTUAL_HOST`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportUrl {
    /// At least one.
    pub brokers: Vec<Broker>,
    pub virtual_host: String,
}

/// One of the brokers in a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Broker {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    pub user: String,
    /// `None`: it stands elsewhere.
    pub password: Option<String>,
}

impl fmt::Debug for Broker {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} port {}", self.host, self.port)
    }
}

impl TransportUrl {
    /// The parts of a URL.
    ///
    /// # Errors
    /// A sentence that says what is wrong, without any password.
    pub fn parse(text: &str) -> Result<TransportUrl, String> {
        let rest = text
            .strip_prefix("rabbit://")
            .ok_or("it must begin with rabbit://")?;
        if rest.contains(['?', '#']) {
            return Err("nothing may follow the virtual host: TLS is always used, and what else there is to set has a setting".into());
        }
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let virtual_host = match decoded(path)? {
            path if path.is_empty() => "/".to_owned(),
            path => path,
        };
        if virtual_host.len() > wire::amqp::SHORT_MAX {
            return Err("the virtual host is longer than 255 octets".into());
        }
        let brokers: Vec<_> = hosts.split(',').map(broker).collect::<Result<_, _>>()?;
        Ok(TransportUrl {
            brokers,
            virtual_host,
        })
    }
}

fn broker(text: &str) -> Result<Broker, String> {
    let (who, place) = text
        .rsplit_once('@')
        .ok_or("each host needs a user before it: USER:PASSWORD@HOST")?;
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(decoded(password)?)),
        None => (who, None),
    };
    let user = decoded(user)?;
    if user.is_empty() {
        return Err("a user is empty".into());
    }
    let wrong =
        || format!("'{place}' is no host with or without a port; an address stands in brackets");
    let (host, port) = model::parse_host_port(place).ok_or_else(wrong)?;
    if host.is_empty() || port == Some(0) || host.contains(|c: char| c.is_whitespace() || c == '/')
    {
        return Err(wrong());
    }
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(format!(
            "'{host}' is an IPv4 address: brokers are reached over IPv6 only"
        ));
    }
    Ok(Broker {
        host,
        port: port.unwrap_or(PORT),
        user,
        password,
    })
}

/// Percent-decoding (RFC 3986, section 2.1), strictly: a password that is almost right helps nobody.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || "a '%' in it must be followed by two hex digits, and make UTF-8".to_owned();
    let mut octets = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    octets.extend(parts.next().unwrap_or_default().bytes());
    for part in parts {
        let digits = part.get(..2).ok_or_else(wrong)?;
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let octet = u8::from_str_radix(digits, 16).ok().filter(|_| hex);
        octets.push(octet.ok_or_else(wrong)?);
        octets.extend(part[2..].bytes());
    }
    String::from_utf8(octets).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, brokers: &[(&str, u16, &str, Option<&str>)], virtual_host: &str) {
        let url = TransportUrl::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        let found = url.brokers.iter();
        let found: Vec<_> = found
            .map(|b| (&*b.host, b.port, &*b.user, b.password.as_deref()))
            .collect();
        assert_eq!(found, brokers, "{text}");
        assert_eq!(url.virtual_host, virtual_host, "{text}");
    }

    #[test]
    fn urls_are_as_oslo_messaging_writes_them() {
        check(
            "rabbit://nova:s3c@mq.example:5671/",
            &[("mq.example", 5671, "nova", Some("s3c"))],
            "/",
        );
        check(
            "rabbit://nova@[2001:db8::5]",
            &[("2001:db8::5", 5671, "nova", None)],
            "/",
        );
        check(
            "rabbit://u:p@2001:db8::5/v",
            &[("2001:db8::5", 5671, "u", Some("p"))],
            "v",
        );
        check(
            "rabbit://a:b@one:1,c%40d:%3a%2F%25@[::1]:2/cloud%2fone",
            &[("one", 1, "a", Some("b")), ("::1", 2, "c@d", Some(":/%"))],
            "cloud/one",
        );
        check(
            "rabbit://a:b:c@one//",
            &[("one", 5671, "a", Some("b:c"))],
            "/",
        );
        check(
            "rabbit://a@b:c@one",
            &[("one", 5671, "a@b", Some("c"))],
            "/",
        );
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (text, why) in [
            ("amqp://u:secret@h/", "rabbit://"),
            ("rabbit://h:5671/", "needs a user"),
            ("rabbit://:secret@h/", "user is empty"),
            ("rabbit://u:secret@/", "no host"),
            ("rabbit://u:secret@h:0/", "no host"),
            ("rabbit://u:secret@h:port/", "no host"),
            ("rabbit://u:secret@[::1/", "no host"),
            ("rabbit://u:secret@192.0.2.1:5671/", "is an IPv4 address"),
            ("rabbit://u:secret@h,/", "needs a user"),
            ("rabbit://u:secret%4@h/", "two hex digits"),
            ("rabbit://u:secret%+4@h/", "two hex digits"),
            ("rabbit://u:secret%ff@h/", "UTF-8"),
            ("rabbit://u:secret@h/v?ssl=0", "nothing may follow"),
            ("rabbit://", "needs a user"),
        ] {
            let error = TransportUrl::parse(text).unwrap_err();
            assert!(
                error.contains(why) && !error.contains("secret"),
                "{text}: {error}"
            );
        }
        let long = format!("rabbit://u:p@h/{}", "v".repeat(256));
        assert!(TransportUrl::parse(&long).unwrap_err().contains("255"));
        let url = TransportUrl::parse("rabbit://u:secret@h/").unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }
}
