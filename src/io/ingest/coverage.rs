//! Whose values a feed vouches for, and what its connection does to them.
//!
//! The link of an entity is made of parts: one of its owner, whoever that is, and one of each feed
//! that covers it without owning it. So an owner that comes after one that stopped takes its part
//! over, and its `Stopped` ends with the next open. A feed that covers an entity because no feed
//! owns it has a part of another kind, which means nothing once a feed does.

use super::super::slow::SLOW;
use super::{ClaimError, Entry, Ingest, IngestConfig, Role};
use crate::feed::{Covers, OnConnect};
use crate::store::{Entity, EntityWriter, Link, Store};
use std::sync::Arc;

/// The part of the owner. Feeds' own numbers begin at 1.
const OWNER: u64 = 0;

/// Set in the number of the part of a feed that covers what no feed owns.
const UNOWNED: u64 = 1 << 63;

/// Set in the number of the part that says that an entity is silent by itself. It ends as a part of
/// who covers what no feed owns does.
const SILENCE: u64 = UNOWNED | 1 << 62;

/// The part by which a feed says that an entity is silent, whatever its connection is.
pub(super) const fn silence_of(source: u64) -> u64 {
    source | SILENCE
}

/// The number of who has no connection and vouches for nothing: what it owns keeps the link that
/// it has.
pub(in crate::io) const NO_SOURCE: u64 = 0;

/// The word of a link without what is wrong with it: what a value of the present generation is
/// stamped with.
pub(in crate::io) const fn open_word(word: u64) -> u64 {
    Link {
        generation: Link::from_word(word).generation,
        bits: 0,
    }
    .to_word()
}

/// The claims of what the feed declares, all or none: those before one that fails are returned.
pub(super) fn claims(
    config: &IngestConfig,
    store: &Store,
) -> Result<Vec<EntityWriter>, ClaimError> {
    if let Covers::Listed(names) = &config.claims.covers {
        for name in names {
            store.entity(name).map_err(|_| ClaimError::Full)?;
        }
    }
    let mut claimed: Vec<EntityWriter> = Vec::new();
    for name in &config.claims.entities {
        if claimed
            .iter()
            .any(|writer| **writer.entity().name() == **name)
        {
            continue;
        }
        let entity = store.entity(name).map_err(|_| ClaimError::Full)?;
        claimed.push(entity.claim(Arc::clone(&config.feed)).map_err(|taken| {
            ClaimError::Taken {
                entity: Arc::clone(entity.name()),
                by: taken.by,
            }
        })?);
    }
    Ok(claimed)
}

/// The feed has become the owner: it vouches in the place of all who did because no feed owned it.
pub(super) fn take_over(entity: &Entity, source: u64, bits: u8) {
    entity.update_link(OWNER, |part| Link { bits, ..part });
    entity.update_links(|other, part| match other {
        _ if other & UNOWNED != 0 || other == source => Link { bits: 0, ..part },
        _ => part,
    });
}

/// The feed brings values for an entity of the slow writer: it vouches for them as for its own, and
/// takes the place of those that have stopped.
pub(super) fn vouch(entity: &Entity, source: u64, bits: u8) {
    entity.update_link(source | UNOWNED, |part| Link { bits, ..part });
    entity.update_links(|other, part| match other {
        _ if other == source | UNOWNED => part,
        _ if other != OWNER && other & UNOWNED == 0 => part,
        _ if part.bits & Link::STOPPED != 0 => Link { bits: 0, ..part },
        _ => part,
    });
}

impl Ingest {
    /// Sets those bits of the link that are in `mask`, for all that the feed covers.
    pub(super) fn set_bits(&mut self, mask: u8, bits: u8) {
        self.bits = self.bits & !mask | bits;
        let bits = self.bits;
        self.each_covered(|entity, source| {
            entity.update_link(source, |part| Link { bits, ..part });
        });
        self.renew();
    }

    /// A connection is open: a new generation for all that the feed covers, without anything wrong
    /// with it; but nothing of before is believed, unless the source is trusted.
    pub(super) fn raise(&mut self) {
        self.bits = 0;
        self.raised += 1;
        let invalidate = self.config.on_connect == OnConnect::Invalidate;
        self.each_covered(|entity, source| {
            if invalidate {
                // First, or a value would be live for a moment.
                entity.invalidate();
            }
            entity.update_link(source, |part| Link {
                generation: part.generation + 1,
                bits: 0,
            });
        });
        self.renew();
    }

    /// Something was missed, and nobody knows of which key: every value that the feed covers is
    /// suspect until a whole one replaces it. One store for each entity.
    #[cold]
    pub(super) fn mark_gap(&mut self) {
        self.bits |= Link::GAP;
        self.raised += 1;
        let bits = self.bits;
        self.each_covered(|entity, source| {
            entity.update_link(source, |part| Link {
                generation: part.generation + 1,
                bits,
            });
        });
        self.renew();
    }

    /// The feed is no longer the owner, but covers the entity as before.
    pub(super) fn hand_back(&self, entity: &Entity) {
        let (source, bits) = (self.config.source, self.bits);
        if source == NO_SOURCE {
            return;
        }
        let part = match &self.config.claims.covers {
            Covers::Nothing => None,
            Covers::Unowned => Some(source | UNOWNED),
            Covers::Listed(names) => names
                .iter()
                .any(|name| **name == **entity.name())
                .then_some(source),
        };
        if let Some(part) = part {
            entity.update_link(part, |part| Link { bits, ..part });
        }
        entity.update_link(OWNER, |part| Link { bits: 0, ..part });
    }

    /// Everything that the feed covers, with the number of its part in each link.
    fn each_covered(&self, mut act: impl FnMut(&Entity, u64)) {
        let source = self.config.source;
        if source == NO_SOURCE {
            return;
        }
        for entry in &self.entries {
            match &entry.role {
                Role::Own(_) => act(&entry.entity, OWNER),
                Role::Forward(lane)
                    if lane.vouched
                        && self.config.claims.covers != Covers::Unowned
                        && is_unowned(&entry.entity) =>
                {
                    act(&entry.entity, source | UNOWNED);
                }
                _ => {}
            }
        }
        match &self.config.claims.covers {
            Covers::Nothing => {}
            Covers::Unowned => {
                for entity in self.store.entities() {
                    if is_unowned(&entity) {
                        act(&entity, source | UNOWNED);
                    }
                }
            }
            Covers::Listed(names) => {
                for name in names {
                    let entry = self.names.get(&**name).map(|ix| &self.entries[ix.index()]);
                    if let Some(Entry {
                        entity,
                        role: Role::Unclaimed | Role::Foreign | Role::Forward(_),
                        ..
                    }) = entry
                    {
                        act(entity, source);
                    }
                }
            }
        }
    }
}

/// Whether no feed owns the entity.
pub(in crate::io) fn is_unowned(entity: &Entity) -> bool {
    entity.owner().is_none_or(|owner| &*owner == SLOW)
}
