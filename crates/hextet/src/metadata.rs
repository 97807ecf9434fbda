//! What the operator decides of guests' metadata.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `[metadata]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct MetadataConfig {
    /// A file with a JSON object that every guest is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vendor_data: Option<PathBuf>,
}

impl MetadataConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == MetadataConfig::default()
    }

    /// What every guest is told; without a file it is an empty object.
    ///
    /// # Errors
    /// A sentence about a file that cannot be read, or holds no JSON object.
    pub(crate) fn vendor_data(&self) -> Result<Value, String> {
        let Some(path) = &self.vendor_data else {
            return Ok(Value::Object(Default::default()));
        };
        let wrong = |why: String| format!("[metadata] vendor_data {}: {why}", path.display());
        let text = std::fs::read(path).map_err(|e| wrong(format!("cannot read it: {e}")))?;
        match serde_json::from_slice(&text) {
            Ok(value @ Value::Object(_)) => Ok(value),
            Ok(_) => Err(wrong(
                "it holds JSON, but no object: begin it with {".into(),
            )),
            Err(e) => Err(wrong(format!("it holds no JSON: {e}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendor_data_is_an_object_in_a_file() {
        let path = std::env::temp_dir().join(format!("hextet-vendor-{}", std::process::id()));
        let config = MetadataConfig {
            vendor_data: Some(path.clone()),
        };
        assert!(config.vendor_data().unwrap_err().contains("cannot read it"));
        for (text, reason) in [
            ("[1]", "no object"),
            ("{\"a\":", "no JSON"),
            ("", "no JSON"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = config.vendor_data().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        std::fs::write(&path, r#"{"cloud-init": "\u0023cloud-config"}"#).unwrap();
        let told = config.vendor_data().unwrap();
        assert_eq!(told["cloud-init"], "#cloud-config");
        std::fs::remove_file(&path).unwrap();
        let none = MetadataConfig::default().vendor_data().unwrap();
        assert_eq!(none.to_string(), "{}");
    }
}
