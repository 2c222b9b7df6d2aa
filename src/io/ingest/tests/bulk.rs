//! Long messages: taken apart later, and in the end as if they had been taken apart at once.

use super::*;
use crate::feed::{BulkId, Intake, Leg, Overtaking};
use crate::io::bulk::{Offload, Work};
use serde_json::Value as Json;
use std::collections::VecDeque;
use std::sync::Mutex;

mod cases;
mod histories;

/// Work that nobody has done yet.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<VecDeque<Work>>>);

impl Hands {
    fn offload(&self) -> Offload {
        let hands = self.clone();
        Offload::new(move |work| hands.0.lock().expect("no panic").push_back(work))
    }

    /// Does the first piece; whether there was one.
    fn work(&self) -> bool {
        let work = self.0.lock().expect("no panic").pop_front();
        let found = work.is_some();
        if let Some(work) = work {
            work();
        }
        found
    }

    /// The runtime has ended.
    fn drop_all(&self) {
        self.0.lock().expect("no panic").clear();
    }
}

/// A feed that owns `e`, whose messages are taken at once, or later.
struct Desk {
    world: World,
    intake: Intake<Wire>,
    target: Ingest,
    counters: Arc<Counters>,
    hands: Hands,
    flights: VecDeque<BulkId>,
}

impl Desk {
    fn new(claims: &Claims, overtaking: Overtaking) -> Self {
        let world = World::new();
        let counters = Arc::new(Counters::default());
        let mut target = world
            .ingest("feed", claims.clone(), OnConnect::Invalidate, &counters)
            .expect("attached");
        let hands = Hands::default();
        target.take_apart_elsewhere(BulkOptions {
            offload: hands.offload(),
            max_bytes: 1 << 20,
            overtaking,
        });
        let outbox = Outbox::new(8, 1 << 10);
        let intake = Intake::new(Wire(claims.clone()), 128, outbox, Arc::clone(&counters));
        let mut desk = Self {
            world,
            intake,
            target,
            counters,
            hands,
            flights: VecDeque::new(),
        };
        desk.in_batch(|desk| desk.target.opened(Leg::FIRST));
        desk
    }

    fn in_batch<R>(&mut self, act: impl FnOnce(&mut Self) -> R) -> R {
        let now = self.world.tick();
        self.target.begin(now);
        let result = act(self);
        self.target.finish();
        result
    }

    fn lose(&mut self) {
        self.in_batch(|desk| {
            desk.target.left(Leg::FIRST);
            desk.target.lost();
        });
    }

    fn now(&mut self, text: &str) {
        // What is refused is counted.
        self.in_batch(|desk| {
            let _ = desk.intake.text(text.as_bytes(), &mut desk.target);
        });
    }

    fn later(&mut self, text: &str) {
        self.in_batch(|desk| {
            let text = text.as_bytes().to_vec();
            let taken = desk.intake.defer(text, Wire::clone, &mut desk.target);
            desk.flights.push_back(taken.expect("the sink takes them"));
        });
    }

    /// Lands what one turn lands; whether anything is left.
    fn turn(&mut self) -> bool {
        self.in_batch(|desk| {
            desk.target.land_some();
            if let Some(first) = desk.flights.front()
                && let Some(mut outcome) = desk.target.resume(*first)
            {
                desk.flights.pop_front();
                desk.intake.conclude(&mut outcome, true);
            }
            !desk.flights.is_empty()
        })
    }

    fn land_all(&mut self) {
        while self.turn() {
            self.hands.work();
        }
    }

    fn slot(&self, id: impl Into<Id>) -> Arc<Slot> {
        self.world.slot("e", id)
    }

    fn shows(&self, id: impl Into<Id>) -> Option<Json> {
        let slot = self.slot(id);
        let has_value = slot.head().has_value();
        has_value.then(|| serde_json::from_str(&value(&slot)).expect("JSON"))
    }
}
