//! Every sample in every form says the same: the first cause, and the names in its sentence.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use flagsmith_operator::causes::Investigation;
use flagsmith_operator::model::Component;

use super::forms::{FORMS, Form};
use super::{Sample, log, samples};

/// Of all pairs of a sample and a form, one in so many is read in every run of the tests; all of them with `--ignored`.
const ONE_IN: usize = 16;

/// Pairs of which nothing can be read: in six lines only one was broken, and nothing tells its edge from the end of a
/// line that is the longest.
const LOST: [(&str, &str); 2] =
    [("wrapped at 100 columns", "frontend-name"), ("wrapped at 100 columns", "frontend-refused")];

fn component(name: &str) -> Component {
    match name {
        "migration" => Component::Migrations,
        "api" => Component::Api,
        "task-processor" => Component::TaskProcessor,
        "frontend" => Component::Frontend,
        "edge-proxy" => Component::EdgeProxy,
        other => unreachable!("{other}"),
    }
}

/// The first cause of a log and its sentence.
fn first(sample: &Sample, bytes: &[u8]) -> Option<(&'static str, String)> {
    let mut investigation = Investigation::new(component(&sample.component));
    investigation.read("", bytes).unwrap();
    let first = investigation.conclude().into_iter().next()?;
    Some((first.code.as_str(), first.message.to_string()))
}

/// How many of the pairs that are `chosen` say the same as the sample itself, for each form; what the others say.
fn score(chosen: fn(usize, usize) -> bool) -> (String, String) {
    let samples = samples();
    let next = AtomicUsize::new(0);
    let results = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((number, sample)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, samples.get(at)?)))
                {
                    let found = of_sample(sample, number, chosen);
                    results.lock().unwrap().extend(found);
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort();
    let (mut table, mut wrong) = (String::new(), String::new());
    for (number, (name, _)) in FORMS.iter().enumerate() {
        let of_form = || results.iter().filter(|(form, ..)| *form == number);
        let right = of_form().filter(|(_, _, said)| said.is_none()).count();
        let _ = writeln!(table, "{right:4} of {:4}  {name}", of_form().count());
        for (_, sample, said) in of_form() {
            if let Some(said) = said {
                let _ = writeln!(wrong, "{name}: {sample}: {said}");
            }
        }
    }
    (table, wrong)
}

/// The forms of one sample: the form, the sample's name, and what is said that the sample itself does not say.
fn of_sample(
    sample: &Sample,
    number: usize,
    chosen: fn(usize, usize) -> bool,
) -> Vec<(usize, String, Option<String>)> {
    let text = String::from_utf8_lossy(&log(&sample.name)).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let plain = first(sample, text.as_bytes());
    let forms = FORMS.iter().enumerate().filter(|(at, _)| chosen(number, *at));
    forms
        .map(|(at, (name, form)): (usize, &Form)| {
            let said = first(sample, &form(&lines));
            let lost = LOST.contains(&(name, sample.name.as_str()));
            let said = ((said != plain) != lost).then(|| format!("{said:?} instead of {plain:?}"));
            (at, sample.name.clone(), said)
        })
        .collect()
}

fn check(chosen: fn(usize, usize) -> bool) {
    let (table, wrong) = score(chosen);
    println!("{table}");
    assert!(wrong.is_empty(), "{table}{wrong}");
}

#[test]
fn samples_say_the_same_in_every_form() {
    check(|sample, form| (sample + form) % ONE_IN == 0);
}

#[test]
#[ignore = "minutes; `make forms`"]
fn all_samples_say_the_same_in_all_forms() {
    check(|_, _| true);
}
