//! The command line, one file per command.

pub mod diagnose;
pub mod explain;
