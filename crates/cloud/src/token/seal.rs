//! Sealed tokens: AES-256-GCM over a small JSON document, in base64url.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::{Error, Result};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::Token;
use crate::password;

/// The key that seals tokens: 32 octets.
pub struct Secret(LessSafeKey);

impl Secret {
    /// # Errors
    /// `Invalid` unless there are 32 octets.
    pub fn new(octets: &[u8]) -> Result<Secret> {
        let key = UnboundKey::new(&AES_256_GCM, octets)
            .map_err(|_| Error::invalid("the token key must have 32 octets"))?;
        Ok(Secret(LessSafeKey::new(key)))
    }

    /// New random octets for a key.
    ///
    /// # Errors
    /// `Internal` when the system gives none.
    pub fn random() -> Result<[u8; 32]> {
        password::random()
    }

    /// A token as its holder has it.
    pub(super) fn seal(&self, token: &Token) -> Result<String> {
        let nonce = password::random::<12>()?;
        let mut data =
            serde_json::to_vec(token).map_err(|e| Error::internal("writing a token", e))?;
        self.0
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut data)
            .map_err(|e| Error::internal("sealing a token", e.to_string()))?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &data].concat()))
    }

    /// What a token says that this key has sealed.
    pub(super) fn unseal(&self, text: &str) -> Option<Token> {
        let open = || {
            let data = URL_SAFE_NO_PAD.decode(text).ok()?;
            let (nonce, sealed) = data.split_at_checked(12)?;
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let mut sealed = sealed.to_vec();
            let plain = self
                .0
                .open_in_place(nonce, Aad::empty(), &mut sealed)
                .ok()?;
            serde_json::from_slice(plain).ok()
        };
        open()
    }
}
