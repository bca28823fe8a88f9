//! What came of many cases of damage, counted.

use super::heap::Need;

/// What came of all the cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub cases: u64,
    /// It did not open, and said why.
    pub refused: u64,
    /// All was as if nothing had happened.
    pub unharmed: u64,
    /// It opened, and reads said what is damaged.
    pub told: u64,
    /// Writes that were not on the medium were gone, the newest ones.
    pub shortened: u64,
    /// Cases that were opened to be read with `pread`, read-only, written to, compacted.
    pub pread: u64,
    pub read_only: u64,
    pub written: u64,
    pub compacted: u64,
    /// The largest piece of memory that was asked for while opening and reading.
    pub need: Need,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.cases += other.cases;
        self.refused += other.refused;
        self.unharmed += other.unharmed;
        self.told += other.told;
        self.shortened += other.shortened;
        self.pread += other.pread;
        self.read_only += other.read_only;
        self.written += other.written;
        self.compacted += other.compacted;
        self.need.largest = self.need.largest.max(other.need.largest);
        self.need.most = self.need.most.max(other.need.most);
    }

    /// For people.
    pub fn in_words(&self) -> String {
        let Tally { cases, refused, unharmed, told, shortened, need, .. } = self;
        let Tally { pread, read_only, written, compacted, .. } = self;
        let (largest, most) = (need.largest, need.most);
        format!(
            "{cases} cases: {refused} refused, {unharmed} unharmed, {told} told by reads, \
             {shortened} without the last writes; {pread} read with pread, {read_only} read-only, \
             {written} written to, {compacted} compacted; at most {largest} bytes at once, {most} \
             in all"
        )
    }
}
