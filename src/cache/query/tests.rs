//! Queries as their users see them: typed states, waits, lists, writes, events, what is stored.

mod initial;
mod kit;
mod lists;
mod observing;
mod stored;
mod turning_stale;
mod writes;
