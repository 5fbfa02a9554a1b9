//! Tests of what is decided: tables for each rule, and a small world in which the invariants hold.

mod gate;
mod invariants;
mod key;
mod rollout;
mod world;
