//! Feeds of exchanges, one constructor each.
