//! The body of an answer, which must end before a deadline.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tower::BoxError;

use super::deadline::DeadlineExceeded;

/// A body that fails with [`DeadlineExceeded`] when its deadline passes before its end.
pub(super) struct DeadlineBody<B> {
    inner: B,
    limit: Option<(Pin<Box<Sleep>>, DeadlineExceeded)>,
}

impl<B> DeadlineBody<B> {
    /// Without a limit the body may go on forever.
    pub(super) fn new(inner: B, limit: Option<(Instant, DeadlineExceeded)>) -> Self {
        Self { inner, limit: limit.map(|(deadline, error)| (Box::pin(sleep_until(deadline)), error)) }
    }
}

impl<B> Body for DeadlineBody<B>
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let frame @ Poll::Ready(_) = Pin::new(&mut self.inner).poll_frame(context) {
            return frame;
        }
        if let Some((sleep, error)) = &mut self.limit
            && sleep.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Some(Err((*error).into())));
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
