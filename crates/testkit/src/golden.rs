//! Golden API JSON: requests and answers in files, read in review like code.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::client::{Answer, Client};

/// Columns of a golden file's lines, where that is possible.
const WIDTH: usize = 110;

/// What is said between a client and the cloud, with everything that differs from run to run
/// replaced: `{uuid-1}`, `{request-1}`, `{hex-1}`, `{mac-1}`, `{time}`, `{url}`.
pub struct Transcript {
    client: Client,
    url: String,
    text: String,
    names: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
}

impl Transcript {
    /// An empty one.
    pub fn new(client: Client, url: &str) -> Transcript {
        Transcript {
            client,
            url: url.to_owned(),
            text: String::new(),
            names: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Goes on with another client.
    pub fn client(&mut self, client: Client) -> &mut Transcript {
        self.client = client;
        self
    }

    /// Asks, and writes question and answer down. The answer's body.
    pub async fn say(&mut self, method: &str, path: &str, body: Option<Value>) -> Value {
        let mut request = self.client.request(method.parse().unwrap(), path);
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await;
        self.note(method, path, body.as_ref(), &answer);
        answer.json()
    }

    /// Writes down what was asked and answered elsewhere.
    pub fn note(&mut self, method: &str, path: &str, body: Option<&Value>, answer: &Answer) {
        let mut entry = self.normal(&format!("{method} {path}\n"));
        if let Some(body) = body {
            entry.push_str(&self.normal(&format!("{body}\n")));
        }
        entry.push_str(&format!("-> {}\n", answer.status.as_u16()));
        for name in ["location", "x-subject-token", "www-authenticate"] {
            if let Some(value) = answer.headers.get(name) {
                let line = format!("{name}: {}\n", value.to_str().unwrap());
                entry.push_str(&self.normal(&line));
            }
        }
        if !answer.body.is_empty() {
            let mut value = answer.json();
            settle(&mut value);
            self.name(&mut value);
            entry.push_str(&render(&value, 0));
            entry.push('\n');
        }
        self.text.push_str(&entry);
        self.text.push('\n');
    }

    /// Writes down what was told without a question.
    pub fn tell(&mut self, title: &str, told: &Value) {
        let mut told = told.clone();
        settle(&mut told);
        self.name(&mut told);
        let entry = format!("{}\n{}\n\n", self.normal(title), render(&told, 0));
        self.text.push_str(&entry);
    }

    /// Compares with the golden file, or writes it when `UPDATE_GOLDEN` is set.
    ///
    /// # Panics
    /// When they differ.
    pub fn check(self, directory: &str, name: &str) {
        let file = PathBuf::from(directory).join(format!("{name}.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(directory).unwrap();
            return std::fs::write(&file, self.text).unwrap();
        }
        let golden = std::fs::read_to_string(&file).unwrap_or_default();
        if golden != self.text {
            let place = golden
                .lines()
                .zip(self.text.lines())
                .position(|(a, b)| a != b)
                .unwrap_or(golden.lines().count().min(self.text.lines().count()));
            let line = |text: &str| text.lines().nth(place).unwrap_or("(its end)").to_owned();
            panic!(
                "{}:{}: differs; UPDATE_GOLDEN=1 refreshes it\n  golden: {}\n  now:    {}",
                file.display(),
                place + 1,
                line(&golden),
                line(&self.text)
            );
        }
    }

    /// Gives every text in an answer its name, before it is laid out in lines.
    fn name(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.normal(text),
            Value::Array(entries) => entries.iter_mut().for_each(|e| self.name(e)),
            Value::Object(map) => map.values_mut().for_each(|v| self.name(v)),
            _ => {}
        }
    }

    fn normal(&mut self, text: &str) -> String {
        let text = text.replace(&self.url, "{url}");
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        // Words are what stands between characters that no id, time or address holds.
        while !rest.is_empty() {
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            out.push_str(&self.word(word));
            let other = after.find(is_word).unwrap_or(after.len());
            out.push_str(&after[..other]);
            rest = &after[other..];
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let Some(kind) = kind_of(word) else {
            return word.to_owned();
        };
        if kind == "time" {
            return "{time}".to_owned();
        }
        if let Some(known) = self.names.get(word) {
            return known.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{{{kind}-{count}}}");
        self.names.insert(word.to_owned(), name.clone());
        name
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '_')
}

fn kind_of(word: &str) -> Option<&'static str> {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let groups: Vec<&str> = word.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|g| g.len()).collect();
    if lengths == [8, 4, 4, 4, 12] && groups.iter().all(|g| hex(g)) {
        return Some("uuid");
    }
    if word.strip_prefix("req-").and_then(kind_of) == Some("uuid") {
        return Some("request");
    }
    if word.len() == 8 + 9 && word.starts_with("instance-")
        || word.len() == 10 && word.starts_with("r-")
    {
        return Some("name");
    }
    let fixed =
        word.starts_with("0000000000") || word[..word.len().min(11)].ends_with("0000000000");
    if matches!(word.len(), 32 | 56) && hex(word) && !fixed {
        return Some("hex");
    }
    if word.len() >= 19 && word.as_bytes()[4] == b'-' && word.as_bytes()[10] == b'T' {
        return Some("time");
    }
    if word.len() == 22 && word.bytes().any(|b| b.is_ascii_uppercase()) && !word.contains(':') {
        return Some("audit");
    }
    if word.len() > 120 {
        return Some("token");
    }
    None
}

/// Most lists stand in the order of random ids: for the file they are sorted by what they say.
/// Which order a list has is for other tests.
fn settle(value: &mut Value) {
    match value {
        Value::Array(entries) => {
            entries.iter_mut().for_each(settle);
            if entries.iter().all(Value::is_object) {
                entries.sort_by_cached_key(|e| masked(&e.to_string()));
            }
        }
        Value::Object(map) => map.values_mut().for_each(settle),
        _ => {}
    }
}

/// A text with its ids blotted out.
fn masked(text: &str) -> String {
    let words = text.split(|c| !is_word(c));
    words
        .filter(|word| kind_of(word).is_none())
        .collect::<Vec<_>>()
        .join(" ")
}

/// JSON in few lines: what fits one line stands on one.
fn render(value: &Value, depth: usize) -> String {
    let short = value.to_string();
    if short.len() + 2 * depth <= WIDTH {
        return short;
    }
    let (open, close, parts): (_, _, Vec<String>) = match value {
        Value::Array(entries) => {
            let parts = entries.iter().map(|e| render(e, depth + 1));
            ('[', ']', parts.collect())
        }
        Value::Object(map) => {
            let parts = map
                .iter()
                .map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), render(v, depth + 1)));
            ('{', '}', parts.collect())
        }
        _ => return short,
    };
    let margin = "  ".repeat(depth + 1);
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() + 2 <= WIDTH && !part.contains('\n') => {
                line.push_str(", ");
                line.push_str(&part);
            }
            _ => lines.push(format!("{margin}{part}")),
        }
    }
    format!(
        "{open}\n{}\n{}{close}",
        lines.join(",\n"),
        "  ".repeat(depth)
    )
}
