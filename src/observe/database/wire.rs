//! Messages over a stream: none is waited for that is longer than it may be, and only so many are taken.

use bytes::BytesMut;
use postgres_protocol::message::backend::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    limits::{MESSAGE, MESSAGE_BEFORE_LOGIN, MESSAGES, NOTICES},
    probe::ProbeFailure,
};
use crate::runtime::metered::Exceeded;

/// The length of a message's type and length.
const HEADER: usize = 5;

/// Bytes that are read at once.
const READ: usize = 8 * 1024;

/// The types of messages that a server may send before the session is open, and those of answers. Whatever speaks
/// another protocol begins with another letter, or shows a length that no message has.
const FIRST: &[u8] = b"REN";

/// One session's messages.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    input: BytesMut,
    /// Bytes that a message may have.
    longest: usize,
    messages: u32,
    notices: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), longest: MESSAGE_BEFORE_LOGIN, messages: 0, notices: 0 }
    }

    /// The server has let the session in.
    pub(super) const fn logged_in(&mut self) {
        self.longest = MESSAGE;
    }

    /// Sends what was written into a buffer.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeFailure> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| ProbeFailure::of_io(&error))
    }

    /// The next message that means something here. Notices, notifications and parameters do not; they are counted.
    pub(super) async fn next(&mut self) -> Result<Message, ProbeFailure> {
        loop {
            if self.is_complete()? {
                match self.take()? {
                    Message::NoticeResponse(_) => {
                        self.notices += 1;
                        if self.notices > NOTICES {
                            return Err(ProbeFailure::too_much(&format!("more than {NOTICES} notices")));
                        }
                    }
                    Message::ParameterStatus(_) | Message::NotificationResponse(_) => {}
                    message => return Ok(message),
                }
            } else {
                self.read().await?;
            }
        }
    }

    /// Whether a whole message is there.
    fn is_complete(&self) -> Result<bool, ProbeFailure> {
        let Some((&[kind, a, b, c, d], rest)) = self.input.split_first_chunk::<HEADER>() else {
            return Ok(false);
        };
        if self.messages == 0 && !FIRST.contains(&kind) {
            return Err(ProbeFailure::not_postgres());
        }
        // The length counts itself.
        let Some(body) = u32::from_be_bytes([a, b, c, d]).checked_sub(4) else {
            return Err(ProbeFailure::not_postgres());
        };
        let body = usize::try_from(body).unwrap_or(usize::MAX);
        if body > self.longest {
            let longest = self.longest;
            return Err(ProbeFailure::too_much(&format!(
                "a message of {body} bytes, where {longest} are allowed"
            )));
        }
        Ok(rest.len() >= body)
    }

    fn take(&mut self) -> Result<Message, ProbeFailure> {
        self.messages += 1;
        if self.messages > MESSAGES {
            return Err(ProbeFailure::too_much(&format!("more than {MESSAGES} messages")));
        }
        match Message::parse(&mut self.input) {
            Ok(Some(message)) => Ok(message),
            Ok(None) | Err(_) => Err(ProbeFailure::not_postgres()),
        }
    }

    async fn read(&mut self) -> Result<(), ProbeFailure> {
        self.input.reserve(READ);
        match self.stream.read_buf(&mut self.input).await {
            Ok(0) if self.messages == 0 => Err(ProbeFailure::not_postgres()),
            Ok(0) => Err(ProbeFailure::closed()),
            Ok(_) => Ok(()),
            Err(error) => Err(match Exceeded::of(&error) {
                Some(exceeded) => ProbeFailure::too_much(&exceeded.to_string()),
                None if self.messages == 0 => ProbeFailure::not_postgres(),
                None => ProbeFailure::of_io(&error),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use tokio::io::AsyncWriteExt as _;

    use super::*;
    use crate::observe::database::probe::ProbeFailureKind as Kind;

    /// What becomes of these bytes, after which the server hangs up.
    fn read(bytes: &[u8]) -> Result<(), Kind> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (client, mut server) = tokio::io::duplex(bytes.len().max(1));
            server.write_all(bytes).await.unwrap();
            drop(server);
            let mut wire = Wire::new(client);
            loop {
                match wire.next().await {
                    Ok(Message::AuthenticationOk) => wire.logged_in(),
                    Ok(Message::ReadyForQuery(_)) => return Ok(()),
                    Ok(_) => {}
                    Err(failure) => return Err(failure.kind),
                }
            }
        })
    }

    const LET_IN: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const READY: &[u8] = b"Z\0\0\0\x05I";
    const NOTICE: &[u8] = b"N\0\0\0\x05\0";

    #[rstest]
    #[case::honest([LET_IN, READY].concat(), Ok(()))]
    #[case::few_notices([LET_IN, &NOTICE.repeat(3), READY].concat(), Ok(()))]
    #[case::many_notices([LET_IN, &NOTICE.repeat(101), READY].concat(), Err(Kind::LimitExceeded))]
    #[case::many_messages([LET_IN, &b"S\0\0\0\x06\0\0".repeat(5_000), READY].concat(), Err(Kind::LimitExceeded))]
    #[case::two_gib(b"R\x7f\xff\xff\xff".to_vec(), Err(Kind::LimitExceeded))]
    #[case::four_gib(b"R\xff\xff\xff\xff".to_vec(), Err(Kind::LimitExceeded))]
    #[case::long_later([LET_IN, b"D\0\x02\0\0"].concat(), Err(Kind::LimitExceeded))]
    #[case::no_length(b"R\0\0\0\0".to_vec(), Err(Kind::NotPostgres))]
    #[case::length_of_three(b"R\0\0\0\x03".to_vec(), Err(Kind::NotPostgres))]
    #[case::length_of_four(b"R\0\0\0\x04".to_vec(), Err(Kind::NotPostgres))]
    #[case::http(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Err(Kind::NotPostgres))]
    #[case::ssh(b"SSH-2.0-OpenSSH_9.2p1\r\n".to_vec(), Err(Kind::NotPostgres))]
    #[case::hung_up(Vec::new(), Err(Kind::NotPostgres))]
    #[case::hung_up_later(LET_IN.to_vec(), Err(Kind::Other))]
    fn holds_its_limits(#[case] bytes: Vec<u8>, #[case] expected: Result<(), Kind>) {
        assert_eq!(read(&bytes), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_end_in_an_answer_or_a_failure(
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
            kind in prop::sample::select(b"RENSKZTDC".to_vec()),
            length in 0_u32..200,
        ) {
            read(&bytes).ok();
            let mut message = LET_IN.to_vec();
            message.push(kind);
            message.extend(length.to_be_bytes());
            message.extend(&bytes);
            read(&message).ok();
        }
    }
}
