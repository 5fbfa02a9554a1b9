//! Installations that the operator did not make.

mod tests;
