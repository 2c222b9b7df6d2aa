//! Queries as their users see them.
