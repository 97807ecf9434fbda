//! What a node was told: the documents in force, and the journal that brings them back.

use std::io;
use std::path::Path;
use std::sync::Arc;

use model::Change;

use crate::Wanted;
use crate::journal::Journal;

/// The documents, and how far they are complete.
pub(crate) struct Memory {
    wanted: Arc<Wanted>,
    generation: u64,
    journal: Journal,
    /// A whole picture that is still coming in.
    incoming: Option<Wanted>,
}

impl Memory {
    /// Reads what an earlier life of ours heard.
    ///
    /// # Errors
    /// When the journal can neither be read nor written.
    pub(crate) fn open(journal: &Path) -> io::Result<Memory> {
        let (journal, wanted, generation) = Journal::open(journal)?;
        Ok(Memory {
            wanted: Arc::new(wanted),
            generation,
            journal,
            incoming: None,
        })
    }

    /// The documents in force.
    pub(crate) fn wanted(&self) -> &Arc<Wanted> {
        &self.wanted
    }

    /// The generation that is complete with them; 0 before there was one.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// A connection begins: what was half told is told again.
    pub(crate) fn connected(&mut self) {
        self.incoming = None;
    }

    /// A whole picture follows. Until it is complete the old one is in force.
    pub(crate) fn forget(&mut self) {
        self.incoming = Some(Wanted::default());
    }

    /// Takes changes in, and the generation that is complete with them.
    ///
    /// # Errors
    /// Those of the journal.
    pub(crate) fn take_in(
        &mut self,
        changes: Vec<Change>,
        generation: Option<u64>,
    ) -> io::Result<()> {
        match &mut self.incoming {
            // Nothing is torn down for a picture that is only half here.
            Some(picture) => {
                changes.into_iter().for_each(|change| picture.apply(change));
                if let Some(generation) = generation {
                    // First the journal: if it fails, the old picture and its generation stand.
                    self.journal.rewrite(picture, generation)?;
                    self.wanted = Arc::new(self.incoming.take().unwrap_or_default());
                    self.generation = generation;
                }
            }
            None => {
                self.journal.append(&changes, generation)?;
                let wanted = Arc::make_mut(&mut self.wanted);
                changes.into_iter().for_each(|change| wanted.apply(change));
                self.generation = generation.unwrap_or(self.generation);
                if self.journal.is_long() {
                    self.journal.rewrite(&self.wanted, self.generation)?;
                }
            }
        }
        Ok(())
    }
}
