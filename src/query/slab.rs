//! A table with names that can be told to be out of date: a place is used again by another tenant,
//! and a name says which tenant it means.

/// A place in a slab, and the tenant that is meant.
pub(super) trait Name: Copy {
    fn new(at: u32, tenant: u32) -> Self;
    fn at(self) -> u32;
    fn tenant(self) -> u32;
}

#[derive(Debug)]
struct Place<T> {
    tenant: u32,
    value: Option<T>,
}

/// Values by name. A freed place is used again, last freed first.
#[derive(Debug)]
pub(super) struct Slab<N, T> {
    places: Vec<Place<T>>,
    free: Vec<N>,
}

impl<N: Name, T> Slab<N, T> {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Adds what `make` gives for the name it will have.
    ///
    /// # Panics
    /// If there were 2³² values at once.
    pub(super) fn insert(&mut self, make: impl FnOnce(N) -> T) -> N {
        if let Some(name) = self.free.pop() {
            self.places[name.at() as usize].value = Some(make(name));
            return name;
        }
        let at = u32::try_from(self.places.len()).expect("fewer than 2^32 queries and observers");
        let name = N::new(at, 0);
        self.places.push(Place {
            tenant: 0,
            value: Some(make(name)),
        });
        name
    }

    pub(super) fn get(&self, name: N) -> Option<&T> {
        let place = self.places.get(name.at() as usize)?;
        (place.tenant == name.tenant())
            .then_some(place.value.as_ref())
            .flatten()
    }

    pub(super) fn get_mut(&mut self, name: N) -> Option<&mut T> {
        let place = self.places.get_mut(name.at() as usize)?;
        (place.tenant == name.tenant())
            .then_some(place.value.as_mut())
            .flatten()
    }

    pub(super) fn remove(&mut self, name: N) -> Option<T> {
        let place = self.places.get_mut(name.at() as usize)?;
        if place.tenant != name.tenant() {
            return None;
        }
        let value = place.value.take()?;
        // A place whose tenants are used up is not given out again.
        if let Some(next) = place.tenant.checked_add(1) {
            place.tenant = next;
            self.free.push(N::new(name.at(), next));
        }
        Some(value)
    }
}
