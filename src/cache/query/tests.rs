//! Queries as their users see them: typed states, waits, lists, writes, events, what is stored.

mod kit;
mod lists;
mod observing;
mod stored;
mod writes;
