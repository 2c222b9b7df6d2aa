//! What a turn tells about the subscriptions: how far each is, and which are granted and silent.

use super::super::super::target::Target;
use super::Feed;
use crate::Time;
use crate::feed::{Protocol, Standings};

/// So many streams are named where many are silent; the counter has them all.
const NAMED: usize = 8;

impl<P: Protocol, T: Target> Feed<'_, P, T> {
    /// Takes note of what the server has said.
    #[inline]
    pub(super) fn note_standings(&mut self, now: Time) {
        if let Some(standings) = self.group.poll_standings() {
            self.report_standings(standings, now);
        }
    }

    #[cold]
    fn report_standings(&mut self, standings: Standings, now: Time) {
        let protocol = self.group.protocol();
        let (denied, due) = self.post.board.subscriptions(|report| {
            let denied = report.note(now, standings, |stream| protocol.value_of(stream));
            (denied, report.poll_timeout())
        });
        self.first_data_due = due;
        self.group.counters().subscriptions_denied.add(denied);
    }

    /// Looks at what was granted a while ago, if it is time.
    #[inline]
    pub(super) fn look_at_subscriptions(&mut self, now: Time) {
        if self.first_data_due <= now {
            self.find_silent(now);
        }
    }

    #[cold]
    fn find_silent(&mut self, now: Time) {
        let target = &self.target;
        let (silent, due) = self.post.board.subscriptions(|report| {
            let silent = report.handle_timeout(now, |entity, id| target.received_at(entity, id));
            (silent, report.poll_timeout())
        });
        self.first_data_due = due;
        if silent.is_empty() {
            return;
        }
        let count = silent.len();
        self.group.counters().subscriptions_silent.add(count as u64);
        let named: Vec<_> = silent.iter().take(NAMED).map(ToString::to_string).collect();
        tracing::warn!(
            feed = self.post.options.name,
            count,
            streams = named.join(", "),
            "granted, and no data for longer than first_data_within"
        );
    }
}
