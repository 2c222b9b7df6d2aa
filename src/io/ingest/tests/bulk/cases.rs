//! One rule each.

use super::*;
