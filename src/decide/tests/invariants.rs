//! The invariants hold in every sequence of events, and every sequence converges once the trouble ends.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Confirmed, VERSIONS, World};
use crate::{
    api::Circumstance,
    decide::Gate,
    migration::Direction,
    model::Code,
    observe::{JobOutcome, Look},
};

/// Passes and steps of Kubernetes after which everything has settled: the longest way is a failed migration, a
/// retry, a downgrade and three components to roll.
const STEPS_TO_SETTLE: usize = 160;

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A pass of the operator, cut off after so many writes.
    Pass(usize),
    Version(usize),
    /// Confirms that a release is undone: which, whether with a moment of the user's own, and whether before all else.
    RollbackPlan(usize, bool, bool),
    Backup(bool),
    /// Asks for one of the backups that there are, or for none.
    Restore(Option<usize>),
    Stepwise(bool),
    Via(bool),
    BackupEnds(bool),
    PullsEnd,
    Repository(usize),
    Database(usize),
    Retry,
    Processors(i32),
    Frontend(bool),
    JobPlans,
    JobStarts,
    JobCompletes,
    JobFails,
    JobFailsOf(Circumstance),
    Credentials,
    Memory,
    JobLost,
    JobsCollected,
    Roll,
    DeploymentLost(&'static str),
    StatusWiped,
    AnnotationsLost,
    Foreign(bool),
    Forged(bool),
    Unreachable(bool),
    PreflightMissed(bool),
    Look(Look),
    SecretMissing(bool),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => Just(Event::Pass(usize::MAX)),
        3 => (0..6_usize).prop_map(Event::Pass),
        10 => Just(Event::Roll),
        4 => (0..VERSIONS.len()).prop_map(Event::Version),
        4 => (1..VERSIONS.len(), prop::bool::weighted(0.2), prop::bool::weighted(0.1))
            .prop_map(|(from, given, undo_first)| Event::RollbackPlan(from, given, undo_first)),
        1 => any::<bool>().prop_map(Event::Backup),
        3 => prop::option::weighted(0.7, 0..4_usize).prop_map(Event::Restore),
        2 => any::<bool>().prop_map(Event::Stepwise),
        2 => any::<bool>().prop_map(Event::Via),
        2 => any::<bool>().prop_map(Event::BackupEnds),
        4 => Just(Event::PullsEnd),
        1 => (0..2_usize).prop_map(Event::Repository),
        1 => (0..2_usize).prop_map(Event::Database),
        2 => Just(Event::Retry),
        1 => (0..3).prop_map(Event::Processors),
        1 => any::<bool>().prop_map(Event::Frontend),
        3 => Just(Event::JobPlans),
        6 => Just(Event::JobStarts),
        6 => Just(Event::JobCompletes),
        3 => Just(Event::JobFails),
        3 => prop_oneof![Just(Circumstance::Credentials), Just(Circumstance::MemoryLimit)].prop_map(Event::JobFailsOf),
        2 => Just(Event::Credentials),
        2 => Just(Event::Memory),
        1 => Just(Event::JobLost),
        3 => Just(Event::JobsCollected),
        1 => prop::sample::select(vec!["api", "task-processor", "frontend"]).prop_map(Event::DeploymentLost),
        1 => Just(Event::StatusWiped),
        1 => Just(Event::AnnotationsLost),
        1 => any::<bool>().prop_map(Event::Foreign),
        1 => any::<bool>().prop_map(Event::Forged),
        1 => any::<bool>().prop_map(Event::Unreachable),
        2 => any::<bool>().prop_map(Event::PreflightMissed),
        3 => prop::sample::select(vec![Look::Fresh, Look::Stale, Look::Pending(Duration::ZERO)]).prop_map(Event::Look),
        1 => any::<bool>().prop_map(Event::SecretMissing),
    ]
}

fn failure() -> JobOutcome {
    JobOutcome::Failed { reason: "BackoffLimitExceeded".to_owned(), message: String::new() }
}

impl World {
    pub(super) fn happens(&mut self, event: &Event) {
        match *event {
            Event::Pass(writes) => {
                self.pass(writes);
            }
            Event::Version(version) => self.user(|wanted| {
                wanted.version = version;
                // The API server refuses a confirmation that belongs to another downgrade.
                wanted.rollback = None;
            }),
            Event::RollbackPlan(from, given, undo_first) => {
                let from = VERSIONS[from].parse().unwrap();
                self.user(|wanted| wanted.rollback = Some(Confirmed { from, given, undo_first }));
            }
            Event::Backup(wanted) => self.user(|it| it.backup = wanted),
            Event::Restore(place) => {
                let names: Vec<String> =
                    self.status.backups.iter().map(|backup| backup.name.clone()).collect();
                let name = place.and_then(|place| names.get(place % names.len().max(1)).cloned());
                self.user(|it| it.restore = name);
            }
            Event::Stepwise(wanted) => self.user(|it| it.stepwise = wanted),
            Event::Via(wanted) => self.user(|it| it.via = wanted),
            Event::BackupEnds(well) => {
                self.finish_backup(&if well { JobOutcome::Complete } else { failure() });
            }
            Event::PullsEnd => self.finish_pulls(),
            Event::Repository(repository) => self.user(|wanted| wanted.repository = repository),
            Event::Database(database) => self.user(|wanted| wanted.database = database),
            Event::Retry => self.user(|wanted| wanted.retry += 1),
            Event::Processors(count) => self.user(|wanted| wanted.processors = count),
            Event::Frontend(enabled) => self.user(|wanted| wanted.frontend = enabled),
            Event::JobPlans => {
                if let Some((_, job)) = self.active_job() {
                    job.planning = true;
                }
            }
            Event::JobStarts => {
                if let Some((_, job)) = self.active_job() {
                    job.started = true;
                }
            }
            Event::JobCompletes => self.finish_job(JobOutcome::Complete),
            Event::JobFails => self.finish_job(failure()),
            Event::JobFailsOf(what) => self.fail_job_of(what),
            Event::Credentials => self.given.credentials += 1,
            Event::Memory => self.given.memory += 1,
            Event::JobLost => {
                self.jobs.pop_first();
                self.forgotten = true;
            }
            Event::JobsCollected => self.collect_jobs(),
            Event::Roll => self.roll(),
            Event::DeploymentLost(component) => {
                self.deployments.remove(component);
                self.forgotten = true;
            }
            Event::StatusWiped => self.wipe_status(),
            Event::AnnotationsLost => self.lose_annotations(),
            Event::Foreign(active) => self.external = active,
            Event::Forged(there) => self.forged = there,
            Event::Unreachable(unreachable) => self.unreachable = unreachable,
            Event::PreflightMissed(missed) => self.preflight_missed = missed,
            Event::SecretMissing(missing) => self.secret_missing = missing,
            Event::Look(look) => self.look = look,
        }
    }

    /// All trouble ends but Jobs that somebody has forged, the user asks for what a failure or a downgrade needs, and time passes.
    pub(super) fn settles(&mut self) {
        self.external = false;
        self.unreachable = false;
        self.preflight_missed = false;
        self.look = Look::Fresh;
        self.secret_missing = false;
        for _ in 0..STEPS_TO_SETTLE {
            let before = (self.seen(), self.wanted.retry, self.wanted.rollback);
            match self.plan().gate {
                Gate::Failed { .. } | Gate::Blocked(Code::BackupFailed) => {
                    self.user(|wanted| wanted.retry += 1);
                }
                Gate::Blocked(Code::DowngradeBlocked) => {
                    let Direction::Blocked(undo) = self.direction() else {
                        panic!("blocked without a reason")
                    };
                    let given = undo.applied_after.is_none();
                    let confirmed = Confirmed { from: undo.from, given, undo_first: false };
                    self.user(|wanted| wanted.rollback = Some(confirmed));
                }
                _ => {}
            }
            self.pass(usize::MAX);
            self.collect_jobs();
            self.finish_backup(&JobOutcome::Complete);
            self.finish_pulls();
            if let Some((_, job)) = self.active_job() {
                job.started = true;
            }
            self.finish_job(JobOutcome::Complete);
            self.roll();
            if before == (self.seen(), self.wanted.retry, self.wanted.rollback) {
                break;
            }
        }
    }

    /// What the operator and Kubernetes have made so far.
    fn seen(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (
            self.deployments.clone(),
            self.jobs.clone(),
            self.pulls.clone(),
            self.backups.clone(),
            self.status.clone(),
        )
    }

    pub(super) fn is_as_wanted(&self) -> Result<(), TestCaseError> {
        let installation = self.installation();
        let image = installation.api_image(installation.release);
        prop_assert_eq!(&self.plan().gate, &Gate::Succeeded);
        for (component, replicas) in [("api", 2), ("task-processor", self.wanted.processors)] {
            let deployment = &self.deployments[component];
            prop_assert_eq!(&deployment.workload.image, &image, "{}", component);
            prop_assert_eq!(deployment.workload.release, installation.release, "{}", component);
            prop_assert_eq!(deployment.replicas, replicas, "{}", component);
            prop_assert!(deployment.pods.iter().all(|pod| pod.image == image), "{}", component);
        }
        prop_assert_eq!(self.deployments.contains_key("frontend"), self.wanted.frontend);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn hold_in_every_sequence(
        // From an empty database, or from upgrades that went well.
        begins in prop::sample::select(vec![&[][..], &[0], &[0, 1], &[1, 2], &[0, 3]]),
        backup in any::<bool>(),
        events in prop::collection::vec(event(), 0..80),
    ) {
        let mut world = World::new();
        world.happens(&Event::Backup(backup));
        for version in begins {
            world.happens(&Event::Version(*version));
            world.settles();
        }
        for event in &events {
            world.happens(event);
        }
        world.settles();
        world.is_as_wanted()?;
        // A pass over an installation in its desired state changes nothing.
        let before = world.seen();
        world.pass(usize::MAX);
        prop_assert_eq!(world.seen(), before);
        prop_assert!(world.pulls.is_empty());
    }
}

/// The user goes back while the newer release migrates, and the database cannot be reached when that is done: the
/// older release is recorded as migrated, and must not run all the same.
#[test]
fn a_release_that_the_database_has_left_behind_does_not_start() {
    let mut world = World::new();
    for event in [
        Event::Pass(usize::MAX),
        Event::JobStarts,
        Event::Version(1),
        Event::JobCompletes,
        Event::Pass(usize::MAX),
        Event::JobStarts,
        Event::Version(0),
        Event::Unreachable(true),
        Event::JobCompletes,
        Event::Pass(usize::MAX),
        Event::Pass(usize::MAX),
    ] {
        world.happens(&event);
    }
    assert_eq!(world.plan().gate, Gate::Blocked(Code::DowngradeBlocked));
}

/// As after a restart of the operator in the middle of an upgrade.
#[test]
fn a_processor_that_was_stopped_does_not_start_before_a_look() {
    let mut world = World::new();
    let events = [
        Event::Pass(usize::MAX),
        Event::JobStarts,
        Event::JobCompletes,
        Event::Pass(usize::MAX),
        Event::Pass(usize::MAX),
        Event::Roll,
        Event::Version(1),
        Event::Pass(usize::MAX),
        Event::PullsEnd,
        Event::Pass(usize::MAX),
    ];
    for event in &events {
        world.happens(event);
    }
    let processors = |world: &World| world.plan().task_processor.and_then(|it| it.replicas);
    assert_eq!((world.plan().gate, processors(&world)), (Gate::Pending, Some(0)));
    world.happens(&Event::Look(Look::Pending(Duration::ZERO)));
    assert_eq!((world.plan().gate, processors(&world)), (Gate::Blocked(Code::MigrationsPending), Some(0)));
}

/// What a Job failed of is put right: another one is made by itself, once, and never for a change of anything else.
#[test]
fn a_failure_of_what_was_given_is_tried_again_when_that_has_changed() {
    for (what, other, cure) in [
        (Circumstance::Credentials, Event::Memory, Event::Credentials),
        (Circumstance::MemoryLimit, Event::Credentials, Event::Memory),
    ] {
        let mut world = World::new();
        let fails =
            [Event::Pass(usize::MAX), Event::JobStarts, Event::JobFailsOf(what), Event::Pass(usize::MAX)];
        for attempt in 1..=3 {
            for event in &fails {
                world.happens(event);
            }
            world.happens(&other);
            world.happens(&Event::Pass(usize::MAX));
            assert!(matches!(world.plan().gate, Gate::Failed { .. }), "{what:?}: {:?}", world.plan().gate);
            assert_eq!(world.jobs.len(), attempt, "{what:?}");
            world.happens(&cure);
            assert_eq!(world.plan().gate, Gate::Pending, "{what:?}");
        }
        // A failure that nobody understands stays one, whatever changes.
        for event in [
            Event::Pass(usize::MAX),
            Event::JobStarts,
            Event::JobFails,
            Event::Pass(usize::MAX),
            Event::Memory,
            Event::Credentials,
            Event::Pass(usize::MAX),
        ] {
            world.happens(&event);
        }
        assert!(matches!(world.plan().gate, Gate::Failed { .. }), "{:?}", world.plan().gate);
    }
}

/// In an upgrade too, where an image is pulled and a processor is stopped between the change and the Job.
#[test]
fn another_attempt_stays_due_until_its_job_is_made() {
    let mut world = World::new();
    world.settles();
    let goes_on = |world: &mut World| {
        for _ in 0..6 {
            for event in [Event::Pass(usize::MAX), Event::PullsEnd, Event::Roll] {
                world.happens(&event);
            }
        }
    };
    world.happens(&Event::Version(1));
    goes_on(&mut world);
    for attempt in ["-2", "-3"] {
        let fails = [
            Event::JobStarts,
            Event::JobFailsOf(Circumstance::MemoryLimit),
            Event::Pass(usize::MAX),
            Event::Memory,
        ];
        for event in &fails {
            world.happens(event);
        }
        goes_on(&mut world);
        let active = world.active_job().map(|(name, _)| name.clone());
        assert!(
            active.as_ref().is_some_and(|name| name.ends_with(attempt)),
            "{active:?} instead of {attempt}"
        );
    }
}

/// The tag does not exist: the processor goes on working, whatever else happens, until it is corrected.
#[test]
fn nothing_is_stopped_for_an_image_that_is_not_there() {
    let mut world = World::new();
    world.settles();
    world.happens(&Event::Version(2));
    for _ in 0..3 {
        world.happens(&Event::Pass(usize::MAX));
        world.happens(&Event::Roll);
    }
    assert_eq!(world.plan().gate, Gate::Blocked(Code::MigrationImagePending));
    assert_eq!((world.deployments["task-processor"].replicas, world.pulls.len()), (1, 1));
    let wrong = world.pulls.keys().next().cloned();
    world.happens(&Event::Version(1));
    world.happens(&Event::Pass(usize::MAX));
    assert_eq!(world.pulls.len(), 1);
    assert_ne!(world.pulls.keys().next().cloned(), wrong, "the Job of the wrong tag is gone");
    world.settles();
    assert_eq!(world.plan().gate, Gate::Succeeded);
}

/// Raised, and lowered back while the Job still lists what there is to do.
#[test]
fn a_migration_that_has_changed_nothing_is_withdrawn() {
    let mut world = World::new();
    world.settles();
    for event in [
        Event::Version(2),
        Event::Pass(usize::MAX),
        Event::PullsEnd,
        Event::Pass(usize::MAX),
        Event::Roll,
        Event::Roll,
        Event::Pass(usize::MAX),
    ] {
        world.happens(&event);
    }
    world.happens(&Event::JobPlans);
    assert!(matches!(world.plan().gate, Gate::Running(_)));
    for event in [Event::Version(0), Event::Pass(usize::MAX), Event::JobCompletes, Event::JobsCollected] {
        world.happens(&event);
    }
    assert_eq!(world.plan().gate, Gate::Succeeded, "the release that runs is the one that is wanted");
}
