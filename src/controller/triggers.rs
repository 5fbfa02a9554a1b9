//! From what the watches see to the passes that it is worth.

use std::{collections::HashSet, time::Duration};

use futures::{Stream, stream};
use kube::runtime::reflector::ObjectRef;
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep_until},
};

use crate::{
    api::FlagsmithDeployment,
    observe::{Trigger, Urgency},
};

/// How long a change that nobody waits for is held back, so that one pass serves all that come meanwhile. A rollout
/// goes through its steps within a few seconds, and counts wait longer than that until they are written into a status.
const SOON: Duration = Duration::from_secs(3);

/// The installations to pass over, each as soon as its most urgent trigger asks for.
pub(super) fn coalesce(
    triggers: Receiver<Trigger>,
) -> impl Stream<Item = ObjectRef<FlagsmithDeployment>> + Send {
    let waiting = Waiting { triggers, soon: HashSet::new(), due: Vec::new(), at: Instant::now() };
    stream::unfold(waiting, |mut waiting| async {
        waiting.next().await.map(|installation| (installation, waiting))
    })
}

struct Waiting {
    triggers: Receiver<Trigger>,
    /// What is held back until `at`.
    soon: HashSet<ObjectRef<FlagsmithDeployment>>,
    at: Instant,
    /// What was held back long enough.
    due: Vec<ObjectRef<FlagsmithDeployment>>,
}

impl Waiting {
    async fn next(&mut self) -> Option<ObjectRef<FlagsmithDeployment>> {
        loop {
            if let Some(installation) = self.due.pop() {
                return Some(installation);
            }
            tokio::select! {
                // What was held back long enough first, so that nothing keeps it back any longer.
                biased;
                () = sleep_until(self.at), if !self.soon.is_empty() => self.due.extend(self.soon.drain()),
                trigger = self.triggers.recv() => {
                    let Trigger { installation, urgency } = trigger?;
                    match urgency {
                        Urgency::Now => {
                            self.soon.remove(&installation);
                            return Some(installation);
                        }
                        Urgency::Soon => {
                            if self.soon.is_empty() {
                                self.at = Instant::now() + SOON;
                            }
                            self.soon.insert(installation);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use tokio::sync::mpsc;

    use super::*;

    fn trigger(name: &str, urgency: Urgency) -> Trigger {
        Trigger { installation: ObjectRef::new(name), urgency }
    }

    /// What comes out, and after how many milliseconds.
    async fn passes(triggers: Vec<(u64, Trigger)>) -> Vec<(u64, String)> {
        let (sender, receiver) = mpsc::channel(10);
        let begun = Instant::now();
        let send = async move {
            for (at, trigger) in triggers {
                sleep_until(begun + Duration::from_millis(at)).await;
                sender.send(trigger).await.unwrap();
            }
            sleep_until(begun + Duration::from_secs(10)).await;
        };
        let passes = coalesce(receiver).map(|installation| {
            let after = u64::try_from(begun.elapsed().as_millis()).unwrap();
            (after, installation.name)
        });
        tokio::join!(send, passes.collect()).1
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_does_not_wait_and_the_rest_becomes_one() {
        let observation = passes(vec![
            (0, trigger("a", Urgency::Soon)),
            (300, trigger("a", Urgency::Soon)),
            (400, trigger("b", Urgency::Soon)),
            (500, trigger("c", Urgency::Now)),
            (600, trigger("b", Urgency::Now)),
            (5_000, trigger("a", Urgency::Soon)),
        ])
        .await;
        let expected = [(500, "c"), (600, "b"), (3_000, "a"), (8_000, "a")];
        assert_eq!(observation, expected.map(|(at, name)| (at, name.to_owned())));
    }
}
