//! The account with a server. Its key is on the disk before the server hears of it: whatever breaks
//! off, the next attempt asks for the same account again (RFC 8555, section 7.3), which matters
//! where an external key may be bound once only.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::jws::{AccountKey, As, encode};
use crate::server::Server;
use crate::{Error, Settings, file};

/// An account, as far as it is known.
pub(crate) struct Account {
    file: PathBuf,
    pub(crate) key: AccountKey,
    /// Where it is with the server; `None` until the server has said so.
    pub(crate) url: Option<String>,
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Kept {
    directory: String,
    /// PKCS #8, in base64url.
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
}

impl Account {
    /// The one in the file; where there is none, or one with another server, a new key is made.
    ///
    /// # Errors
    /// When the file holds something else, or cannot be written.
    pub(crate) fn read(settings: &Settings) -> Result<Account, Error> {
        let path = &settings.account;
        let broken = |why: String| Error::Account {
            file: path.clone(),
            why,
        };
        let kept: Option<Kept> = match std::fs::read(path) {
            Ok(text) => Some(serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?),
            Err(e) if e.kind() == ErrorKind::NotFound => None,
            Err(e) => return Err(broken(e.to_string())),
        };
        if let Some(kept) = kept.filter(|kept| kept.directory == settings.directory.url()) {
            let pkcs8 = URL_SAFE_NO_PAD.decode(&kept.key).ok();
            let key = pkcs8.and_then(|pkcs8| AccountKey::from_pkcs8(&pkcs8));
            return Ok(Account {
                file: path.clone(),
                key: key.ok_or_else(|| broken("its key cannot be read".into()))?,
                url: kept.account,
            });
        }
        let account = Account {
            file: path.clone(),
            key: AccountKey::new()?,
            url: None,
        };
        account.write(settings)?;
        crash::point("acme account key");
        Ok(account)
    }

    /// Has the server know it.
    ///
    /// # Errors
    /// When the server refuses it.
    pub(crate) async fn register(
        &mut self,
        server: &mut Server,
        settings: &Settings,
    ) -> Result<(), Error> {
        let doing = "an account";
        let url = server.directory.new_account.clone();
        let mut payload = json!({"termsOfServiceAgreed": true, "contact": settings.contact});
        if let Some(external) = &settings.external {
            payload["externalAccountBinding"] = self.key.bound_to(external, &url);
        }
        let signer = (&self.key, As::Key);
        let answer = server.post(doing, signer, &url, Some(&payload)).await?;
        crash::point("acme account made");
        let none = || Error::Nonsense {
            doing,
            why: "it does not say where the account is".into(),
        };
        self.url = Some(answer.header("location").ok_or_else(none)?.to_owned());
        self.write(settings)?;
        crash::point("acme account known");
        Ok(())
    }

    /// As whom it signs.
    pub(crate) fn signer(&self) -> (&AccountKey, As<'_>) {
        (&self.key, self.url.as_deref().map_or(As::Key, As::Account))
    }

    fn write(&self, settings: &Settings) -> Result<(), Error> {
        let kept = Kept {
            directory: settings.directory.url().to_owned(),
            key: encode(self.key.pkcs8()),
            account: self.url.clone(),
        };
        let written = serde_json::to_vec(&kept).map_err(std::io::Error::other);
        let written = written.and_then(|text| file::replace(&self.file, &text));
        written.map_err(|source| unwritten(&self.file, source))
    }
}

pub(crate) fn unwritten(file: &Path, source: std::io::Error) -> Error {
    Error::File {
        file: file.into(),
        source,
    }
}
