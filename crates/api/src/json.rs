//! JSON from clients, become domain values once.

use std::net::IpAddr;
use std::str::FromStr;

use model::{Error, Kind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::context::Context;

impl Context {
    /// The body, an object, as a type.
    ///
    /// # Errors
    /// `Invalid`: what is wrong, and with which field.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T> {
        // A struct would take a list for its fields in order.
        match self.body.trim_ascii_start().first() {
            Some(b'{') | None => self.json_of_any_kind(),
            Some(_) => Err(Error::invalid(
                "The request body is not valid: it must be a JSON object",
            )),
        }
    }

    /// The body as a type, which may be a list.
    ///
    /// # Errors
    /// As for [`Context::json`].
    pub(crate) fn json_of_any_kind<T: DeserializeOwned>(&self) -> Result<T> {
        let mut reader = serde_json::Deserializer::from_slice(&self.body);
        let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|e| {
            let path = e.path().to_string();
            let why = plain(&e.into_inner().to_string());
            match path.as_str() {
                "." | "?" => Error::invalid(format!("The request body is not valid: {why}")),
                path => Error::invalid(format!(
                    "Invalid input for field/attribute {}: {why}",
                    path.replace('.', "/")
                )),
            }
        })?;
        reader
            .end()
            .map_err(|_| Error::invalid("The request body holds more than one JSON value."))?;
        Ok(value)
    }
}

/// A part of a body as a type; `path` is where it stands there.
///
/// # Errors
/// `Invalid`: what is wrong, and with which field.
pub(crate) fn parse_value<T: DeserializeOwned>(path: &str, value: Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|e| {
        let below = e.path().to_string().replace('.', "/");
        let why = plain(&e.into_inner().to_string());
        let field = if below == "/" {
            path.to_owned()
        } else {
            format!("{path}/{below}")
        };
        Error::invalid(format!("Invalid input for field/attribute {field}: {why}"))
    })
}

/// serde's words without the place in the text, which says nothing to one who gave an object.
fn plain(why: &str) -> String {
    match why.rfind(" at line ") {
        Some(end) => why[..end].to_owned(),
        None => why.to_owned(),
    }
}

/// A field that may be left out, or be `null`, with two meanings.
pub(crate) fn nullable<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// A number that clients also send as text.
pub(crate) fn number<'de, D, N>(from: D) -> Result<Option<N>, D::Error>
where
    D: Deserializer<'de>,
    N: Deserialize<'de> + FromStr,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<N> {
        Number(N),
        Text(String),
    }
    match Option::<Either<N>>::deserialize(from)? {
        None => Ok(None),
        Some(Either::Number(n)) => Ok(Some(n)),
        Some(Either::Text(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom(format!("'{text}' is not a whole number"))),
    }
}

/// A truth value that clients also send as text.
pub(crate) fn truth<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    match Option::<Value>::deserialize(from)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(b)) => Ok(Some(b)),
        Some(Value::Number(n)) if n.as_u64().is_some_and(|n| n < 2) => {
            Ok(Some(n.as_u64() == Some(1)))
        }
        Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" => Ok(Some(true)),
            "false" | "0" | "no" | "off" | "f" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom(format!(
                "'{text}' is not a boolean"
            ))),
        },
        Some(other) => Err(serde::de::Error::custom(format!(
            "{other} is not a boolean"
        ))),
    }
}

/// An id or address given as text.
///
/// # Errors
/// `Invalid`, naming the field.
pub(crate) fn parse<T: std::str::FromStr>(field: &str, text: &str) -> Result<T> {
    text.parse().map_err(|_| {
        Error::invalid(format!(
            "Invalid input for {field}. Reason: '{text}' is not valid."
        ))
    })
}

/// An id of something that must be there.
///
/// # Errors
/// `NotFound` for a text that can be no id: nothing has it.
pub(crate) fn named<T: std::str::FromStr>(kind: Kind, text: &str) -> Result<T> {
    text.parse().map_err(|_| Error::not_found(kind, text))
}

/// An address of either family, with or without brackets.
///
/// # Errors
/// `Invalid`, naming the field; also for IPv4 in the clothes of IPv6 (RFC 4291, section 2.5.5.2).
pub(crate) fn ip(field: &str, text: &str) -> Result<IpAddr> {
    match model::parse_ip(text) {
        Some(address) if address.to_canonical() == address => Ok(address),
        _ => Err(Error::invalid(format!(
            "Invalid input for {field}. Reason: '{text}' is not a valid IP address."
        ))),
    }
}

/// An address as a column's filter takes it.
pub(crate) fn address_column(address: IpAddr) -> String {
    format!("{:032x}", model::ip_to_bits(address))
}

/// Keeps only the fields a client asked for.
pub(crate) fn only(value: Value, fields: &[&str]) -> Value {
    match value {
        Value::Object(map) if !fields.is_empty() => {
            let kept: Map<_, _> = map
                .into_iter()
                .filter(|(k, _)| fields.contains(&k.as_str()))
                .collect();
            Value::Object(kept)
        }
        other => other,
    }
}
