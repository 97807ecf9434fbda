//! A stream that tells when its reader has taken everything in and waits for more.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::watch;

/// The controller's end of a link. It reads one message, acts on it, and only then asks for the
/// next: when it has read `n` octets and finds no more, all `n` were acted on.
pub(crate) struct Watched {
    inner: DuplexStream,
    read: u64,
    idle: watch::Sender<u64>,
}

impl Watched {
    /// The stream, and the number of octets after which its reader last had to wait.
    pub(crate) fn new(inner: DuplexStream) -> (Watched, watch::Receiver<u64>) {
        let (idle, waits) = watch::channel(0);
        let stream = Watched {
            inner,
            read: 0,
            idle,
        };
        (stream, waits)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        match &polled {
            Poll::Ready(_) => self.read += (buf.filled().len() - before) as u64,
            Poll::Pending => drop(self.idle.send_replace(self.read)),
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
