//! What a user hands to a guest's first boot.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// Octets that stand as base64 wherever they are text: in the API, in rows, in documents.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserData(pub Vec<u8>);

/// It may hold secrets, so only its length is shown.
impl std::fmt::Debug for UserData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserData({} octets)", self.0.len())
    }
}

impl TryFrom<String> for UserData {
    type Error = String;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let joined: String = text.split_ascii_whitespace().collect();
        let octets = STANDARD.decode(joined).map_err(|_| "it must be base64")?;
        Ok(UserData(octets))
    }
}

impl From<UserData> for String {
    fn from(data: UserData) -> Self {
        STANDARD.encode(data.0)
    }
}
