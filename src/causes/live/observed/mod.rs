//! Installations that the operator did not make.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeouts_tests;
