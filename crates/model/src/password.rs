//! The password that a guest made for its user.

use serde::{Deserialize, Serialize};

/// The most octets a guest may tell: four of nova's pieces of 255.
pub const PASSWORD_MAX: usize = 4 * 255;

/// What a guest told, mostly encrypted with its user's public key.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// `None`: none is set.
    pub text: Option<String>,
    /// Grows each time one is set or cleared. Who tells a new one says which of these it follows, so
    /// that word of it, however late or often it comes, undoes nothing that was done since.
    pub epoch: u64,
}

impl Password {
    /// This one, followed by another, or by none.
    pub fn followed_by(&self, text: Option<String>) -> Password {
        let epoch = self.epoch + 1;
        Password { text, epoch }
    }
}

/// Never shows it.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text.as_ref().map(|_| "..");
        write!(f, "Password {{ text: {text:?}, epoch: {} }}", self.epoch)
    }
}

/// A password that a guest has told its node.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordSeen {
    pub server: crate::ServerId,
    /// That of the [`Password`] which it follows.
    pub epoch: u64,
    pub text: String,
}

/// Never shows it.
impl std::fmt::Debug for PasswordSeen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PasswordSeen { server, epoch, .. } = self;
        write!(f, "PasswordSeen {{ server: {server}, epoch: {epoch}, .. }}")
    }
}
