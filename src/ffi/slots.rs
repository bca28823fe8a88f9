//! Slots, as many as are needed: places that are given out and given back, and never freed.
//!
//! They are in chunks, each twice as long as the one before. A thread keeps a few vacant slots at
//! hand, in its record ([`epoch`](crate::epoch)), and reaches them with plain loads and stores. All
//! others are in a list that is pushed to and popped without a lock, so that a child of fork()
//! finds none held that nobody will give back.

use super::convert::out_of_memory;
use crate::epoch;
use crate::error::{Error, Kind, Result};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A slot's number has so many bits.
pub(super) const SLOT_BITS: u32 = 26;
/// As many slots as all chunks have.
const SLOTS: u32 = (1 << SLOT_BITS) - FIRST_CHUNK;
/// The first chunk's length.
const FIRST_CHUNK: u32 = 1 << FIRST_CHUNK_BITS;
const FIRST_CHUNK_BITS: u32 = 6;
const CHUNKS: usize = (SLOT_BITS - FIRST_CHUNK_BITS) as usize;

/// A place for a value, on cache lines of its own. A new one is all zeroes.
#[repr(align(64))]
pub(super) struct Slot<T> {
    /// What the user of the slots makes of it.
    pub(super) word: AtomicU64,
    /// Uninitialised when the slot is given out for the first time; then as it was given back.
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
    /// In a list: the number of the next slot plus 1, or 0.
    next: AtomicU32,
}

// SAFETY: `value` is reached through raw pointers by who upholds, where it does so, that one thread
// reaches it at a time; it moves between threads, since T is Send.
unsafe impl<T: Send> Sync for Slot<T> {}

/// A list of slots is a number: in the low bits the number of the first slot plus 1, or 0; above, a
/// count.
const FIRST_BITS: u32 = SLOT_BITS + 1;
const FIRST_MASK: u64 = (1 << FIRST_BITS) - 1;

/// As many slots a thread keeps at hand.
const AT_HAND: u64 = 32;

/// The slots of one type.
pub(super) struct Slots<T> {
    chunks: [AtomicPtr<Slot<T>>; CHUNKS],
    /// How many slots were ever given out, from the front.
    begun: AtomicU32,
    /// Vacant slots that no thread keeps. It counts those that were ever taken out: that tells a
    /// slot that came back to the front from one that never left.
    vacant: AtomicU64,
    /// Where in its record a thread keeps some, if it does. No two types have the same place.
    at_hand: Option<usize>,
}

impl<T: Send> Slots<T> {
    /// None yet.
    pub(super) const fn new(at_hand: Option<usize>) -> Slots<T> {
        Slots {
            chunks: [const { AtomicPtr::new(ptr::null_mut()) }; CHUNKS],
            begun: AtomicU32::new(0),
            vacant: AtomicU64::new(0),
            at_hand,
        }
    }

    /// The slot of this number, if it may exist.
    #[inline(always)]
    pub(super) fn get(&self, number: u32) -> Option<&Slot<T>> {
        let (chunk, at) = place(number);
        let chunk = self.chunks.get(chunk)?.load(Ordering::Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a chunk has a slot at each place in it that `place` answers. `add_chunk` stored
        // the pointer when they were initialised; they are never freed, nor borrowed mutably.
        Some(unsafe { &*chunk.add(at) })
    }

    /// A slot that nobody else has, until it is given back.
    #[inline(always)]
    pub(super) fn take(&self) -> Result<(u32, &Slot<T>)> {
        if let Some(place) = self.at_hand {
            let seat = epoch::seat()?;
            let list = &seat.record().keeps[place];
            let seen = list.load(Ordering::Relaxed) as u64;
            if let Some((number, slot)) = self.first(seen) {
                let next = u64::from(slot.next.load(Ordering::Relaxed));
                let new = ((seen >> FIRST_BITS) - 1) << FIRST_BITS | next;
                list.store(new as usize, Ordering::Relaxed);
                return Ok((number, slot));
            }
        }
        self.take_elsewhere()
    }

    /// Gives a slot back that was taken.
    #[inline(always)]
    pub(super) fn give_back(&self, number: u32, slot: &Slot<T>) {
        if let Some((place, seat)) = self.at_hand.zip(epoch::seat().ok()) {
            let list = &seat.record().keeps[place];
            let seen = list.load(Ordering::Relaxed) as u64;
            let count = seen >> FIRST_BITS;
            if count < AT_HAND {
                slot.next.store((seen & FIRST_MASK) as u32, Ordering::Relaxed);
                let new = (count + 1) << FIRST_BITS | u64::from(number + 1);
                list.store(new as usize, Ordering::Relaxed);
                return;
            }
        }
        let mut seen = self.vacant.load(Ordering::Relaxed);
        loop {
            slot.next.store((seen & FIRST_MASK) as u32, Ordering::Relaxed);
            let new = seen & !FIRST_MASK | u64::from(number + 1);
            // Release: what was done to the slot comes before what the next one does.
            let (release, relaxed) = (Ordering::Release, Ordering::Relaxed);
            match self.vacant.compare_exchange_weak(seen, new, release, relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// The first slot of a list.
    #[inline(always)]
    fn first(&self, list: u64) -> Option<(u32, &Slot<T>)> {
        let number = ((list & FIRST_MASK) as u32).checked_sub(1)?;
        Some((number, self.get(number)?))
    }

    /// A slot that no thread keeps, or one that nobody ever had.
    fn take_elsewhere(&self) -> Result<(u32, &Slot<T>)> {
        let mut seen = self.vacant.load(Ordering::Acquire);
        while let Some((number, slot)) = self.first(seen) {
            // If another takes the slot meanwhile this is anything, but the exchange fails then.
            let next = u64::from(slot.next.load(Ordering::Relaxed));
            let new = (seen >> FIRST_BITS).wrapping_add(1) << FIRST_BITS | next;
            let (acquire, also) = (Ordering::Acquire, Ordering::Acquire);
            match self.vacant.compare_exchange_weak(seen, new, acquire, also) {
                Ok(_) => return Ok((number, slot)),
                Err(now) => seen = now,
            }
        }
        self.begin()
    }

    /// A slot that nobody ever had.
    #[cold]
    fn begin(&self) -> Result<(u32, &Slot<T>)> {
        let mut number = self.begun.load(Ordering::Relaxed);
        loop {
            if number >= SLOTS {
                let text = format!("{SLOTS} handles of this type are in use, which is the limit");
                return Err(Error::new(Kind::TooManyOpen, text));
            }
            let slot = match self.get(number) {
                Some(slot) => slot,
                None => self.add_chunk(number)?,
            };
            let (next, relaxed) = (number + 1, Ordering::Relaxed);
            match self.begun.compare_exchange_weak(number, next, relaxed, relaxed) {
                Ok(_) => return Ok((number, slot)),
                Err(now) => number = now,
            }
        }
    }

    /// Makes the chunk that has the slot `number`.
    fn add_chunk(&self, number: u32) -> Result<&Slot<T>> {
        let (chunk, at) = place(number);
        let layout = Layout::array::<Slot<T>>((FIRST_CHUNK as usize) << chunk)
            .map_err(|_| out_of_memory(usize::MAX))?;
        // SAFETY: slots have a size.
        let fresh = unsafe { alloc_zeroed(layout) }.cast::<Slot<T>>();
        if fresh.is_null() {
            return Err(out_of_memory(layout.size()));
        }
        // Who finds the chunk finds the zeroes in it.
        let (order, null) = (Ordering::AcqRel, ptr::null_mut());
        let chunk = &self.chunks[chunk];
        let chunk = match chunk.compare_exchange(null, fresh, order, Ordering::Acquire) {
            Ok(_) => fresh,
            Err(theirs) => {
                // SAFETY: allocated above with this layout, and nobody was told of it.
                unsafe { dealloc(fresh.cast(), layout) };
                theirs
            }
        };
        // SAFETY: a chunk, from here or from another thread, has the length of `layout` and so the
        // place; zeroes are atomics of 0 and a value that is not initialised; chunks are never
        // freed, nor borrowed mutably.
        Ok(unsafe { &*chunk.add(at) })
    }
}

/// The chunk of a slot, and its place there.
#[inline(always)]
fn place(number: u32) -> (usize, usize) {
    let shifted = number + FIRST_CHUNK;
    let chunk = shifted.ilog2() - FIRST_CHUNK_BITS;
    (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn every_number_has_one_place_in_a_chunk() {
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(FIRST_CHUNK - 1), (0, FIRST_CHUNK as usize - 1));
        assert_eq!(place(FIRST_CHUNK), (1, 0));
        let last = place(SLOTS - 1);
        assert_eq!(last, (CHUNKS - 1, ((FIRST_CHUNK as usize) << (CHUNKS - 1)) - 1));
        let mut expected = (0, 0);
        for number in 0..10_000 {
            assert_eq!(place(number), expected);
            expected.1 += 1;
            if expected.1 == (FIRST_CHUNK as usize) << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn slots_given_back_are_used_again_by_any_thread() {
        static SLOTS: Slots<u64> = Slots::new(None);
        let take = || SLOTS.take().unwrap().0;
        let give = |number: u32| SLOTS.give_back(number, SLOTS.get(number).unwrap());
        let first: HashSet<u32> = (0..1000).map(|_| take()).collect();
        assert_eq!(first, (0..1000).collect());
        first.iter().for_each(|number| give(*number));
        for _ in 0..5 {
            let again = thread::spawn(move || (0..1000).map(|_| take()).collect::<HashSet<_>>());
            let again = again.join().unwrap();
            assert_eq!(again, first);
            again.iter().for_each(|number| give(*number));
        }
    }

    /// One thread takes, another gives back: each keeps a few at hand, and all others come round.
    #[test]
    fn what_threads_keep_at_hand_is_bounded() {
        static SLOTS: Slots<u64> = Slots::new(Some(6));
        let (give, given) = mpsc::sync_channel::<u32>(10);
        let giver = thread::spawn(move || {
            given.iter().for_each(|number| SLOTS.give_back(number, SLOTS.get(number).unwrap()));
        });
        for _ in 0..10_000 {
            give.send(SLOTS.take().unwrap().0).unwrap();
        }
        drop(give);
        giver.join().unwrap();
        let begun = SLOTS.begun.load(Ordering::Relaxed);
        assert!(u64::from(begun) <= 2 * AT_HAND + 20, "{begun} slots for a dozen at a time");
    }

    /// Threads take and give back as fast as they can; what one has is no other's.
    #[test]
    fn a_slot_is_given_to_one_at_a_time() {
        static KEPT: Slots<u64> = Slots::new(Some(7));
        static LISTED: Slots<u64> = Slots::new(None);
        for slots in [&KEPT, &LISTED] {
            let spawn = |me| thread::spawn(move || churn(slots, me));
            let threads: Vec<_> = (1..=THREADS).map(spawn).collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let begun = u64::from(slots.begun.load(Ordering::Relaxed));
            assert!(begun <= THREADS * (AT_HAND + 40), "{begun} slots");
        }
    }

    const THREADS: u64 = 8;

    fn churn(slots: &'static Slots<u64>, me: u64) {
        for round in 0..2_000 {
            let mine: Vec<_> = (0..round % 40).map(|_| slots.take().unwrap()).collect();
            for (_, slot) in &mine {
                assert_eq!(slot.word.swap(me, Ordering::Relaxed), 0, "had twice");
            }
            if round % 64 == 0 {
                thread::yield_now();
            }
            for (number, slot) in mine {
                assert_eq!(slot.word.swap(0, Ordering::Relaxed), me);
                slots.give_back(number, slot);
            }
        }
    }
}
