//! What belongs to volumes beside their own rows, for lists: one statement for all of it.

use model::{AttachmentId, Result, ServerId, VolumeId};

use crate::db::{Found, Tx};
use crate::field::Field;

/// What belongs to a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct OfVolume {
    pub volume: VolumeId,
    /// The name of the node that keeps it.
    pub node: Option<String>,
    pub attachment: Option<Attached>,
}

/// An attachment as a volume shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Attached {
    pub id: AttachmentId,
    pub server: ServerId,
    /// `/dev/vdb`
    pub device: String,
    /// The server has had it.
    pub joined: bool,
    pub created_ms: i64,
}

const PARTS: &str = "
    SELECT v.id, h.name, t.id, t.server_id, t.device, t.joined, t.created_ms
      FROM wanted w JOIN volume v ON v.id = w.id
      LEFT JOIN node h ON h.id = v.node_id LEFT JOIN attachment t ON t.volume_id = v.id";

impl Tx<'_> {
    /// What belongs to these volumes, in no special order.
    pub fn of_volumes<'a>(
        &self,
        volumes: impl Iterator<Item = &'a VolumeId>,
    ) -> Result<Vec<OfVolume>> {
        self.select_wanted(PARTS, volumes.map(Field::to_value).collect(), read)
    }
}

fn read(found: Found<'_>) -> Result<OfVolume> {
    let attached = |id| -> Result<Attached> {
        Ok(Attached {
            id,
            server: Field::from_column(found.column(3)?)?,
            device: Field::from_column(found.column(4)?)?,
            joined: Field::from_column(found.column(5)?)?,
            created_ms: Field::from_column(found.column(6)?)?,
        })
    };
    let attachment: Option<AttachmentId> = Field::from_column(found.column(2)?)?;
    Ok(OfVolume {
        volume: Field::from_column(found.column(0)?)?,
        node: Field::from_column(found.column(1)?)?,
        attachment: attachment.map(attached).transpose()?,
    })
}
