//! Tests of what is decided: tables for each rule, and a small world in which the invariants hold.

mod gate;
mod housekeeping;
mod invariants;
mod key;
mod obstacles;
mod restore;
mod rollback;
mod rollout;
mod scene;
mod upgrade;
mod way_back;
mod world;
