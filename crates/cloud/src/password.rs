//! Passwords: hashed with Argon2id, at the cost OWASP names as the least (19 MiB, two passes).

use argon2::password_hash::{PasswordHash, SaltString};
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use model::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};

/// A PHC string for a new password.
///
/// # Errors
/// `Invalid` for an empty password or one of more than 4096 octets.
pub(crate) fn hash(password: &str) -> Result<String> {
    if password.is_empty() || password.len() > 4096 {
        return Err(Error::invalid("password must have 1 to 4096 characters"));
    }
    let failed =
        |e: argon2::password_hash::Error| Error::internal("hashing a password", e.to_string());
    let salt = SaltString::encode_b64(&random::<16>()?).map_err(failed)?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .map_err(failed)?;
    Ok(hash.to_string())
}

/// Whether a password is the one that was hashed. Takes the same time when there is no hash, so
/// that it does not tell whether a user exists.
pub(crate) fn verify(password: &str, hash: Option<&str>) -> bool {
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2Q$2Dk7n0sQG6jJ1mJ1yN0Yq8m3m5K0oQ0rV6v3Q7w6v2E";
    let text = hash.unwrap_or(NOBODY);
    let Ok(parsed) = PasswordHash::new(text) else {
        return false;
    };
    let right = Argon2::default()
        .verify_password(password.as_bytes(), &parsed)
        .is_ok();
    right && hash.is_some()
}

/// Random octets from the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut octets = [0; N];
    SystemRandom::new()
        .fill(&mut octets)
        .map_err(|_| Error::internal("asking the system for random octets", "getrandom failed"))?;
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_is_right() {
        let hashed = hash("correct horse").unwrap();
        assert!(verify("correct horse", Some(&hashed)));
        assert!(!verify("wrong horse", Some(&hashed)));
        assert!(!verify("correct horse", None));
        assert!(hash("").is_err());
    }
}
