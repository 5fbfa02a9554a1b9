//! The `flagsmith-operator` binary.

fn main() {}
