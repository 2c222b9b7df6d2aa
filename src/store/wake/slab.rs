//! A table with reused places. A place has a generation, so that a ticket kept too long finds
//! nothing instead of somebody else's entry.

/// The name of an entry; never valid again once the entry is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    index: u32,
    generation: u32,
}

impl Ticket {
    #[cfg(test)]
    /// The entry's place.
    pub(super) const fn index(self) -> u32 {
        self.index
    }
}

#[derive(Debug)]
struct Place<T> {
    generation: u32,
    value: Option<T>,
}

/// Entries in places that are used again, last freed first.
#[derive(Debug)]
pub(super) struct Slab<T> {
    places: Vec<Place<T>>,
    free: Vec<u32>,
    live: usize,
}

impl<T> Slab<T> {
    pub(super) const fn new() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// One more than the highest place in use, or ever used.
    pub(super) fn places(&self) -> usize {
        self.places.len()
    }

    /// # Panics
    ///
    /// With more than `u32::MAX` entries at once.
    pub(super) fn insert(&mut self, value: T) -> Ticket {
        self.live += 1;
        if let Some(index) = self.free.pop() {
            let place = &mut self.places[index as usize];
            place.value = Some(value);
            return Ticket {
                index,
                generation: place.generation,
            };
        }
        let index = u32::try_from(self.places.len()).expect("fewer than 2^32 entries at once");
        self.places.push(Place {
            generation: 0,
            value: Some(value),
        });
        Ticket {
            index,
            generation: 0,
        }
    }

    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let place = self.places.get_mut(ticket.index as usize)?;
        if place.generation != ticket.generation {
            return None;
        }
        let value = place.value.take()?;
        self.live -= 1;
        // A place that wrapped round would be trusted by a ticket 2^32 entries old: retire it.
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(ticket.index);
        }
        Some(value)
    }

    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut T> {
        let place = self.places.get_mut(ticket.index as usize)?;
        (place.generation == ticket.generation)
            .then_some(place.value.as_mut())
            .flatten()
    }

    /// The entry at a place, whoever it is.
    pub(super) fn at_mut(&mut self, index: usize) -> Option<&mut T> {
        self.places.get_mut(index)?.value.as_mut()
    }

    /// Every entry with its ticket.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Ticket, &T)> {
        self.places.iter().zip(0..).filter_map(|(place, index)| {
            let ticket = Ticket {
                index,
                generation: place.generation,
            };
            place.value.as_ref().map(|value| (ticket, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_dies_with_its_entry_though_the_place_is_used_again() {
        let mut slab = Slab::new();
        let a = slab.insert('a');
        let b = slab.insert('b');
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!((slab.remove(a), slab.get_mut(a)), (None, None));
        let c = slab.insert('c');
        assert_eq!(c.index(), a.index());
        assert_ne!(c, a);
        assert_eq!(slab.get_mut(a), None);
        assert_eq!(slab.get_mut(c), Some(&mut 'c'));
        assert_eq!((slab.len(), slab.places()), (2, 2));
        assert_eq!(slab.iter().collect::<Vec<_>>(), [(c, &'c'), (b, &'b')]);
    }

    #[test]
    fn a_place_whose_generations_are_used_up_is_retired() {
        let mut slab = Slab::new();
        slab.insert(1);
        slab.places[0].generation = u32::MAX;
        let last = Ticket {
            index: 0,
            generation: u32::MAX,
        };
        assert_eq!(slab.remove(last), Some(1));
        assert_eq!(slab.len(), 0);
        assert_eq!(slab.insert(2).index(), 1);
        assert_eq!(slab.get_mut(last), None);
    }
}
