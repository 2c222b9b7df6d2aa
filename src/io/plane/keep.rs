//! What the owner of an entity keeps while a fetch runs, as the fetch sees it: begun, landed, given
//! back.

use std::sync::OnceLock;
use std::time::Duration;

use super::Plane;
use super::fetch_error::{FetchError, FetchErrorKind};
use super::owed::Owed;
use crate::io::command::{Begun, Command, KeepId, LandItem, LandReport, Landed, Order};
use crate::io::inbox::CommandError;
use crate::key::Id;
use crate::store::Entity;
use crate::sync::Arc;

/// How often a command is sent again that its owner had no room for.
const SEND_TRIES: u32 = 10;
/// The first pause before that; doubled each time, so that all of them are about two seconds.
const SEND_PAUSE: Duration = Duration::from_millis(2);

/// What an owner keeps for a fetch. Dropped before its end, it is given back.
pub(super) struct OwnerKeep {
    plane: Arc<Plane>,
    entity: Arc<Entity>,
    fetch: KeepId,
    ended: bool,
}

impl OwnerKeep {
    /// Has the owner keep what comes from now on, for one id or for all.
    pub(super) async fn begin(
        plane: &Arc<Plane>,
        entity: &Arc<Entity>,
        id: Option<&Id>,
    ) -> Result<(Self, Begun), FetchError> {
        let fetch = KeepId(plane.number());
        let begun: Arc<OnceLock<Begun>> = Arc::default();
        // Given back even if this is dropped before the owner has answered.
        let keep = Self {
            plane: Arc::clone(plane),
            entity: Arc::clone(entity),
            fetch,
            ended: false,
        };
        let command = || Command::Keep {
            entity: Arc::clone(entity.name()),
            id: id.cloned(),
            fetch,
            begun: Arc::clone(&begun),
        };
        plane.tell(entity, command).await?;
        let begun = begun.get().copied();
        let begun = begun.ok_or_else(|| FetchError::of(FetchErrorKind::Lost))?;
        Ok((keep, begun))
    }

    /// Hands items to the owner and learns what became of them.
    pub(super) async fn land(
        &mut self,
        items: Vec<LandItem>,
        last: bool,
        order: Order,
    ) -> Result<(), FetchError> {
        let report = Arc::default();
        let command = || Command::Land {
            entity: Arc::clone(self.entity.name()),
            fetch: self.fetch,
            items: items.clone(),
            last,
            order,
            report: Arc::clone(&report),
        };
        self.plane.tell(&self.entity, command).await?;
        self.ended = last;
        let report: Option<&LandReport> = report.get();
        let Some(report) = report else {
            return Err(FetchError::of(FetchErrorKind::Lost));
        };
        let whole = items.iter().map(|item| item.whole);
        for (landed, whole) in report.landed.iter().zip(whole) {
            match *landed {
                Landed::Applied | Landed::Unchanged | Landed::Overtaken => {}
                // Of a list: the item is newer than the list, which is as good.
                Landed::Older { .. } if !whole => {}
                Landed::Older { as_of, held } => {
                    return Err(FetchError::of(FetchErrorKind::TooOld { as_of, held }));
                }
                Landed::Lost => return Err(FetchError::of(FetchErrorKind::Lost)),
                Landed::Refused(refusal) => {
                    return Err(FetchError::of(FetchErrorKind::Refused(refusal)));
                }
            }
        }
        Ok(())
    }
}

impl Drop for OwnerKeep {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        // An owner that has let go already takes this for nothing.
        let owed = Owed::keep(Arc::clone(&self.entity), self.fetch);
        self.plane.owe(owed);
    }
}

impl Plane {
    /// Has the owner of an entity carry a command out; again and again, with growing pauses, while
    /// it has no room or is just coming or going.
    pub(super) async fn tell(
        self: &Arc<Self>,
        entity: &Entity,
        command: impl Fn() -> Command + Send + Sync,
    ) -> Result<(), FetchError> {
        let mut pause = SEND_PAUSE;
        for _ in 0..SEND_TRIES {
            let sent = self.owners.send(entity, command());
            let result = match sent {
                Ok(completion) => completion.await,
                Err(error) => Err(error),
            };
            match result {
                Ok(()) => return Ok(()),
                Err(CommandError::InboxFull | CommandError::OwnerGone) => {
                    if self.is_closed() {
                        return Err(FetchError::of(FetchErrorKind::Cancelled));
                    }
                    self.wait_until(self.clock.now().after(pause)).await;
                    pause *= 2;
                }
                Err(error) => return Err(FetchError::owner(error)),
            }
        }
        Err(FetchError::owner(CommandError::InboxFull))
    }
}
