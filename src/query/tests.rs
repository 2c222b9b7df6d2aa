//! The machine against a virtual clock that jumps to the next deadline. Numbers in names are the
//! acceptance cases of query-core that the test restates; a D-number marks what is different here
//! on purpose.

mod acceptance;
mod budget;
mod invariants;
mod lifecycle;
mod marks;
mod network;
mod parts;
mod polling;
mod rig;
