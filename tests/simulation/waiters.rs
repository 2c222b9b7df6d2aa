//! Who waits for news: watches, observers, a stream of changes; they come and go.
//!
//! Whoever has gone to sleep and has news has to be woken: the hub's thread may take its time, and
//! is waited for.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use serde_json::Value;
use tickcache::{Cache, Changes, Entity, Freshness, Kept, Observer, Slot, Watch, key};

use crate::random::Random;
use crate::tally::Tally;
use crate::venue::{ENTITY, name};

/// Longer than a thread takes that is to wake somebody: reached only by a wake that never comes.
const LONG: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Flag {
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().expect("nothing panics with it") = true;
        self.bell.notify_all();
    }
}

impl Flag {
    /// Waits until it is rung; whether it was.
    fn wait(&self) -> bool {
        let rung = self.rung.lock().expect("nothing panics with it");
        let waited = self.bell.wait_timeout_while(rung, LONG, |rung| !*rung);
        *waited.expect("nothing panics with it").0
    }
}

enum Kind {
    Watch(Watch),
    Observer(Observer<Value>),
    Changes(Changes),
    /// Waits for nothing, but counts as somebody who looks.
    Keep {
        #[allow(dead_code, reason = "held for its drop")]
        kept: Kept,
    },
}

impl Kind {
    const fn word(&self) -> &'static str {
        match self {
            Self::Watch(_) => "watch",
            Self::Observer(_) => "observer",
            Self::Changes(_) => "changes",
            Self::Keep { .. } => "keep",
        }
    }
}

/// What a slot shows that news are made of.
type Face = (u64, Freshness);

fn face(slot: &Slot) -> Face {
    (slot.epoch(), slot.freshness())
}

struct Waiter {
    key: usize,
    kind: Kind,
    flag: Arc<Flag>,
    /// What there was when it went to sleep.
    asleep: Option<Vec<Face>>,
    /// The epoch that it was told last.
    told: u64,
}

#[derive(Default)]
pub(crate) struct Waiters {
    waiters: Vec<Waiter>,
    has_followed: bool,
}

impl Waiters {
    /// Somebody comes.
    pub(crate) fn come(&mut self, cache: &Cache, key: usize, random: &mut Random) -> &'static str {
        let entity = cache.entity(ENTITY);
        let slot = entity.slot(name(key));
        let kind = match random.below(10) {
            0..=4 => Kind::Watch(slot.watch()),
            5..=7 => Kind::Observer(cache.query::<Value>(key![ENTITY, name(key)]).observe()),
            8 => Kind::Changes(entity.changes()),
            _ => Kind::Keep { kept: slot.keep() },
        };
        self.has_followed |= matches!(kind, Kind::Changes(_));
        let word = kind.word();
        self.waiters.push(Waiter {
            key,
            kind,
            flag: Arc::default(),
            asleep: None,
            told: 0,
        });
        word
    }

    /// Somebody goes, whatever it is doing.
    pub(crate) fn go(&mut self, random: &mut Random) -> Option<(&'static str, usize)> {
        let at = (!self.waiters.is_empty()).then(|| random.pick(self.waiters.len()))?;
        let waiter = self.waiters.swap_remove(at);
        Some((waiter.kind.word(), waiter.key))
    }

    pub(crate) fn len(&self) -> usize {
        self.waiters.len()
    }

    /// Whether anybody has ever looked at a whole entity.
    pub(crate) const fn has_followed(&self) -> bool {
        self.has_followed
    }

    /// Whether somebody looks at a key.
    pub(crate) fn observes(&self, key: usize) -> bool {
        let looks = |waiter: &Waiter| match waiter.kind {
            Kind::Changes(_) => true,
            _ => waiter.key == key,
        };
        self.waiters.iter().any(looks)
    }

    /// Everybody who has news has been woken, or is within [`LONG`]; some look at once, as one may
    /// who is not woken.
    pub(crate) fn look(
        &mut self,
        slots: &[Slot],
        random: &mut Random,
        tally: &mut Tally,
    ) -> Result<(), String> {
        for waiter in &mut self.waiters {
            if let Some(asleep) = &waiter.asleep {
                let now = waiter.faces(slots);
                if *asleep == now {
                    continue;
                }
                if !waiter.flag.wait() {
                    return Err(format!(
                        "somebody who waits for {} sleeps on news: it went to sleep at {asleep:?}, now there is {now:?}",
                        name(waiter.key)
                    ));
                }
                tally.wakes += 1;
            }
            // A thread that was woken runs when it may.
            if random.chance(60) {
                waiter.poll(slots)?;
            } else {
                waiter.asleep = None;
            }
        }
        Ok(())
    }

    /// Everybody looks, until there is no news left, and has been told of what there is now.
    pub(crate) fn conclude(
        &mut self,
        slots: &[Slot],
        truth: &[Option<Value>],
    ) -> Result<(), String> {
        for waiter in &mut self.waiters {
            waiter.poll(slots)?;
            let epoch = slots[waiter.key].epoch();
            match &waiter.kind {
                Kind::Watch(_) if waiter.told != epoch => {
                    return Err(format!(
                        "a watch was told {}, there is {epoch}",
                        waiter.told
                    ));
                }
                Kind::Observer(observer) => {
                    let state = observer.state();
                    let truth = &truth[waiter.key];
                    if truth.is_some() && state.data() != truth.as_ref() {
                        let data = state.data();
                        return Err(format!("an observer was told {data:?}, there is {truth:?}"));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Waiter {
    fn faces(&self, slots: &[Slot]) -> Vec<Face> {
        match self.kind {
            // Freshness alone is no news to it.
            Kind::Changes(_) => slots
                .iter()
                .map(|slot| (slot.epoch(), Freshness::Live))
                .collect(),
            Kind::Watch(_) => vec![face(&slots[self.key])],
            // What it is told of freshness depends on who fetches.
            Kind::Observer(_) => vec![(slots[self.key].epoch(), Freshness::Live)],
            Kind::Keep { .. } => Vec::new(),
        }
    }

    /// Takes all the news there are, and goes to sleep.
    fn poll(&mut self, slots: &[Slot]) -> Result<(), String> {
        // One of its own: a wake for an earlier sleep is not one for this.
        self.flag = Arc::default();
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut cx = Context::from_waker(&waker);
        loop {
            let is_news = match &mut self.kind {
                Kind::Watch(watch) => match watch.poll_changed(&mut cx) {
                    Poll::Ready(Ok(tick)) => {
                        if tick.epoch() < self.told {
                            return Err(format!("told {} after {}", tick.epoch(), self.told));
                        }
                        self.told = tick.epoch();
                        true
                    }
                    Poll::Ready(Err(closed)) => return Err(closed.to_string()),
                    Poll::Pending => false,
                },
                Kind::Observer(observer) => match observer.poll_changed(&mut cx) {
                    Poll::Ready(Ok(_)) => true,
                    Poll::Ready(Err(closed)) => return Err(closed.to_string()),
                    Poll::Pending => false,
                },
                Kind::Changes(changes) => match pin!(changes.next(|_| {})).poll(&mut cx) {
                    Poll::Ready(Ok(_)) => true,
                    Poll::Ready(Err(closed)) => return Err(closed.to_string()),
                    Poll::Pending => false,
                },
                Kind::Keep { .. } => false,
            };
            if !is_news {
                self.asleep = Some(self.faces(slots));
                return Ok(());
            }
        }
    }
}

/// The slots of all keys.
pub(crate) fn slots(entity: &Entity, keys: usize) -> Vec<Slot> {
    (0..keys).map(|key| entity.slot(name(key))).collect()
}
