//! The task that has the plane go on, on a tokio runtime.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::Plane;
use super::executor::Executor;
use crate::Time;
use crate::store::{Seen, Woken};
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
    let mut registration = plane.hub.register(vec![Arc::clone(&scans) as _]);
    loop {
        // Before the turn: what moves during it is for the next one.
        let seen = [Seen {
            epoch: scans.level(),
            ..Seen::default()
        }];
        let next = plane.turn().unwrap_or(Time::NEVER);
        if plane.is_closed() {
            return;
        }
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
