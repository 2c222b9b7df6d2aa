//! What happens to two feeds and their values, held after every step against a small model of each
//! value: what it is, the number it has, and all that was said against it.
//!
//! The bytes choose the rule of the numbering and how a feed treats reconnects, and then operations:
//! messages of several items (some with a wrong item, some cut short), lost connections, gaps,
//! silence, invalidations, writes and removals by clients, purges, and feeds that end and come back.
//! After each: values, freshness and ledgers are those of the model, epochs and turns have not gone
//! back, and what watchers and subscribers of changes were told covers what has changed.

#[path = "feeds/checks.rs"]
mod checks;
#[path = "feeds/clients.rs"]
mod clients;
#[path = "feeds/model.rs"]
mod model;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tickcache::feed::{Envelope, Rule};
use tickcache::testing::TestFeed;
use tickcache::{Cache, Changes, Completion, Entity, Freshness, SetError, Slot, Watch};

use crate::bytes::{Bytes, merge};
use model::{ENTITIES, IDS, Key, Kind, Numbers, SILENCE, Setup, Verdict, spell};

/// More steps than a history needs to go wrong.
const STEPS: usize = 120;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    messages: u64,
    refused: u64,
    published: u64,
    missing: u64,
    older: u64,
    duplicate: u64,
    gaps: u64,
}

struct Upstream {
    feed: Option<TestFeed<Envelope>>,
    open: bool,
    /// Connections so far.
    connection: u64,
    silent: bool,
    heard: Duration,
    counts: Counts,
}

struct World {
    setup: Setup,
    cache: Cache,
    anchor: TestFeed<Envelope>,
    feeds: Vec<Upstream>,
    entities: Vec<Entity>,
    slots: Vec<Slot>,
    keys: Vec<Key>,
    epochs: Vec<u64>,
    watches: Vec<Watch>,
    changes: Vec<Changes>,
    /// Keys whose value has changed since the watch was asked, and since the changes were.
    unseen: Vec<bool>,
    unpolled: Vec<bool>,
    now: Duration,
    turn: u64,
}

/// Runs the history that the bytes stand for.
///
/// # Panics
/// If the cache and the model differ.
pub(crate) fn replay(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let setup = Setup::choose(&mut bytes);
    let mut world = World::new(setup);
    for _ in 0..STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.check();
    }
}

impl World {
    fn new(setup: Setup) -> Self {
        let (cache, anchor) = TestFeed::new(setup.feed("anchor"));
        let feeds = ENTITIES[..2].iter().map(|name| Upstream {
            feed: Some(anchor.beside(setup.feed(name))),
            open: true,
            connection: 1,
            silent: false,
            heard: Duration::ZERO,
            counts: Counts::default(),
        });
        let feeds = feeds.collect();
        let entities: Vec<Entity> = ENTITIES.iter().map(|name| cache.entity(name)).collect();
        let slots: Vec<Slot> = entities
            .iter()
            .flat_map(|entity| [entity.slot(1), entity.slot("x")])
            .collect();
        Self {
            setup,
            feeds,
            keys: vec![Key::default(); slots.len()],
            epochs: vec![0; slots.len()],
            watches: slots.iter().map(Slot::watch).collect(),
            changes: entities.iter().map(Entity::changes).collect(),
            unseen: vec![false; slots.len()],
            unpolled: vec![false; slots.len()],
            slots,
            entities,
            cache,
            anchor,
            now: Duration::ZERO,
            turn: 0,
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let feed = bytes.below(2);
        let key = bytes.below(self.keys.len());
        match bytes.below(32) {
            0..16 => self.message(feed, bytes),
            16 => self.nonsense(feed, bytes),
            17 => self.lose(feed),
            18 | 19 => self.open(feed),
            20 => self.gap(feed),
            21 | 22 => self.write(key, bytes),
            23 => self.remove(key),
            24 => self.purge(key),
            25 => self.client_invalidates(key, bytes),
            26 => self.advance(Duration::from_secs(bytes.below(16) as u64)),
            27 => self.end(feed),
            28 => self.attach(feed),
            29 => self.watched(key),
            30 => self.polled(),
            _ => self.cut(),
        }
        self.settle();
    }

    /// A message of up to three items, all for the entity of the feed or all for another one's.
    fn message(&mut self, feed: usize, bytes: &mut Bytes<'_>) {
        let choice = bytes.byte();
        let kind = match choice % 8 {
            0..2 => Kind::Whole,
            2..5 => Kind::Patch,
            5 => Kind::Remove,
            _ => Kind::Drop,
        };
        // For somebody else's entity: unmapped.
        let foreign = choice >= 0xf0;
        let spoilt = (0xe0..0xf0).contains(&choice);
        let cut_short = (0xd0..0xe0).contains(&choice);
        let mut items = Vec::new();
        for _ in 0..1 + bytes.below(3) {
            let id = bytes.below(IDS.len() + usize::from(kind == Kind::Drop));
            let key = 2 * feed + id.min(1);
            let numbers = self.numbers(key, bytes);
            items.push((id, numbers, bytes.object()));
        }
        let text = spell(
            ENTITIES[if foreign { 1 - feed } else { feed }],
            kind,
            &items,
            spoilt,
        );
        let length = if cut_short {
            bytes.below(text.len())
        } else {
            text.len()
        };
        let Some(upstream) = &mut self.feeds[feed].feed else {
            return;
        };
        let taken = upstream.message(&text[..length]);
        self.feeds[feed].counts.messages += 1;
        if spoilt && kind != Kind::Drop || cut_short {
            assert!(taken.is_err(), "{text}");
            self.feeds[feed].counts.refused += 1;
            return;
        }
        assert_eq!(taken, Ok(()), "{text}");
        if foreign {
            return;
        }
        (self.feeds[feed].heard, self.feeds[feed].silent) = (self.now, false);
        for (id, numbers, value) in items {
            if kind == Kind::Drop {
                let all = 2 * feed..2 * feed + 2;
                all.filter(|key| id > 1 || spoilt || key % 2 == id)
                    .for_each(|key| self.keys[key].invalidated = true);
            } else {
                self.update(feed, 2 * feed + id, kind, numbers, &value);
            }
        }
    }

    /// A number near those that were sent: the next one, a copy, one of before, one after a hole.
    fn numbers(&mut self, key: usize, bytes: &mut Bytes<'_>) -> Numbers {
        let key = &mut self.keys[key];
        let held = key.held.map_or(key.sent, |(last, _)| last);
        let last = match bytes.below(8) {
            0..4 => held + 1,
            4 => held,
            5 => held.saturating_sub(1),
            6 => held + 2,
            _ => held + 7,
        };
        key.sent = key.sent.max(last);
        Numbers {
            first: last.saturating_sub(bytes.below(4) as u64),
            last,
            previous: last.saturating_sub(1 + bytes.below(8) as u64 / 6),
        }
    }

    /// What the model makes of one item.
    fn update(&mut self, feed: usize, at: usize, kind: Kind, numbers: Numbers, value: &Value) {
        let counted = self.setup.rule != Rule::None;
        let key = self.keys[at].clone();
        let inserts = kind == Kind::Whole || kind == Kind::Patch && self.setup.inserts;
        if key.value.is_none() && !inserts {
            self.feeds[feed].counts.missing += 1;
            return;
        }
        let whole = kind == Kind::Whole;
        let mut gap = false;
        match self
            .setup
            .judge(self.feeds[feed].connection, &key, numbers, whole)
        {
            _ if !counted => {}
            Verdict::Fresh => {}
            Verdict::Older => return self.feeds[feed].counts.older += 1,
            Verdict::Duplicate if whole && (key.gap || key.partial) => {}
            Verdict::Duplicate => return self.feeds[feed].counts.duplicate += 1,
            Verdict::Gap => {
                self.feeds[feed].counts.gaps += 1;
                gap = true;
            }
        }
        let upstream = &mut self.feeds[feed];
        upstream.counts.published += 1;
        let mut key = key;
        match kind {
            Kind::Whole => {
                key.value = Some(value.clone());
                key.unconfirmed = !upstream.open;
                (key.invalidated, key.partial) = (false, false);
                (key.gap, key.link_gap) = (false, false);
            }
            Kind::Patch => {
                key.partial |= key.value.is_none();
                merge(key.value.get_or_insert(Value::Null), value);
                key.gap |= gap;
                if self.setup.trusts && upstream.open && !key.link_gap {
                    key.unconfirmed = false;
                }
            }
            _ => key.value = None,
        }
        key.held = counted.then_some((numbers.last, upstream.connection));
        self.put(at, key);
    }

    fn put(&mut self, at: usize, key: Key) {
        let moved = self.keys[at].value != key.value;
        self.unseen[at] |= moved;
        self.unpolled[at] |= moved;
        self.keys[at] = key;
    }

    /// Text that is no message: it is refused, or unmapped, and changes nothing.
    fn nonsense(&mut self, feed: usize, bytes: &mut Bytes<'_>) {
        let Some(upstream) = &mut self.feeds[feed].feed else {
            return;
        };
        let length = bytes.below(16);
        let text: String = (0..length)
            .map(|_| char::from(bytes.byte() & 0x7f))
            .collect();
        let refused = upstream.message(&format!("[{text}")).is_err();
        self.feeds[feed].counts.messages += 1;
        self.feeds[feed].counts.refused += u64::from(refused);
    }

    fn each_of(&mut self, feed: usize, change: impl Fn(&mut Key)) {
        self.keys[2 * feed..2 * feed + 2]
            .iter_mut()
            .for_each(change);
    }

    fn lose(&mut self, feed: usize) {
        let Some(upstream) = &mut self.feeds[feed].feed else {
            return;
        };
        upstream.disconnect();
        self.feeds[feed].open = false;
        self.each_of(feed, |key| key.unconfirmed = true);
    }

    fn open(&mut self, feed: usize) {
        if let Some(upstream) = &mut self.feeds[feed].feed {
            upstream.reconnect();
            self.opened(feed);
            self.pass_a_moment();
        }
    }

    fn opened(&mut self, feed: usize) {
        let (invalidates, now) = (!self.setup.trusts, self.now);
        let upstream = &mut self.feeds[feed];
        (upstream.open, upstream.silent, upstream.heard) = (true, false, now);
        upstream.connection += 1;
        self.each_of(feed, |key| {
            key.unconfirmed = true;
            key.invalidated |= invalidates;
        });
    }

    /// Messages of the connection are missing, and nobody knows of what.
    fn gap(&mut self, feed: usize) {
        if let Some(upstream) = &mut self.feeds[feed].feed {
            upstream.gap();
            self.feeds[feed].counts.gaps += 1;
            self.each_of(feed, |key| key.link_gap = true);
        }
    }

    /// The feed of a key, if it has one and that is there.
    fn owner(&self, key: usize) -> Option<usize> {
        let feed = key / 2;
        (feed < 2 && self.feeds[feed].feed.is_some()).then_some(feed)
    }

    /// Waits for what a client asked for, and says whether it was done.
    fn done(&mut self, asked: Result<Completion, SetError>) -> bool {
        let asked = asked.expect("there is room, and an owner");
        self.settle();
        asked.result().expect("it was settled").is_ok()
    }

    /// A connection says nothing in the very nanosecond of its open: by the time alone is known of
    /// what brings no news that it came after.
    fn pass_a_moment(&mut self) {
        self.advance(Duration::from_nanos(1));
    }

    fn advance(&mut self, by: Duration) {
        self.anchor.advance(by);
        self.now += by;
    }

    /// Every feed does what is due.
    fn settle(&mut self) {
        let (now, falls_silent) = (self.now, self.setup.falls_silent);
        for upstream in &mut self.feeds {
            let Some(feed) = &mut upstream.feed else {
                continue;
            };
            feed.settle();
            upstream.silent |= falls_silent && upstream.open && now >= upstream.heard + SILENCE;
        }
    }

    fn end(&mut self, feed: usize) {
        if self.feeds[feed].feed.take().is_some() {
            self.feeds[feed].open = false;
            self.each_of(feed, |key| key.unconfirmed = true);
        }
    }

    fn attach(&mut self, feed: usize) {
        if self.feeds[feed].feed.is_none() {
            let next = self.anchor.beside(self.setup.feed(ENTITIES[feed]));
            self.feeds[feed].feed = Some(next);
            self.feeds[feed].counts = Counts::default();
            self.opened(feed);
            self.pass_a_moment();
        }
    }
}
