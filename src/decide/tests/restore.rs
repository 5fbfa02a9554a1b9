//! A backup is brought back: once, only when it is asked for now, and wholly or not at all.

use super::{invariants::Event, world::World};
use crate::{
    api::{MigrationOperation, RestoreResult},
    decide::Gate,
};

/// An installation of 2.265.0, and the name of the backup that was made before it, of 2.250.0.
fn upgraded() -> (World, String) {
    let mut world = World::new();
    world.happens(&Event::Backup(true));
    for version in [0, 2] {
        world.happens(&Event::Version(version));
        world.settles();
    }
    let names: Vec<_> = world.status.backups.iter().map(|backup| backup.name.clone()).collect();
    let [name] = names.try_into().unwrap();
    (world, name)
}

/// From 2.265.0 back to the backup that was made before it, of 2.250.0: everything stops, the database is replaced, and what
/// starts is what it is of. It runs once, and again when it is asked for again.
#[test]
fn a_backup_is_brought_back_once() {
    let (mut world, name) = upgraded();
    let restored = |world: &World| {
        let history = &world.status.migration_history;
        history.iter().filter(|it| it.operation == MigrationOperation::Restore).count()
    };
    world.user(|wanted| (wanted.restore, wanted.version) = (Some(name.clone()), 0));
    world.settles();
    world.is_as_wanted().unwrap();
    assert_eq!((restored(&world), world.applied_now()), (1, 10));
    assert_eq!(world.status.restore.as_ref().map(|it| it.result), Some(RestoreResult::Restored));
    // On from there, with the same restore still in the specification.
    world.happens(&Event::Version(2));
    world.settles();
    world.is_as_wanted().unwrap();
    assert_eq!((restored(&world), world.applied_now()), (1, 12));
    world.happens(&Event::Restore(None));
    world.settles();
    world.user(|wanted| wanted.restore = Some(name.clone()));
    world.settles();
    world.is_as_wanted().unwrap();
    assert_eq!((restored(&world), world.applied_now()), (2, 12), "restored, and migrated to 2.265.0 again");
}

/// What is in the specification when the operator first sees it may have run long ago.
#[test]
fn a_restore_that_comes_with_a_new_resource_does_not_run() {
    let (mut world, name) = upgraded();
    world.user(|wanted| wanted.restore = Some(name));
    world.wipe_status();
    world.settles();
    world.is_as_wanted().unwrap();
    assert_eq!(world.applied_now(), 12);
    assert_eq!(world.status.restore.as_ref().map(|it| it.result), Some(RestoreResult::Ignored));
}

/// One transaction: what it fails of changes nothing, and what served before serves again.
#[test]
fn a_restore_that_fails_leaves_what_was_there() {
    let (mut world, name) = upgraded();
    world.user(|wanted| wanted.restore = Some(name));
    for _ in 0..12 {
        for event in [
            Event::Pass(usize::MAX),
            Event::PullsEnd,
            Event::BackupEnds(true),
            Event::Roll,
            Event::JobsCollected,
        ] {
            world.happens(&event);
        }
    }
    assert!(world.deployments["api"].pods.is_empty() && world.active_job().is_some());
    for event in [Event::JobStarts, Event::JobFails] {
        world.happens(&event);
    }
    for _ in 0..4 {
        world.happens(&Event::Pass(usize::MAX));
        world.happens(&Event::Roll);
    }
    assert!(matches!(world.plan().gate, Gate::Failed { .. }));
    assert_eq!((world.applied_now(), world.deployments["api"].pods.len()), (12, 2));
    assert_eq!(world.deployments["task-processor"].pods.len(), 1);
    world.happens(&Event::Restore(None));
    world.settles();
    world.is_as_wanted().unwrap();
}
