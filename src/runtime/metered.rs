//! Bytes that come from somebody else's program, counted.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read before another task gets a turn: less than a millisecond of work.
const SLICE: usize = 64 * 1024;

/// A socket from which only so much is read, and never so fast that nothing else gets a turn: a peer that sends
/// without end would otherwise keep a reader busy that waits for a deadline.
#[derive(Debug)]
pub(crate) struct Metered<S> {
    socket: S,
    limit: usize,
    left: usize,
    slice: usize,
}

/// Inside an input/output error: the peer has sent more than is taken from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {limit} bytes over one connection")]
pub(crate) struct Exceeded {
    limit: usize,
}

impl Exceeded {
    /// The reason of an error, if it is this one.
    pub(crate) fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl<S> Metered<S> {
    /// Reads so many bytes at most.
    pub(crate) const fn new(socket: S, limit: usize) -> Self {
        Self { socket, limit, left: limit, slice: SLICE }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.slice == 0 {
            self.slice = SLICE;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.left == 0 {
            let limit = self.limit;
            return Poll::Ready(Err(io::Error::other(Exceeded { limit })));
        }
        let most = self.left.min(self.slice).min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        self.left -= read;
        self.slice -= read;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn reads_no_more_than_allowed() {
        let mut bytes = Vec::new();
        let error = Metered::new(tokio::io::repeat(b'x'), 100_000).read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(bytes.len(), 100_000);
        assert_eq!(Exceeded::of(&error), Some(Exceeded { limit: 100_000 }));
    }

    /// Nothing ever waits here, so that without a pause the other task would come last.
    #[tokio::test]
    async fn gives_way_after_each_slice() {
        let mut metered = Metered::new(tokio::io::repeat(b'x'), 10 * SLICE);
        let reading = async {
            let mut bytes = Vec::new();
            metered.read_to_end(&mut bytes).await.unwrap_err();
        };
        let other = async {
            for _ in 0..9 {
                tokio::task::yield_now().await;
            }
        };
        futures::pin_mut!(reading, other);
        let first = futures::future::select(reading, other).await;
        assert!(matches!(first, futures::future::Either::Right(_)));
    }
}
