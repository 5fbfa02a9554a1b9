//! What users read: for each condition a table of situations, managed and observed.

mod components;
mod database;
mod exposure;
mod invalid;
mod migrations;
mod ready;
mod scene;
mod timeouts;
mod upgrade;
mod whole;
