//! Answers that are still true.
//!
//! What a [`Look`](crate::route::Handler::Look) answers follows from the database, the nodes that
//! are connected, the URL, the microversion and the caller alone, so it holds until the next commit: a client that polls costs
//! no work until something changed. The token is checked anew each time.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::reply::Reply;

/// Octets of answers kept; past that all are forgotten.
const MOST: usize = 4 << 20;

/// Answers of one version of the database, by what was asked.
#[derive(Default)]
pub(crate) struct Remembered(Mutex<Answers>);

#[derive(Default)]
struct Answers {
    version: u64,
    octets: usize,
    by_question: HashMap<String, Bytes>,
}

impl Remembered {
    /// The body that was given at this version of the database.
    pub(crate) fn find(&self, version: u64, question: &str) -> Option<Reply> {
        let answers = self.lock();
        let body = answers.by_question.get(question)?;
        (answers.version == version).then(|| Reply::text(body.clone()))
    }

    /// Keeps an answer. `version` was read before the database was: an answer that is newer than
    /// its version is only found until the writer's commit is counted, before it is told of it.
    pub(crate) fn keep(&self, version: u64, question: String, body: &Bytes) {
        let mut answers = self.lock();
        let size = question.len() + body.len();
        if answers.version > version || size > MOST {
            return;
        }
        if answers.version < version || answers.octets + size > MOST {
            *answers = Answers {
                version,
                ..Answers::default()
            };
        }
        answers.octets += size;
        answers.by_question.insert(question, body.clone());
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answers: &Remembered, version: u64, question: &str) -> bool {
        answers.find(version, question).is_some()
    }

    #[test]
    fn an_answer_holds_for_its_version_only() {
        let answers = Remembered::default();
        let body = Bytes::from_static(b"{}");
        answers.keep(1, "a".into(), &body);
        assert!(found(&answers, 1, "a") && !found(&answers, 1, "b") && !found(&answers, 2, "a"));
        answers.keep(2, "b".into(), &body);
        assert!(found(&answers, 2, "b") && !found(&answers, 2, "a"));
        // One that took long comes too late.
        answers.keep(1, "a".into(), &body);
        assert!(!found(&answers, 1, "a") && found(&answers, 2, "b"));
    }

    #[test]
    fn memory_is_bounded() {
        let answers = Remembered::default();
        let half = Bytes::from(vec![0; MOST / 2]);
        answers.keep(1, "a".into(), &half);
        answers.keep(1, "b".into(), &half);
        assert!(!found(&answers, 1, "a") && found(&answers, 1, "b"));
        answers.keep(1, "c".into(), &Bytes::from(vec![0; MOST]));
        assert!(!found(&answers, 1, "c") && found(&answers, 1, "b"));
    }
}
