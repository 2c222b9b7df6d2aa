//! Wrong files.
