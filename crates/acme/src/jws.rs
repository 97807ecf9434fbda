//! Requests as ACME wants them: signed with the account's key (RFC 7515, RFC 8555, section 6.2).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use crate::{Error, External};

/// An account's key: ECDSA on P-256.
pub(crate) struct AccountKey {
    pkcs8: Vec<u8>,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// As whom a request is signed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum As<'a> {
    /// A key that the server may not know yet.
    Key,
    /// The account at this URL.
    Account(&'a str),
}

impl AccountKey {
    pub(crate) fn new() -> Result<AccountKey, Error> {
        let random = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pkcs8 = pkcs8.map_err(|_| Error::Random)?;
        AccountKey::from_pkcs8(pkcs8.as_ref()).ok_or(Error::Random)
    }

    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Option<AccountKey> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).ok()?;
        Some(AccountKey {
            pkcs8: pkcs8.to_vec(),
            pair,
            random,
        })
    }

    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The coordinates of the public key, which is an octet and 32 for each of them.
    fn point(&self) -> (String, String) {
        let public = self.pair.public_key().as_ref();
        (encode(&public[1..33]), encode(&public[33..]))
    }

    /// The public key (RFC 7518, section 6.2).
    fn jwk(&self) -> Value {
        let (x, y) = self.point();
        json!({"crv": "P-256", "kty": "EC", "x": x, "y": y})
    }

    /// The key authorization that answers a challenge with this token (RFC 8555, section 8.1).
    pub(crate) fn authorization(&self, token: &str) -> String {
        let (x, y) = self.point();
        // RFC 7638: these members, in this order, without a space.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = encode(digest(&SHA256, canonical.as_bytes()).as_ref());
        format!("{token}.{thumbprint}")
    }

    /// A signed request. Without a payload it is a POST-as-GET (RFC 8555, section 6.3).
    pub(crate) fn sign(
        &self,
        signer: As<'_>,
        nonce: &str,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Value, Error> {
        let mut header = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match signer {
            As::Key => header["jwk"] = self.jwk(),
            As::Account(account) => header["kid"] = account.into(),
        }
        let (header, payload) = (encoded(&header), payload.map(encoded).unwrap_or_default());
        let text = format!("{header}.{payload}");
        let signature = self.pair.sign(&self.random, text.as_bytes());
        let signature = signature.map_err(|_| Error::Random)?;
        Ok(
            json!({"protected": header, "payload": payload, "signature": encode(signature.as_ref())}),
        )
    }

    /// That this key belongs to an account elsewhere (RFC 8555, section 7.3.4).
    pub(crate) fn bound_to(&self, external: &External, url: &str) -> Value {
        let header = encoded(&json!({"alg": "HS256", "kid": external.key_id, "url": url}));
        let payload = encoded(&self.jwk());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &external.key);
        let tag = hmac::sign(&key, format!("{header}.{payload}").as_bytes());
        json!({"protected": header, "payload": payload, "signature": encode(tag.as_ref())})
    }
}

pub(crate) fn encode(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

fn encoded(value: &Value) -> String {
    encode(value.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    fn part(signed: &Value, name: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD
            .decode(signed[name].as_str().unwrap())
            .unwrap()
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let key = AccountKey::new().unwrap();
        let again = AccountKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.authorization("t"), again.authorization("t"));
        let payload = json!({"a": 1});
        for (signer, payload) in [
            (As::Key, Some(&payload)),
            (As::Account("https://x/1"), None),
        ] {
            let signed = key.sign(signer, "n", "https://x/y", payload).unwrap();
            let text = format!(
                "{}.{}",
                signed["protected"].as_str().unwrap(),
                signed["payload"].as_str().unwrap()
            );
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key());
            public
                .verify(text.as_bytes(), &part(&signed, "signature"))
                .unwrap();
            let header: Value = serde_json::from_slice(&part(&signed, "protected")).unwrap();
            assert_eq!(header["url"], "https://x/y");
            let known = matches!(signer, As::Account(_));
            assert_eq!(header.get("kid").is_some(), known);
            assert_eq!(header.get("jwk").is_none(), known);
            assert_eq!(part(&signed, "payload").is_empty(), known);
        }
    }
}
