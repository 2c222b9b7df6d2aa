//! A venue with a stream for every connection, the group that decides, and what is shown: at any
//! time any connection may be lost, freeze, lag behind, or be asked to make room.
//!
//! Whatever happens, the values that readers see are live from the first snapshot to the next loss
//! of *all* connections; and in the end they are the venue's.

use super::*;
use crate::feed::testing::frame;
use crate::feed::{
    Backoff, Ended, Group, GroupAction, Jitter, Machine, Plan, Random, State as Stands,
};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, VecDeque};

const IDS: i64 = 6;

/// How the venue says what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Whole values, with this rule or none.
    Whole(&'static str),
    /// Patches after a snapshot.
    Patches(&'static str),
    /// Whole values, all messages of a connection counted together.
    Counted,
}

const STYLES: [Style; 8] = [
    Style::Whole(""),
    Style::Whole("none"),
    Style::Whole("equal"),
    Style::Whole("restarting"),
    Style::Patches("none"),
    Style::Patches("key"),
    Style::Patches("time"),
    Style::Counted,
];

/// One connection at the venue: what was sent and has not arrived.
#[derive(Default)]
struct Wireline {
    queue: VecDeque<String>,
    frozen: bool,
    /// How many messages were counted, and numbered.
    counted: u64,
    numbers: BTreeMap<i64, u64>,
}

struct Run {
    random: Random,
    style: Style,
    world: World,
    ingest: Ingest,
    group: Group<Wire>,
    counters: Arc<Counters>,
    venue: BTreeMap<i64, (u64, Json)>,
    lines: [Option<Wireline>; Leg::COUNT],
    connecting: Vec<Leg>,
    /// Every id had a value, and the feed was never lost since.
    sound: bool,
    highest: BTreeMap<i64, u64>,
    /// Promotions while everything was live.
    promoted: u64,
}

impl Run {
    fn new(seed: u64, style: Style) -> Self {
        let mut world = World::new();
        let counters = Arc::new(Counters::default());
        let claims = owning(&["e"]);
        let ingest = world
            .ingest("feed", claims.clone(), OnConnect::Invalidate, &counters)
            .expect("attached");
        let mut settings = Settings::default();
        settings.silent_after = Duration::from_secs(5);
        settings.dead_after = Duration::from_secs(60);
        settings.answer_timeout = Duration::from_secs(1);
        settings.close_timeout = Duration::from_secs(1);
        settings.backoff = Backoff {
            jitter: Jitter::None,
            ..Backoff::fixed(Duration::from_millis(300))
        };
        let config = settings.check().expect("settings that work");
        let shared = Arc::clone(&counters);
        let spawn = move || {
            let (wire, counters) = (Wire(claims.clone()), Arc::clone(&shared));
            Machine::new(config.clone(), wire, counters, seed)
        };
        let mut random = Random::seeded(seed);
        let lifetime = random
            .next_u64()
            .is_multiple_of(2)
            .then_some(Duration::from_secs(30));
        let plan = Plan {
            redundant: !random.next_u64().is_multiple_of(4),
            lifetime,
        };
        let group = Group::new(plan, Box::new(spawn), seed).expect("nothing is asked for");
        let mut run = Self {
            random,
            style,
            ingest,
            group,
            counters,
            venue: (1..=IDS)
                .map(|id| (id, (100, json!({"n": 100, "a": 0}))))
                .collect(),
            lines: [const { None }; Leg::COUNT],
            connecting: Vec::new(),
            sound: false,
            highest: BTreeMap::new(),
            promoted: 0,
            world: World::new(),
        };
        std::mem::swap(&mut run.world, &mut world);
        run.turn(|run, now| run.group.start(now));
        run
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.random.next_u64() % sides
    }

    /// A turn of the feed's thread.
    fn turn(&mut self, act: impl FnOnce(&mut Self, Time)) {
        let now = self.world.tick();
        self.ingest.begin(now);
        self.ingest.catch_up();
        act(self, now);
        self.act(now);
        if self.group.poll_timeout().is_some_and(|due| due <= now) {
            self.group.handle_timeout(now);
            self.act(now);
        }
        self.ingest.finish();
        self.check();
    }

    fn act(&mut self, now: Time) {
        loop {
            while let Some(action) = self.group.poll_action() {
                self.perform(action, now);
            }
            let Some(leg) = self.ingest.torn() else {
                break;
            };
            if !self.group.handle_torn(leg, now) {
                panic!("nobody lost anything");
            }
        }
        for leg in Leg::ALL {
            let n = self.group.transmit(leg).len();
            self.group.handle_transmitted(leg, now, n);
        }
    }

    fn perform(&mut self, action: GroupAction, now: Time) {
        match action {
            GroupAction::Connect { leg, .. } => self.connecting.push(leg),
            GroupAction::Disconnect { leg } => {
                self.connecting.retain(|other| *other != leg);
                self.lines[leg.index()] = None;
            }
            GroupAction::Opened { leg, .. } => {
                self.ingest.opened(leg);
                self.sound = false;
                self.group.handle_filled(leg, now, 0, &mut self.ingest);
            }
            GroupAction::Joined { leg } => {
                self.ingest.joined(leg);
                self.group.handle_filled(leg, now, 0, &mut self.ingest);
            }
            GroupAction::Left { leg, .. } => self.ingest.left(leg),
            GroupAction::Promoted { leg, .. } => {
                self.promoted += u64::from(self.sound);
                self.ingest.promoted(leg);
            }
            GroupAction::Lost(_) => {
                self.sound = false;
                self.ingest.lost();
            }
            GroupAction::Silent => {
                self.sound = false;
                self.ingest.silent(true);
            }
            GroupAction::Audible => self.ingest.silent(false),
            _ => {}
        }
    }

    /// Nothing that readers see is stale, and numbers do not go back.
    fn check(&mut self) {
        let slots: Vec<_> = (1..=IDS).map(|id| (id, self.world.slot("e", id))).collect();
        let all_live = slots.iter().all(|(_, slot)| is_live(slot));
        if self.sound {
            assert!(all_live, "a stale moment");
        }
        self.sound |= all_live && self.group.state() == Stands::Open && !self.group.is_silent();
        // Where older values are told by their numbers, none is shown.
        let rises = matches!(self.style, Style::Whole("" | "equal"));
        for (id, slot) in slots {
            let shown: Json = serde_json::from_str(&value(&slot)).unwrap_or_default();
            let n = shown["n"].as_u64().unwrap_or_default();
            let highest = self.highest.entry(id).or_default();
            assert!(
                !rises || n >= *highest,
                "{id} went back from {highest} to {n}"
            );
            *highest = n.max(*highest);
        }
        let counted = self.counters.snapshot();
        assert!(counted.balanced(), "{counted:?}");
        assert_eq!(counted.gaps, 0, "nobody lost anything");
    }

    /// One id as a line has it, whole or as a patch.
    fn message(&mut self, leg: usize, id: i64, patch: Option<&Json>) -> String {
        let (number, whole) = &self.venue[&id];
        let line = self.lines[leg].as_mut().expect("a line");
        let (kind, value) = match patch {
            Some(patch) => ("patch", patch),
            None => ("whole", whole),
        };
        let mut change = json!({"i": id, "k": kind, "v": value});
        match self.style {
            Style::Whole("none") | Style::Patches("none") => {}
            Style::Whole("restarting") => {
                let own = line.numbers.entry(id).or_default();
                *own += 1;
                change["s"] = json!(own);
                change["r"] = json!("restarting");
            }
            Style::Whole(rule) | Style::Patches(rule) => {
                change["s"] = json!(number);
                change["r"] = json!(rule);
            }
            Style::Counted => {
                change["n"] = json!(line.counted);
                line.counted += 1;
            }
        }
        json!([change]).to_string()
    }

    /// Something changes at the venue.
    fn publish(&mut self) {
        let id = 1 + self.roll(IDS as u64) as i64;
        let a = self.roll(100);
        let (number, value) = self.venue.get_mut(&id).expect("an id");
        *number += 1;
        let patch = json!({"n": number, ["a", "b", "c"][(a % 3) as usize]: a});
        for (name, member) in patch.as_object().expect("an object") {
            value[name] = member.clone();
        }
        for leg in 0..Leg::COUNT {
            if self.lines[leg].is_none() {
                continue;
            }
            let patch = matches!(self.style, Style::Patches(_)).then_some(&patch);
            let text = self.message(leg, id, patch);
            let line = self.lines[leg].as_mut().expect("a line");
            line.queue.push_back(text);
        }
    }

    /// The connection is made, and subscribed to: it begins with a snapshot of everything.
    fn connect(&mut self, leg: Leg) {
        self.connecting.retain(|other| *other != leg);
        self.lines[leg.index()] = Some(Wireline::default());
        self.turn(|run, now| run.group.handle_connected(leg, now, &[], &[]));
        for id in 1..=IDS {
            let text = self.message(leg.index(), id, None);
            let line = self.lines[leg.index()].as_mut().expect("a line");
            line.queue.push_back(text);
        }
    }

    /// Some of what was sent arrives.
    fn arrive(&mut self, leg: Leg, most: usize) {
        let Some(line) = &mut self.lines[leg.index()] else {
            return;
        };
        let count = if line.frozen {
            0
        } else {
            most.min(line.queue.len())
        };
        let texts: Vec<_> = line.queue.drain(..count).collect();
        for text in texts {
            self.turn(|run, now| {
                let bytes = frame(1, text.as_bytes());
                run.group.space(leg)[..bytes.len()].copy_from_slice(&bytes);
                run.ingest.speaks(leg);
                run.group
                    .handle_filled(leg, now, bytes.len(), &mut run.ingest);
            });
        }
    }

    fn step(&mut self) {
        let legs: Vec<_> = self.group.legs().collect();
        let leg = legs[self.roll(legs.len() as u64) as usize];
        match self.roll(40) {
            0..12 => self.publish(),
            12..28 => {
                let most = 1 + self.roll(8) as usize;
                self.arrive(leg, most);
            }
            28..32 if self.connecting.contains(&leg) => self.connect(leg),
            32 if self.lines[leg.index()].is_some() && self.roll(2) == 0 => {
                // What was on its way is lost with it.
                self.lines[leg.index()] = None;
                self.turn(|run, now| run.group.handle_closed(leg, now, Ended::Error));
            }
            33 => {
                let freeze = self.roll(3) == 0;
                if let Some(line) = &mut self.lines[leg.index()] {
                    line.frozen = freeze;
                }
            }
            34 => {
                if let Some(line) = &mut self.lines[leg.index()] {
                    line.queue.push_back(r#"{"bye":1}"#.into());
                }
            }
            _ => {
                let millis = self.roll(700);
                self.world.now = self.world.now.after(Duration::from_millis(millis));
                self.turn(|_, _| {});
            }
        }
    }

    /// The venue falls quiet, and everything arrives.
    fn settle(&mut self) {
        for _ in 0..200 {
            let connecting = self.connecting.clone();
            for leg in connecting {
                self.connect(leg);
            }
            for leg in Leg::ALL {
                if let Some(line) = &mut self.lines[leg.index()] {
                    line.frozen = false;
                }
                self.arrive(leg, usize::MAX);
            }
            self.world.now = self.world.now.after(Duration::from_millis(50));
            self.turn(|_, _| {});
        }
        for (id, (_, expected)) in self.venue.clone() {
            let slot = self.world.slot("e", id);
            let shown: Json = serde_json::from_str(&value(&slot)).expect("a value");
            assert_eq!(shown, expected, "{id} is not the venue's");
        }
    }
}

fn run(seed: u64, style: Style) -> u64 {
    let mut run = Run::new(seed, style);
    for _ in 0..300 {
        run.step();
    }
    run.settle();
    run.promoted
}

#[test]
fn values_stay_live_and_end_as_the_venues() {
    let runs = if cfg!(miri) { 1 } else { 20 };
    for style in STYLES {
        let mut promoted = 0;
        for seed in 0..runs {
            let run = std::panic::catch_unwind(|| run(seed, style));
            let Ok(promotions) = run else {
                panic!("{style:?} with seed {seed}");
            };
            promoted += promotions;
        }
        assert!(promoted > runs, "{style:?}: {promoted} promotions");
    }
}
