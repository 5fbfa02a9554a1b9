//! What a connection to a database gave, and why it failed.

/// What a connection to the database gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseProbe {
    /// Not tried in this pass: switched off, or there is no usable URL.
    NotProbed,
    /// It answers.
    Reachable {
        /// `server_version_num`, for example 150018.
        version: i32,
        /// Why it takes no writes; `None`: it does.
        read_only: Option<ReadOnly>,
    },
    /// It does not, and why.
    Failed(ProbeFailure),
}

/// Why a server takes no writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOnly {
    /// It follows another server.
    Standby,
    /// The session's `default_transaction_read_only` is on.
    Setting {
        /// Where the setting comes from, in the word of `pg_settings.source`: `user`, `database`, `configuration file`, ….
        source: String,
        /// The role of the session.
        role: String,
    },
}

/// Why a connection to the database failed, as far as the failure tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeFailure {
    /// The class of the failure.
    pub kind: ProbeFailureKind,
    /// The server's or the library's own words, redacted.
    pub message: String,
}

impl DatabaseProbe {
    /// What is known after another look with the same URL: one that learnt nothing does not refute what the server said
    /// before.
    pub(in crate::observe) fn or_known(self, before: &Self) -> Self {
        match (&self, before) {
            (Self::Failed(now), Self::Failed(known)) if now.kind.is_silence() && known.kind.is_final() => {
                before.clone()
            }
            _ => self,
        }
    }
}

/// Classes of failures to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeFailureKind {
    /// The host name has no address.
    HostNotFound,
    /// Something answered that nothing listens.
    Refused,
    /// Nothing answered in time; a `NetworkPolicy` may keep the operator out.
    TimedOut,
    /// The password or the role was refused (SQLSTATE class 28).
    Authentication,
    /// 28000: `pg_hba.conf` says no.
    AccessRejected,
    /// 3D000.
    NotFound,
    /// 57P03.
    Starting,
    /// 53300.
    TooManyConnections,
    /// TLS is wanted by one side only.
    Tls,
    /// The server cannot prove who it is to the operator, and the URL has it proved: the operator did not go on.
    Unverified,
    /// The server asks for the password itself, and is not known to be the one that the password is for: the operator
    /// did not send it.
    PasswordWithheld,
    /// The host leads to an address at which the operator would reach itself or its node.
    AddressRefused,
    /// What answers is no PostgreSQL.
    NotPostgres,
    /// The server sent more than a look takes.
    LimitExceeded,
    /// 08P01: a pooler refuses a start-up option.
    PoolerRejectsOptions,
    /// The role may not read what was asked for.
    Forbidden,
    /// The table, column or function that was asked for is not there.
    Undefined,
    /// The question took longer than it may, or waited for a lock.
    TooSlow,
    /// Anything else.
    Other,
}

impl ProbeFailureKind {
    /// A constant label for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HostNotFound => "host_not_found",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Authentication => "authentication",
            Self::AccessRejected => "access_rejected",
            Self::NotFound => "database_not_found",
            Self::Starting => "starting",
            Self::TooManyConnections => "too_many_connections",
            Self::Tls => "tls",
            Self::Unverified => "unverified",
            Self::PasswordWithheld => "password_withheld",
            Self::AddressRefused => "address_refused",
            Self::NotPostgres => "not_postgres",
            Self::LimitExceeded => "limit_exceeded",
            Self::PoolerRejectsOptions => "pooler_options",
            Self::Forbidden => "forbidden",
            Self::Undefined => "undefined",
            Self::TooSlow => "too_slow",
            Self::Other => "other",
        }
    }

    /// Whether the way to the database may be at fault rather than the database, or the server may treat the operator
    /// otherwise than the pods: another machine may fare better.
    #[must_use]
    pub const fn may_be_local(self) -> bool {
        matches!(
            self,
            Self::HostNotFound
                | Self::Refused
                | Self::TimedOut
                | Self::Tls
                | Self::NotPostgres
                | Self::AccessRejected
                | Self::PoolerRejectsOptions
                | Self::Other
        )
    }

    /// Whether it may be gone a moment later without anything having been mended.
    pub(super) const fn may_pass(self) -> bool {
        matches!(
            self,
            Self::HostNotFound
                | Self::Refused
                | Self::TimedOut
                | Self::Starting
                | Self::TooManyConnections
                | Self::TooSlow
                | Self::Other
        )
    }

    /// Whether the server lets the operator in at other times, and answers it then: the next attempt may succeed, whatever
    /// the questions are.
    pub(in crate::observe) const fn is_of_the_moment(self) -> bool {
        self.may_pass() && !matches!(self, Self::Other)
    }

    /// Whether nothing was learnt of the database.
    pub(super) const fn is_silence(self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// Whether the server itself has said that it lets nobody in with this URL. It stays so until the server says
    /// something else.
    const fn is_final(self) -> bool {
        matches!(self, Self::Authentication | Self::AccessRejected | Self::NotFound)
    }

    /// Whether nothing more can be asked in the session that it happened in.
    pub(super) const fn ends_session(self) -> bool {
        matches!(self, Self::LimitExceeded | Self::NotPostgres | Self::Refused | Self::TimedOut)
    }

    /// Whether it was the operator that did not go on: nothing is known of the database, and the message says what
    /// would let the operator in.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        matches!(self, Self::Unverified | Self::PasswordWithheld | Self::AddressRefused | Self::LimitExceeded)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{DatabaseProbe, ProbeFailure, ProbeFailureKind::*, *};

    fn failed(kind: ProbeFailureKind) -> DatabaseProbe {
        DatabaseProbe::Failed(ProbeFailure { kind, message: kind.as_str().to_owned() })
    }

    const REACHABLE: DatabaseProbe = DatabaseProbe::Reachable { version: 150_018, read_only: None };

    #[rstest]
    #[case::a_slow_look_refutes_nothing(failed(TimedOut), failed(Authentication), failed(Authentication))]
    #[case::an_answer_does(REACHABLE, failed(Authentication), REACHABLE)]
    #[case::another_answer_too(failed(NotFound), failed(Authentication), failed(NotFound))]
    #[case::a_server_that_is_gone_is_news(failed(Refused), failed(Authentication), failed(Refused))]
    // A NetworkPolicy may have come after the first look.
    #[case::what_no_server_said_is_not_kept(failed(TimedOut), failed(Refused), failed(TimedOut))]
    #[case::what_worked_is_not_kept(failed(TimedOut), REACHABLE, failed(TimedOut))]
    fn what_is_known_stays_known_until_it_is_refuted(
        #[case] now: DatabaseProbe,
        #[case] before: DatabaseProbe,
        #[case] expected: DatabaseProbe,
    ) {
        assert_eq!(now.or_known(&before), expected);
    }
}
