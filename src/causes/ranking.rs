//! Cause before consequence, the same for what was observed and for what logs show. Pure.
//!
//! A database that is down makes pods crash, probes fail and queues stall. Five diagnoses of it would leave the reader to
//! find out which one to act on; here the consequences become evidence of their cause.

use super::cause::{GivesWay, Reach};
use crate::model::{Code, Component, Severity};

/// Something found that has a cause: a diagnosis, or a finding in a log.
pub(crate) trait Ranked: Sized {
    /// Whether it was found in a log.
    const IN_LOG: bool;

    /// Its cause.
    fn code(&self) -> Code;

    /// The component that shows it.
    fn component(&self) -> Component;

    /// How much it matters.
    fn severity(&self) -> Severity;

    /// Whether it explains another one in this situation, beyond what its cause explains everywhere.
    fn explains(&self, _other: &Self) -> bool {
        false
    }

    /// In which log and at which line it is first seen.
    fn first_seen(&self) -> Option<(u16, u64)> {
        None
    }

    /// Takes up the same cause, seen again.
    fn merge(&mut self, again: Self);

    /// Takes up a consequence as evidence.
    fn absorb(&mut self, consequence: Self);
}

/// What was found, each cause once, consequences as evidence of their cause. The order of what remains is kept.
pub(crate) fn rank<T: Ranked>(found: Vec<T>) -> Vec<T> {
    let mut distinct = merged(found);
    let says_why = |it: &T| it.code().cause().gives_way != GivesWay::InLogs;
    if T::IN_LOG && distinct.iter().any(says_why) {
        distinct.retain(says_why);
    }
    // For each, what explains it, followed to the first cause; a circle ends at the length of the list.
    let parents: Vec<Option<usize>> = distinct
        .iter()
        .enumerate()
        .map(|(index, it)| {
            distinct
                .iter()
                .enumerate()
                .position(|(other, cause)| other != index && explains(cause, other < index, it))
        })
        .collect();
    let root = |index: usize| {
        let mut at = index;
        for _ in 0..parents.len() {
            match parents.get(at).copied().flatten() {
                Some(parent) => at = parent,
                None => return Some(at),
            }
        }
        // A circle: nothing is known of what came first, so all of it stays.
        None
    };
    let roots: Vec<Option<usize>> = (0..distinct.len()).map(root).collect();
    let mut kept: Vec<(usize, T)> = Vec::new();
    let mut consequences: Vec<(usize, T)> = Vec::new();
    for ((index, it), root) in distinct.into_iter().enumerate().zip(roots) {
        match root {
            Some(cause) if cause != index => consequences.push((cause, it)),
            _ => kept.push((index, it)),
        }
    }
    for (cause, consequence) in consequences {
        if let Some((_, known)) = kept.iter_mut().find(|(index, _)| *index == cause) {
            known.absorb(consequence);
        }
    }
    kept.into_iter().map(|(_, it)| it).collect()
}

/// Those of one cause and component together.
fn merged<T: Ranked>(found: Vec<T>) -> Vec<T> {
    let mut distinct: Vec<T> = Vec::new();
    for new in found {
        let same = |it: &&mut T| it.code() == new.code() && it.component() == new.component();
        match distinct.iter_mut().find(same) {
            Some(known) => known.merge(new),
            None => distinct.push(new),
        }
    }
    distinct
}

fn explains<T: Ranked>(cause: &T, earlier: bool, consequence: &T) -> bool {
    // The same trouble of the database, shown by several components.
    if cause.code() == consequence.code() {
        return earlier && cause.code().cause().component == Component::Database;
    }
    // What is known of these two here counts more than what is so in general.
    if cause.explains(consequence) {
        return true;
    }
    if consequence.explains(cause) {
        return false;
    }
    if gives_way(consequence.code(), cause) {
        return true;
    }
    cause.code().cause().explains.iter().any(|it| {
        it.codes.contains(&consequence.code())
            && it.least.is_none_or(|least| cause.severity() <= least)
            && match it.reach {
                Reach::Everywhere => true,
                Reach::SameComponent => cause.component() == consequence.component(),
                Reach::FromApi => cause.component() == Component::Api,
                Reach::InLogs => T::IN_LOG,
                Reach::LaterInLog => T::IN_LOG && follows(cause, consequence),
            }
    })
}

/// Whether one that only says that something failed gives way to this cause.
fn gives_way<T: Ranked>(general: Code, cause: &T) -> bool {
    let of_database = matches!(cause.code().cause().component, Component::Database | Component::Migrations);
    match general.cause().gives_way {
        GivesWay::Never | GivesWay::InLogs => false,
        GivesWay::ToDatabase => of_database && cause.severity() == Severity::Critical,
    }
}

/// Whether a consequence is first seen after its cause, in the same log.
fn follows<T: Ranked>(cause: &T, consequence: &T) -> bool {
    match (cause.first_seen(), consequence.first_seen()) {
        (Some(cause), Some(consequence)) => cause.0 == consequence.0 && cause.1 < consequence.1,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
