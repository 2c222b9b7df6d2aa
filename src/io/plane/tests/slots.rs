//! Slots that streams write: fetched under what they send, watched, followed; lists of them.
