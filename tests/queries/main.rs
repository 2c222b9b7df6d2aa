//! The slow path held against query-core: the cases of its behaviour by their numbers, the races
//! that it loses by theirs, and further ones beside them. By hand, on a virtual clock.

#![allow(clippy::disallowed_types, reason = "what tests share needs no model")]

mod cancelling;
mod collecting;
mod extremes;
mod fetching;
mod garbage;
mod hostile;
mod initial;
mod invalidation;
mod keys;
mod kit;
mod lists;
mod membership;
mod network;
mod numbers;
mod observing;
mod owning;
mod phases;
mod races;
mod sentences;
mod texts;
mod writes;
