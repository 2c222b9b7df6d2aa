//! The task that has the plane go on, on a tokio runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::Plane;
use super::executor::Executor;
use crate::Time;
use crate::store::{Seen, Slot, Watched, Woken};
use crate::sync::Arc;

/// Starts the task.
pub(super) fn start(plane: &Arc<Plane>, executor: &Executor) {
    if let Executor::Tokio(..) = executor {
        let driving = Driving(Arc::clone(plane));
        executor.spawn("the slow plane".into(), Box::pin(drive(driving)));
    }
}

/// While the task runs. If it is dropped with its runtime, nobody drives any more: that is the end.
struct Driving(Arc<Plane>);

impl Drop for Driving {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Takes turns: when generations move, when a time has come, when a client rings.
async fn drive(driving: Driving) {
    let plane = &driving.0;
    let scans = Arc::clone(plane.hub.scans());
    let mut slots: Vec<Arc<Slot>> = Vec::new();
    let mut registration = plane.hub.register(vec![Arc::clone(&scans) as _]);
    loop {
        // Before the turn: what moves during it is for the next one.
        let mut seen = vec![Seen {
            epoch: scans.level(),
            ..Seen::default()
        }];
        let next = plane.turn();
        if plane.is_closed() {
            return;
        }
        let (heeded, pause) = plane.heeded();
        let (now, looked): (Vec<_>, Vec<_>) = heeded.into_iter().unzip();
        seen.extend(looked);
        if !same(&now, &slots) {
            let sources = now.iter().map(|slot| Arc::clone(slot) as Arc<dyn Watched>);
            let sources = std::iter::once(Arc::clone(&scans) as _).chain(sources);
            registration = plane.hub.register(sources.collect());
            slots = now;
        }
        let next = next.into_iter().chain(pause).min().unwrap_or(Time::NEVER);
        let mut rang = pin!(plane.bell.notified());
        // The hub keeps the time by the cache's clock.
        let woken = poll_fn(|cx| {
            if rang.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            registration.poll(cx, &seen, next).map(Some)
        })
        .await;
        if woken == Some(Woken::Closed) {
            return;
        }
    }
}

fn same(one: &[Arc<Slot>], other: &[Arc<Slot>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b))
}
