//! OpenStack's own command, unmodified, as an operator would call it.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use super::needs::Tools;
use super::place::Place;
use super::say::Say;
use crate::Failure;

/// Calls `openstack` for the demo's cloud.
#[derive(Clone, Copy)]
pub(super) struct OpenStack<'a> {
    pub(super) tools: &'a Tools,
    pub(super) place: &'a Place,
    pub(super) say: &'a Say,
}

impl OpenStack<'_> {
    /// A command that makes something, and what it says of it.
    ///
    /// # Errors
    /// What the command says when it fails.
    pub(super) async fn create(&self, words: &[&str]) -> Result<Value, Failure> {
        let said = self.call(words, &["-f", "json"]).await?;
        Ok(serde_json::from_slice(&said)
            .map_err(|e| format!("`{}` said no JSON: {e}", self.short(words)))?)
    }

    /// The id of what a command makes.
    pub(super) async fn create_id(&self, words: &[&str]) -> Result<String, Failure> {
        let made = self.create(words).await?;
        let id = made["id"].as_str().map(str::to_owned);
        Ok(id.ok_or_else(|| format!("`{}` named no id", self.short(words)))?)
    }

    /// A command that says nothing.
    pub(super) async fn run(&self, words: &[&str]) -> Result<(), Failure> {
        self.call(words, &[]).await.map(drop)
    }

    async fn call(&self, words: &[&str], format: &[&str]) -> Result<Vec<u8>, Failure> {
        let line = self.short(words);
        let stage = self.say.stage(line.clone());
        let mut command = Command::new(&self.tools.openstack);
        command.args(words).args(format).stdin(Stdio::null());
        command.kill_on_drop(true).process_group(0);
        self.environment(&mut command)?;
        let done = command
            .output()
            .await
            .map_err(|e| format!("`{line}` cannot be run: {e}"))?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr);
            return Err(format!("`{line}` failed ({}):\n{}", done.status, said.trim()).into());
        }
        stage.done();
        Ok(done.stdout)
    }

    /// The caller's own clouds and proxies are not for this one.
    fn environment(&self, command: &mut Command) -> Result<(), Failure> {
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy().to_lowercase();
            if text.starts_with("os_") || text.ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command
            .env(
                "OS_CLIENT_CONFIG_FILE",
                self.place.places()?.etc.join("clouds.yaml"),
            )
            .env("OS_CLOUD", "hextet");
        Ok(())
    }

    /// The line as it is typed, with long paths cut to their last part.
    fn short(&self, words: &[&str]) -> String {
        let words = words.iter().map(|word| match word.starts_with('/') {
            true => word.rsplit('/').next().unwrap_or(word),
            false => word,
        });
        let mut line = "openstack".to_owned();
        words.for_each(|word| {
            line.push(' ');
            line.push_str(word);
        });
        line
    }
}
