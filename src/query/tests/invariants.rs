//! Random runs. The rig itself checks that no two attempts run at once, that an abort names a
//! running one, that no promise is settled twice and that no deadline is past; here is the rest.

use proptest::prelude::*;

use super::rig::*;
use crate::key;
use crate::query::*;

const QUERIES: usize = 5;

#[derive(Clone, Debug)]
enum Op {
    Observe(usize, usize),
    Unobserve(usize),
    SetObserver(usize, usize),
    Fetch(usize, bool),
    Refetch(usize, bool),
    Invalidate(usize, RefetchKind),
    Bump(usize),
    Marks,
    Patch(usize),
    Whole(usize),
    Set(usize),
    Consume(usize),
    Landing(usize),
    Land(usize),
    Fail(usize, Option<u64>),
    Cancel(usize, u8),
    Reset(usize),
    Restore,
    Remove(usize),
    Online(bool),
    Focused(bool),
    Answer(usize, u64),
    Advance(u64),
    Resync(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let query = 0..QUERIES;
    let kind = prop_oneof![
        Just(RefetchKind::None),
        Just(RefetchKind::Active),
        Just(RefetchKind::Inactive),
        Just(RefetchKind::All)
    ];
    prop_oneof![
        4 => (query.clone(), 0..6_usize).prop_map(|(q, o)| Op::Observe(q, o)),
        3 => (0..8_usize).prop_map(Op::Unobserve),
        1 => (0..8_usize, 0..6_usize).prop_map(|(o, to)| Op::SetObserver(o, to)),
        3 => (query.clone(), any::<bool>()).prop_map(|(q, r)| Op::Fetch(q, r)),
        1 => (query.clone(), any::<bool>()).prop_map(|(q, r)| Op::Refetch(q, r)),
        2 => (query.clone(), kind).prop_map(|(q, k)| Op::Invalidate(q, k)),
        4 => query.clone().prop_map(Op::Bump),
        4 => Just(Op::Marks),
        1 => query.clone().prop_map(Op::Patch),
        1 => query.clone().prop_map(Op::Whole),
        1 => query.clone().prop_map(Op::Set),
        1 => query.clone().prop_map(Op::Consume),
        2 => query.clone().prop_map(Op::Landing),
        6 => query.clone().prop_map(Op::Land),
        4 => (query.clone(), prop::option::of(0..30_u64)).prop_map(|(q, r)| Op::Fail(q, r)),
        2 => (query.clone(), 0..2_u8).prop_map(|(q, how)| Op::Cancel(q, how)),
        1 => query.clone().prop_map(Op::Reset),
        3 => Just(Op::Restore),
        1 => query.clone().prop_map(Op::Remove),
        3 => query.prop_map(Op::Resync),
        2 => any::<bool>().prop_map(Op::Online),
        2 => any::<bool>().prop_map(Op::Focused),
        2 => (0..8_usize, 0..20_u64).prop_map(|(o, every)| Op::Answer(o, every)),
        4 => (0..40_u64).prop_map(Op::Advance),
    ]
}

fn options(which: usize) -> ObserverOptions {
    let aging = ObserverOptions {
        stale: StaleTime::After(ms(7)),
        ..ObserverOptions::default()
    };
    match which {
        0 => lasting(),
        1 => aging,
        2 => disabled(),
        3 => poller(polling(ms(9))),
        4 => ObserverOptions {
            asks: true,
            ..poller(polling(ms(5)))
        },
        _ => ObserverOptions {
            stale: StaleTime::Static,
            ..ObserverOptions::default()
        },
    }
}

/// A run: the rig, the queries that there are now, and the observers that were made.
struct Run {
    rig: Rig,
    queries: Vec<QueryIx>,
    observers: Vec<ObserverId>,
    /// Whether a feed has marked this query, and nothing has happened since that is allowed to
    /// leave an invalidated value alone: a cancel, a failure, an excuse, a mount by its own rule.
    owed: Vec<bool>,
}

impl Run {
    fn new() -> Self {
        let mut rig = Rig::with(Config {
            max_background: 2,
            poll_jitter_percent: 10,
            ..Config::default()
        });
        let queries = (0..QUERIES).map(|n| make(&mut rig, n)).collect();
        Self {
            rig,
            queries,
            observers: Vec::new(),
            owed: vec![false; QUERIES],
        }
    }

    fn observer(&self, nth: usize) -> Option<ObserverId> {
        self.observers
            .get(nth % self.observers.len().max(1))
            .copied()
    }

    fn step(&mut self, op: &Op) {
        let landed = matches!(op, Op::Land(n) if self.rig.running.contains_key(&self.queries[*n]));
        let rig = &mut self.rig;
        let q = |n: &usize| self.queries[*n];
        match op {
            Op::Observe(n, which) => self.observers.push(rig.observe(q(n), options(*which))),
            Op::Unobserve(nth) => {
                if let Some(observer) = self.observer(*nth) {
                    self.observers.retain(|o| *o != observer);
                    self.rig.unobserve(observer);
                }
            }
            Op::SetObserver(nth, which) => {
                if let Some(observer) = self.observer(*nth) {
                    let rig = &mut self.rig;
                    rig.queries
                        .set_observer(observer, options(*which), rig.now, &rig.store);
                    rig.drain();
                }
            }
            Op::Fetch(n, restart) => {
                rig.want(q(n), call(None, *restart));
            }
            Op::Refetch(n, restart) => {
                rig.refetch(&[q(n)], RefetchKind::All, *restart, Cause::User);
            }
            Op::Invalidate(n, kind) => {
                rig.invalidate(&[q(n)], *kind);
            }
            Op::Bump(n) => rig.bump(q(n)),
            Op::Marks => rig.marks(),
            Op::Patch(n) => rig.patch(q(n)),
            Op::Whole(n) => rig.whole(q(n)),
            Op::Set(n) => rig.set(q(n)),
            Op::Consume(n) => {
                if let Some(attempt) = rig.running.get(&q(n)) {
                    rig.queries.handle_consumed(attempt.fetch);
                }
            }
            Op::Landing(n) => {
                rig.landing(q(n));
            }
            Op::Land(n) => {
                if rig.running.contains_key(&q(n)) {
                    rig.land(q(n));
                }
            }
            Op::Fail(n, retry) => {
                if rig.running.contains_key(&q(n)) {
                    rig.fail(q(n), retry.map(ms));
                }
            }
            Op::Cancel(n, how) => {
                let how = match how {
                    0 => Cancel::Revert,
                    _ => Cancel::Fail("cancelled"),
                };
                rig.cancel(q(n), how);
            }
            Op::Reset(n) => {
                rig.reset(q(n));
            }
            Op::Restore => rig.restore(None),
            Op::Remove(n) => rig.remove(q(n)),
            Op::Online(online) => rig.online(*online),
            Op::Focused(focused) => rig.focused(*focused),
            Op::Answer(nth, every) => {
                if let Some(observer) = self.observer(*nth) {
                    self.rig.answer(observer, Some(polling(ms(*every))));
                }
            }
            Op::Advance(by) => rig.advance(ms(*by)),
            Op::Resync(n) => {
                rig.resync(q(n));
            }
        }
        for n in 0..QUERIES {
            if self.rig.queries.key(self.queries[n]).is_none() {
                self.queries[n] = make(&mut self.rig, n);
            }
        }
        match op {
            Op::Bump(n) => self.owed[*n] = true,
            Op::Cancel(n, _) | Op::Fail(n, _) | Op::Invalidate(n, _) | Op::Remove(n) => {
                self.owed[*n] = false;
            }
            Op::Observe(..) | Op::Unobserve(_) | Op::SetObserver(..) | Op::Restore => {
                self.owed.fill(false);
            }
            // A retry may be given up.
            Op::Advance(_) | Op::Online(_) | Op::Focused(_) => self.owed.fill(false),
            _ => {}
        }
        self.check(op, landed);
    }

    fn check(&self, op: &Op, landed: bool) {
        let rig = &self.rig;
        assert!(rig.queries.budget.running() <= 2);
        assert!(rig.queries.poll_timeout().is_none_or(|at| at >= rig.now));
        for (n, &query) in self.queries.iter().enumerate() {
            let q = rig.queries.registry.get(query).expect("it is there");
            let look = rig.store.look(query);
            assert!(q.acted <= look.sum, "acted on what has not come");
            let running = rig.running.contains_key(&query);
            let info = rig.info(query);
            assert!(!running || info.fetch_status == FetchStatus::Fetching);
            let waits = q
                .flight
                .as_ref()
                .map_or(0, |flight| flight.promises.len() + flight.next.len())
                + q.restoring.len();
            assert!(waits == 0 || info.fetch_status != FetchStatus::Idle || q.restores > 0);
            // After the machine was told of the marks, and after a result that began before them,
            // whoever looks at an invalidated value looks at one that is being fetched.
            let told = match op {
                Op::Marks => true,
                Op::Land(landing) => landed && *landing == n,
                _ => false,
            };
            let expected = self.owed[n] && info.invalidated && rig.queries.follows_marks(query);
            // What is being put back is fetched once it has been.
            if told && expected && q.restores == 0 {
                assert_ne!(info.fetch_status, FetchStatus::Idle, "query {n}");
            }
        }
        self.check_queue();
    }

    /// While something waits for its turn, every place is taken; and something runs that will give
    /// one back.
    fn check_queue(&self) {
        let budget = &self.rig.queries.budget;
        assert!(budget.queued() == 0 || budget.running() == 2);
        let counted = self
            .queries
            .iter()
            .filter_map(|query| self.rig.queries.registry.get(*query)?.flight.as_ref())
            .filter(|flight| flight.counted)
            .count();
        assert_eq!(counted, budget.running());
    }

    /// Lets everything end; then everyone who waited has been told.
    fn finish(&mut self) {
        for observer in std::mem::take(&mut self.observers) {
            self.rig.unobserve(observer);
        }
        self.rig.online(true);
        self.rig.focused(true);
        for _ in 0..10 {
            self.rig.restore(None);
            self.rig.advance(ms(40));
            while let Some((&query, _)) = self.rig.running.first_key_value() {
                self.rig.land(query);
            }
        }
        let told: Vec<_> = self.rig.settled.keys().collect();
        let waited: Vec<_> = self.rig.given.iter().collect();
        assert_eq!(told, waited, "everyone who waits is told once");
        assert_eq!(self.rig.queries.fetching(), 0);
        self.rig.advance(DEFAULT_GC * 2);
        assert_eq!(self.rig.queries.len(), 0, "and everything is collected");
        assert_eq!(self.rig.queries.timers.len(), 0);
    }
}

fn make(rig: &mut Rig, n: usize) -> QueryIx {
    rig.query(key!["q", n as u64])
}

proptest! {
    #[test]
    fn whatever_happens_the_invariants_hold(ops in prop::collection::vec(op(), 1..120)) {
        let mut run = Run::new();
        for op in &ops {
            run.step(op);
        }
        run.finish();
    }

    #[test]
    fn the_same_inputs_give_the_same_actions(ops in prop::collection::vec(op(), 1..120)) {
        let log = || {
            let mut run = Run::new();
            for op in &ops {
                run.step(op);
            }
            run.rig.log
        };
        prop_assert_eq!(log(), log());
    }
}
