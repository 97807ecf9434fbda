//! Keypairs: the public keys a user's servers get.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use model::{Caller, Error, Kind, Result, UserId};
use store::{Amount, Field, Query, Value, row};

use crate::list::{self, Page};
use crate::quota::{self, Resource};
use crate::{Cloud, now_ms};

/// Characters of a public key; an RSA key of 16384 bits has some 2,800.
const MAX_KEY: usize = 16_384;

/// A keypair to import.
#[derive(Clone, Debug)]
pub struct NewKeypair {
    /// The caller unless an administrator names another.
    pub owner: Option<UserId>,
    pub name: String,
    pub public_key: String,
}

impl Cloud {
    /// A key with this name: the caller's, or for an administrator anyone's.
    pub fn get_keypair(
        &self,
        caller: &Caller,
        owner: Option<&UserId>,
        name: &str,
    ) -> Result<row::Keypair> {
        let owner = owner_of(caller, owner)?;
        self.store()
            .read(|tx| find(tx, owner, name)?.ok_or_else(|| Error::not_found(Kind::Keypair, name)))
    }

    /// The caller's keys, or for an administrator anyone's.
    pub fn list_keypairs(
        &self,
        caller: &Caller,
        owner: Option<&UserId>,
        page: &Page,
    ) -> Result<Vec<row::Keypair>> {
        let owner = owner_of(caller, owner)?;
        let mut page = page.clone();
        page.order = vec![("name".to_owned(), store::Order::Ascending)];
        page.marker = page.marker.map(|name| key_id(owner, &name));
        self.store().read(|tx| {
            list::run(
                tx,
                &page
                    .query::<row::Keypair>()?
                    .and("user_id", owner.to_value()),
            )
        })
    }

    /// Imports a public key.
    ///
    /// # Errors
    /// `Invalid` unless it is one line of the OpenSSH format; `Conflict` when the name is taken.
    pub fn create_keypair(&self, caller: &Caller, new: &NewKeypair) -> Result<row::Keypair> {
        list::check_required_name("name", &new.name)?;
        let safe = |c: char| c.is_ascii_alphanumeric() || "@._- ".contains(c);
        if !new.name.chars().all(safe) {
            return Err(Error::invalid(
                "Keypair data is invalid: Keypair name contains unsafe characters",
            ));
        }
        let owner = owner_of(caller, new.owner.as_ref())?;
        let public_key = new.public_key.trim();
        let keypair = row::Keypair {
            id: key_id(owner, &new.name),
            user_id: owner.clone(),
            name: new.name.clone(),
            kind: "ssh".into(),
            public_key: public_key.to_owned(),
            fingerprint: fingerprint(public_key)?,
            created_ms: now_ms(),
        };
        self.store().write(|tx| match find(tx, owner, &new.name)? {
            Some(_) => Err(Error::conflict(format!(
                "Key pair '{}' already exists.",
                new.name
            ))),
            None => {
                {
                    tx.get::<row::User>(owner)?;
                    check_quota(tx, caller, owner)?
                };
                tx.insert(&keypair)
            }
        })?;
        Ok(keypair)
    }

    /// Removes a key. Servers that got it keep it.
    pub fn delete_keypair(
        &self,
        caller: &Caller,
        owner: Option<&UserId>,
        name: &str,
    ) -> Result<()> {
        let owner = owner_of(caller, owner)?;
        self.store().write(
            |tx| match tx.delete::<row::Keypair>(&key_id(owner, name))? {
                true => Ok(()),
                false => Err(Error::not_found(Kind::Keypair, name)),
            },
        )
    }
}

/// Keys are a user's; how many it may have says the project it works in.
fn check_quota(tx: &store::Tx<'_>, caller: &Caller, owner: &UserId) -> Result<()> {
    let project = caller.project()?;
    let used = tx.amount(Amount::count::<row::Keypair>("user_id", owner.to_value()))?;
    quota::check_used(tx, project, Resource::KeyPairs, used, 1)
}

pub(crate) fn find(tx: &store::Tx<'_>, owner: &UserId, name: &str) -> Result<Option<row::Keypair>> {
    let query = Query::equal("user_id", owner.to_value()).and("name", Value::Text(name.to_owned()));
    Ok(tx.list(&query)?.pop())
}

/// Whose keys a request means.
///
/// # Errors
/// `Forbidden` for another's, unless the caller is an administrator.
fn owner_of<'a>(caller: &'a Caller, named: Option<&'a UserId>) -> Result<&'a UserId> {
    match named {
        None => Ok(&caller.user),
        Some(user) if *user == caller.user => Ok(user),
        Some(user) => caller.require_admin().map(|()| user),
    }
}

fn key_id(owner: &UserId, name: &str) -> String {
    format!("{owner}/{name}")
}

/// The MD5 fingerprint of a key's blob (RFC 4716, section 4), as the compute API shows it.
fn fingerprint(public_key: &str) -> Result<String> {
    let wrong =
        |why: &str| Error::invalid(format!("public_key is not an OpenSSH public key: {why}"));
    if public_key.len() > MAX_KEY {
        return Err(wrong("it is too long"));
    }
    let mut words = public_key.split_ascii_whitespace();
    let kind = words.next().ok_or_else(|| wrong("it is empty"))?;
    let blob = words
        .next()
        .ok_or_else(|| wrong("it has no key after its type"))?;
    if public_key.contains(['\n', '\r']) {
        return Err(wrong("it has more than one line"));
    }
    let blob = STANDARD
        .decode(blob)
        .map_err(|_| wrong("its key is no base64"))?;
    // The blob begins with the type again, as a string (RFC 4253, section 6.6).
    let length = blob
        .first_chunk::<4>()
        .map(|n| u32::from_be_bytes(*n) as usize);
    let inner = length.and_then(|n| blob.get(4..4 + n));
    if inner != Some(kind.as_bytes()) {
        return Err(wrong("its type and its key do not belong together"));
    }
    let digest: [u8; 16] = Md5::digest(&blob).into();
    Ok(digest.map(|octet| format!("{octet:02x}")).join(":"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me@here";

    #[test]
    fn only_a_public_key_has_a_fingerprint() {
        assert_eq!(fingerprint(KEY).unwrap().len(), 47);
        for bad in [
            "",
            "ssh-ed25519",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
            "ssh-ed25519 !!!!",
            "hello world",
        ] {
            assert!(matches!(fingerprint(bad), Err(Error::Invalid(_))), "{bad}");
        }
        assert!(fingerprint(&KEY.replace(" me", "\nme")).is_err());
    }
}
