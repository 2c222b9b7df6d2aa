//! One attempt of a fetch, from the owner's keep to the value in its place.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::document::{self, Document};
use super::executor::Executor;
use super::fetch_error::{FetchError, FetchErrorKind};
use super::fetched::{Answer, Fetched, not_json};
use super::fetcher::FetchContext;
use super::keep::OwnerKeep;
use super::list::{self, LAND_CHUNK, List, Members};
use super::place::Nothing;
use super::query::Query;
use super::retry::Retry;
use super::settings::Settings;
use super::timers::Alarm;
use super::token::CancelToken;
use super::{Place, Plane, SlotPlace};
use crate::io::command::{KeepId, LandItem, Order};
use crate::json::Decoder;
use crate::key::Id;
use crate::query::FetchId;
use crate::record::{Limits, Tree};
use crate::store::Entity;

/// Answers with more bytes are read apart from the tasks, where the runtime has a place for that.
#[cfg(feature = "net")]
const LARGE_ANSWER: usize = 256 << 10;

/// One attempt.
pub(super) struct Run {
    pub(super) plane: Arc<Plane>,
    pub(super) executor: Executor,
    pub(super) query: Arc<Query>,
    pub(super) fetch: FetchId,
    pub(super) attempt: u32,
    pub(super) token: CancelToken,
    pub(super) settings: Arc<Settings>,
    /// The machine has been told how it ended, or wants to know no more.
    pub(super) told: bool,
    /// The machine lets it land.
    pub(super) landing: bool,
}

/// How an attempt ended that has not failed.
enum Ended {
    /// The machine has been told.
    Told,
    /// The value is in its place, or gave way to a newer one.
    Landed,
    /// It was given up meanwhile.
    Dropped,
}

impl Run {
    /// Runs the attempt to its end.
    pub(super) async fn run(mut self) {
        // What an owner kept may be lost with the owner; then the next one is asked, once.
        let mut ended = self.once().await;
        if ended.as_ref().is_err_and(is_lost) {
            ended = self.once().await;
        }
        match ended {
            Ok(Ended::Told | Ended::Dropped) => self.told = true,
            Ok(Ended::Landed) => self.landed(),
            Err(error) => self.failed(error),
        }
    }

    async fn once(&mut self) -> Result<Ended, FetchError> {
        let query = Arc::clone(&self.query);
        match query.place() {
            Place::Slot(slot) => self.slot(slot).await,
            Place::Document(document) => self.document(document).await,
            Place::List(list) => self.list(list).await,
        }
    }

    async fn slot(&mut self, place: &SlotPlace) -> Result<Ended, FetchError> {
        let stamp = place.slot().invalidation();
        let (mut keep, begun) =
            OwnerKeep::begin(&self.plane, place.entity(), Some(place.id())).await?;
        if self.is_unkept() {
            // Its end came before the owner could keep what it marks.
            return Err(FetchError::of(FetchErrorKind::Cancelled));
        }
        let fetched = self.call(begun.sequence).await?;
        let (id, as_of, len) = (place.id().clone(), fetched.as_of, fetched.len());
        let item = match fetched.value {
            Answer::Json(json) => {
                let (mut courier, limits) = (place.entity().courier(), self.limits());
                let compile = move || {
                    let mut decoder = Decoder::new(limits.max_depth);
                    let message = decoder.decode(&json).map_err(not_json)?;
                    LandItem::compiled(id, message.root(), true, as_of, &mut courier, &limits)
                        .map_err(|refusal| FetchError::of(FetchErrorKind::Refused(refusal)))
                };
                self.offload(len, compile).await??
            }
            Answer::Removed => LandItem {
                id,
                patch: None,
                whole: true,
                as_of,
            },
            Answer::Unfit(error) => return Err(error),
        };
        if !self.may_land() {
            return Ok(Ended::Dropped);
        }
        let none = item.patch.is_none();
        keep.land(vec![item], true, self.order()).await?;
        if none {
            let at = self.plane.clock.now();
            place.set_none(Some(Nothing { at, stamp }));
        }
        Ok(Ended::Landed)
    }

    async fn list(&mut self, list: &List) -> Result<Ended, FetchError> {
        let stamp = self.query.word.sum();
        let marked = list.entity().slots_invalidated();
        let held = list.members().sequence;
        let (mut keep, _) = OwnerKeep::begin(&self.plane, list.entity(), None).await?;
        let fetched = self.call(held).await?;
        let as_of = fetched.as_of;
        let order = self.order();
        if let (Some(as_of), Some(held)) = (as_of, held)
            && as_of < held
            && order == Order::Underneath
        {
            return Err(FetchError::of(FetchErrorKind::TooOld { as_of, held }));
        }
        let items = self.items(list.entity(), fetched).await?;
        let ids = list.distinct(items.iter().map(|item| &item.id));
        if !self.may_land() {
            return Ok(Ended::Dropped);
        }
        let mut items = items.into_iter();
        loop {
            let chunk: Vec<LandItem> = items.by_ref().take(LAND_CHUNK).collect();
            let last = items.len() == 0;
            keep.land(chunk, last, order).await?;
            if last {
                break;
            }
        }
        let members = self.members(list, ids, stamp, as_of);
        let (fetch, query) = (self.fetch, Arc::clone(&self.query));
        self.plane.with(|core, now| {
            if core.closed {
                return;
            }
            let old = list.put(members.known_at(now));
            core.list_landed(fetch.query(), &query, marked);
            core.leave_members(list, &old);
            core.throw_away(old);
            let running = core.fetches.remove(&fetch);
            core.throw_away(running);
            core.machine.handle_landed(fetch, now, &core.table);
            core.publish(fetch.query(), now);
        });
        Ok(Ended::Told)
    }

    /// The items of an answer.
    async fn items(
        &self,
        entity: &Arc<Entity>,
        fetched: Fetched,
    ) -> Result<Vec<LandItem>, FetchError> {
        let (len, as_of) = (fetched.len(), fetched.as_of);
        let json = match fetched.value {
            Answer::Json(json) => json,
            // That there is no list is an empty one.
            Answer::Removed => return Ok(Vec::new()),
            Answer::Unfit(error) => return Err(error),
        };
        let Some(shape) = self.settings.list.clone() else {
            return Err(FetchError::new(
                "nothing says where the items of the list are",
            ));
        };
        let (mut courier, limits) = (entity.courier(), self.limits());
        let compile = move || {
            list::items(&json, &shape, limits.max_depth, |id, item| {
                LandItem::compiled(id, item, false, as_of, &mut courier, &limits)
                    .map_err(|refusal| FetchError::of(FetchErrorKind::Refused(refusal)))
            })
        };
        self.offload(len, compile).await?
    }

    fn limits(&self) -> Limits {
        self.plane.store.config().limits
    }

    /// The new members; the old ones' memory where they are the same.
    fn members(&self, list: &List, ids: Vec<Id>, stamp: u64, as_of: Option<u64>) -> Members {
        let held = list.members();
        let same = *held.ids == *ids && self.settings.sharing.unwrap_or(true);
        Members {
            slots: list.slots(&ids),
            ids: if same {
                Arc::clone(&held.ids)
            } else {
                ids.into()
            },
            whole_at: None,
            stamp,
            sequence: as_of.or(held.sequence),
            restored: false,
            version: 0,
        }
    }

    async fn document(&mut self, document: &Document) -> Result<Ended, FetchError> {
        let keep = KeepId(self.plane.number());
        let _kept = Kept { document, keep };
        // Under the lock: no write may come between the sum and the keep.
        let query = Arc::clone(&self.query);
        let held = self
            .plane
            .with(|_, _| document.begin(keep, query.word.sum()));
        let fetched = self.call(held).await?;
        let (as_of, len) = (fetched.as_of, fetched.len());
        let tree = match fetched.value {
            Answer::Json(json) => {
                let share = self.settings.sharing.unwrap_or(true);
                let of = Arc::clone(&self.query);
                let read = move || {
                    let text = std::str::from_utf8(&json).map_err(not_json)?;
                    let tree = Tree::parse(text).map_err(not_json)?;
                    Ok(match of.as_document() {
                        Some(document) if share => document.share(&tree),
                        _ => tree,
                    })
                };
                let read: Result<Tree, FetchError> = self.offload(len, read).await?;
                Some(read?)
            }
            Answer::Removed => None,
            Answer::Unfit(error) => return Err(error),
        };
        let result = document::Result {
            tree,
            as_of,
            last_write_wins: self.order() == Order::LastWriteWins,
        };
        let fetch = self.fetch;
        let asked = self.landing;
        let landed = self.plane.with(|core, now| {
            if core.closed || !(asked || core.machine.may_land(fetch)) {
                return None;
            }
            let (landed, old) = document.land(keep, result, now);
            core.throw_away(old);
            if matches!(
                landed,
                document::Landed::Applied | document::Landed::Overtaken
            ) {
                let running = core.fetches.remove(&fetch);
                core.throw_away(running);
                core.machine.handle_landed(fetch, now, &core.table);
                core.publish(fetch.query(), now);
            }
            Some(landed)
        });
        match landed {
            None => Ok(Ended::Dropped),
            Some(document::Landed::Applied | document::Landed::Overtaken) => Ok(Ended::Told),
            Some(document::Landed::Older { as_of, held }) => {
                self.landing = true;
                Err(FetchError::of(FetchErrorKind::TooOld { as_of, held }))
            }
            Some(document::Landed::Lost) => {
                self.landing = true;
                Err(FetchError::of(FetchErrorKind::Lost))
            }
        }
    }

    fn order(&self) -> Order {
        self.settings.order.unwrap_or_default()
    }

    /// Whether the result may be written. From here on the fetch cannot be cancelled.
    fn may_land(&mut self) -> bool {
        if !self.landing {
            let fetch = self.fetch;
            self.landing = self
                .plane
                .with(|core, _| !core.closed && core.machine.may_land(fetch));
        }
        self.landing
    }

    /// Calls the fetcher. A panic in it is its error.
    async fn call(&self, sequence: Option<u64>) -> Result<Fetched, FetchError> {
        let settings = &self.settings;
        let Some(fetcher) = settings.fetcher.clone().or_else(|| settings.resync.clone()) else {
            return Err(FetchError::new("nothing says how to fetch this"));
        };
        let (plane, fetch) = (Arc::downgrade(&self.plane), self.fetch);
        let consume = move || {
            if let Some(plane) = plane.upgrade() {
                plane.with(|core, _| core.machine.handle_consumed(fetch));
            }
        };
        let cx = FetchContext {
            query: Arc::clone(&self.query),
            attempt: self.attempt,
            sequence,
            token: self.token.clone(),
            consume: Box::new(consume),
            keeper: self.plane.keeper.get().cloned(),
        };
        let mut future = catch(|| fetcher.call(cx))?;
        let patience = self.plane.patience;
        let mut alarm = self.alarm();
        let result = poll_fn(|cx| match catch(|| future.as_mut().poll(cx)) {
            Ok(Poll::Ready(result)) => Poll::Ready(result),
            Ok(Poll::Pending) => {
                while let Some(due) = &mut alarm {
                    if Pin::new(due).poll(cx).is_pending() {
                        break;
                    }
                    if self.is_limited() {
                        return Poll::Ready(Err(FetchError::of(FetchErrorKind::TimedOut(
                            patience,
                        ))));
                    }
                    alarm = self.alarm();
                }
                Poll::Pending
            }
            Err(error) => Poll::Ready(Err(error)),
        })
        .await;
        drop(alarm);
        // Its drop is a user's code, too.
        catch(move || drop(future))?;
        result
    }

    /// Whether it would bring, for a resync alone, what no stream keeps up any more.
    fn is_unkept(&self) -> bool {
        let core = self.plane.lock();
        core.resyncs.is_unkept(&self.query) && core.machine.is_resync(self.fetch)
    }

    /// When to look whether the fetcher takes too long.
    fn alarm(&self) -> Option<Alarm<'_>> {
        let plane = &self.plane;
        let patience = plane.patience;
        // A resync may join what brings a slot's value.
        let joins =
            || matches!(self.query.place(), Place::Slot(_)) && !plane.lock().resyncs.is_empty();
        let looks = patience < Duration::MAX && (joins() || self.is_limited());
        let alarm = looks.then(|| {
            let patience = patience.max(Duration::from_millis(1));
            plane.timers.alarm(plane.clock.now().after(patience))
        });
        if alarm.is_some() {
            plane.ring();
        }
        alarm
    }

    /// Whether others wait for the place of the fetch, or a stream has lost what it is to bring.
    fn is_limited(&self) -> bool {
        self.plane.lock().machine.is_limited(self.fetch)
    }

    /// Does what takes as long as the answer is large where it holds up nothing else.
    async fn offload<T: Send + 'static>(
        &self,
        len: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, FetchError> {
        match &self.executor {
            #[cfg(feature = "net")]
            Executor::Tokio(runtime, _) if len > LARGE_ANSWER => Ok(runtime.offload(work).await?),
            _ => {
                let _ = len;
                Ok(work())
            }
        }
    }

    fn landed(&mut self) {
        self.told = true;
        let fetch = self.fetch;
        self.plane.with(|core, now| {
            if core.closed {
                return;
            }
            let running = core.fetches.remove(&fetch);
            core.throw_away(running);
            core.machine.handle_landed(fetch, now, &core.table);
            core.publish(fetch.query(), now);
        });
    }

    fn failed(&mut self, error: FetchError) {
        self.told = true;
        // Functions of the user's: before the lock.
        let failures = self.attempt.saturating_sub(1);
        let once = self.plane.lock().once.contains(&self.fetch.query());
        let unsaid = if once {
            Retry::Times(0)
        } else {
            Retry::default()
        };
        let retry = self.settings.retry.clone().unwrap_or(unsaid);
        let again = catch(|| retry.again(failures, &error)).unwrap_or(false);
        let delay = self.settings.retry_delay.clone().unwrap_or_default();
        let steady = self.plane.is_by_hand();
        let retry_in = again
            .then(|| catch(|| delay.after(failures, &error, steady)).ok())
            .flatten();
        self.plane.fail(self.fetch, error, retry_in);
    }
}

/// Dropped with the runtime, before its end: the machine must not wait for it.
impl Drop for Run {
    fn drop(&mut self) {
        if !self.told {
            let cancelled = FetchError::of(FetchErrorKind::Cancelled);
            self.plane.fail(self.fetch, cancelled, None);
        }
    }
}

impl Plane {
    /// Says that an attempt failed, unless it was given up before.
    pub(super) fn fail(
        self: &Arc<Self>,
        fetch: FetchId,
        error: FetchError,
        retry_in: Option<Duration>,
    ) {
        self.with(|core, now| {
            if let Some(running) = core.fetches.remove(&fetch) {
                core.resync_failed(&running.query, &error, now);
                core.throw_away(running);
                core.machine
                    .handle_failed(fetch, error, retry_in, now, &core.table);
            } else {
                core.throw_away(error);
            }
        });
    }
}

/// What a document keeps for a fetch.
struct Kept<'a> {
    document: &'a Document,
    keep: KeepId,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        self.document.abandon(self.keep);
    }
}

fn is_lost(error: &FetchError) -> bool {
    matches!(error.kind(), FetchErrorKind::Lost)
}

/// Runs a user's code.
fn catch<T>(code: impl FnOnce() -> T) -> Result<T, FetchError> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let error = FetchError::panicked(&*payload);
        // What was thrown may panic in turn when dropped.
        std::mem::forget(payload);
        error
    })
}

/// A run as a task.
pub(super) fn work(run: Run) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(run.run())
}
