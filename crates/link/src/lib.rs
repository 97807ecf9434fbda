//! The node protocol: what a controller and a node say to each other, and how it is framed.
//!
//! The node dials and says [`Hello`](FromNode::Hello) with the generation it has reached. The
//! controller answers with everything that changed since, or with everything there is, and goes on
//! as things change. A frame is a length in four octets, most significant first, and JSON.

use std::io;

use model::{Change, NodeFacts, Seen, ServerId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest frame taken, in octets. A full picture is sent in several.
pub const MAX_FRAME: usize = 16 << 20;
/// Octets of documents in one frame; a frame holds more only when a single document does.
const CHANGES_PER_FRAME: usize = 256 << 10;

/// What a node says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNode {
    /// First of all, and again when what the node is has changed. `generation` is 0 when the node
    /// remembers nothing.
    Hello { facts: NodeFacts, generation: u64 },
    /// What it sees, sent as it changes, and whole after each hello.
    Seen(Vec<Seen>),
    /// Every document up to this generation was taken in and looked at.
    Reached { generation: u64 },
    /// The answer to an [`ToNode::Ask`] with the same number.
    Answer {
        number: u64,
        answer: Result<Answer, String>,
    },
}

/// What a controller says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToNode {
    /// Forget every document: the full picture follows.
    Forget,
    /// Documents in the order in which they changed. The last frame of a picture carries the
    /// generation that is complete with it.
    Changes {
        changes: Vec<Change>,
        generation: Option<u64>,
    },
    /// A question about something only the node holds.
    Ask { number: u64, question: Question },
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The newest lines of a guest's console; all that is kept when `lines` is `None`.
    Console {
        server: ServerId,
        lines: Option<usize>,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Console { text: String },
}

/// Sends one message.
///
/// # Errors
/// Those of the stream; `InvalidData` for a message larger than [`MAX_FRAME`].
pub async fn send<M: Serialize>(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &M,
) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len())
        .ok()
        .filter(|n| *n as usize <= MAX_FRAME);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "message too large"))?;
    let mut frame = Vec::with_capacity(4 + body.len());
    frame.extend(length.to_be_bytes());
    frame.extend(body);
    stream.write_all(&frame).await?;
    stream.flush().await
}

/// Sends changes in as many frames as they need; the last one carries the generation. A document
/// that no frame can hold is left out, with a line in the log: the others must not wait for it.
///
/// # Errors
/// Those of the stream.
pub async fn send_changes(
    stream: &mut (impl AsyncWrite + Unpin),
    changes: Vec<Change>,
    generation: Option<u64>,
) -> io::Result<()> {
    let (mut frame, mut size) = (Vec::new(), 0);
    for change in changes {
        let length = serde_json::to_vec(&change)?.len();
        if length > MAX_FRAME / 2 {
            tracing::error!(key = ?change.key, length, "a document is too large for a node to be told of it");
            continue;
        }
        if size + length > CHANGES_PER_FRAME && !frame.is_empty() {
            let changes = std::mem::take(&mut frame);
            send(
                stream,
                &ToNode::Changes {
                    changes,
                    generation: None,
                },
            )
            .await?;
            size = 0;
        }
        frame.push(change);
        size += length;
    }
    send(
        stream,
        &ToNode::Changes {
            changes: frame,
            generation,
        },
    )
    .await
}

/// Waits for one message. Not safe to drop half-way: give it a task of its own.
///
/// # Errors
/// Those of the stream (`UnexpectedEof` when the peer is gone); `InvalidData` for what is no
/// message of this protocol.
pub async fn receive<M: DeserializeOwned>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<M> {
    let length = stream.read_u32().await? as usize;
    if length > MAX_FRAME {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "frame too large",
        ));
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(serde_json::from_slice(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_arrives_as_it_was_sent() {
        let (mut a, mut b) = tokio::io::duplex(64);
        let said = ToNode::Ask {
            number: 7,
            question: Question::Console {
                server: ServerId::random(),
                lines: Some(3),
            },
        };
        let (sent, heard) = tokio::join!(send(&mut a, &said), receive::<ToNode>(&mut b));
        sent.unwrap();
        assert_eq!(heard.unwrap(), said);
    }

    #[tokio::test]
    async fn changes_are_split_by_their_size() {
        let prefixes = vec!["::1/128".parse().unwrap(); 20_000];
        let change = || {
            let id = model::AddressGroupId::random();
            let group = model::AddressGroup {
                id,
                prefixes: prefixes.clone(),
            };
            Change {
                key: model::Key::AddressGroup(id),
                document: Some(model::Desired::AddressGroup(group)),
            }
        };
        let changes: Vec<Change> = (0..8).map(|_| change()).collect();
        let mut sent = Vec::new();
        send_changes(&mut sent, changes.clone(), Some(9))
            .await
            .unwrap();
        let (mut rest, mut heard, mut frames) = (sent.as_slice(), Vec::new(), 0);
        let last = loop {
            let ToNode::Changes {
                changes,
                generation,
            } = receive(&mut rest).await.unwrap()
            else {
                panic!()
            };
            heard.extend(changes);
            frames += 1;
            if generation.is_some() {
                break generation;
            }
        };
        assert_eq!((heard, last, rest.is_empty()), (changes, Some(9), true));
        assert!(frames > 1);
    }

    #[tokio::test]
    async fn a_frame_that_is_too_large_or_no_json_is_refused() {
        for bytes in [&[0xff, 0xff, 0xff, 0xff][..], &[0, 0, 0, 1, b'{'][..]] {
            let error = receive::<FromNode>(&mut &bytes[..]).await.unwrap_err();
            assert!(matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ));
        }
    }
}
