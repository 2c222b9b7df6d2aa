//! Names of the machine's things: small, `Copy`, and harmless once what they name is gone.

/// Which query: a place in the registry and which of its tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct QueryIx {
    pub(super) at: u32,
    pub(super) tenant: u32,
}

/// Which observer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObserverId {
    pub(super) at: u32,
    pub(super) tenant: u32,
}

/// Which fetch: all attempts of it have this name, a restarted one has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FetchId {
    pub(super) query: QueryIx,
    pub(super) number: u64,
}

impl FetchId {
    /// The query that is fetched.
    pub(crate) const fn query(self) -> QueryIx {
        self.query
    }
}

/// What somebody who waits for a fetch is told by, exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct PromiseId(pub(super) u64);
