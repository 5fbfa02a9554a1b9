//! Where a log shows workers being forked and ending.

use crate::logs::event::Event;

/// The most ends of workers that are kept; later ones are as good as none.
const ENDS: usize = 4096;

/// Where workers were forked and ended by themselves, not because their process was told to stop.
#[derive(Debug, Default)]
pub struct Forks {
    forked: Vec<(u16, u64)>,
    ended: Vec<(u16, u64)>,
}

impl Forks {
    /// Notes what an event says of a worker; nothing while its process is `stopping`.
    pub fn observe(&mut self, event: &Event, stopping: bool) {
        let places = if event.message.starts_with("Booting worker") {
            &mut self.forked
        } else if event.message.starts_with("Worker exiting") && !stopping {
            &mut self.ended
        } else {
            return;
        };
        if places.len() < ENDS {
            places.push((event.source, event.line));
        }
    }

    /// How many workers had ended before this line.
    #[must_use]
    pub fn ends_before(&self, source: u16, line: u64) -> usize {
        let before = |(of, at): &&(u16, u64)| *of == source && *at < line;
        self.ended.iter().filter(before).count()
    }

    /// How many workers there were when the first one ended.
    #[must_use]
    pub fn workers(&self, source: u16) -> usize {
        let first = self.ended.iter().find(|(of, _)| *of == source);
        let before = |(of, at): &&(u16, u64)| *of == source && first.is_none_or(|(_, end)| at < end);
        self.forked.iter().filter(before).count()
    }
}
