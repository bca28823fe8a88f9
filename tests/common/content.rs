//! What a database holds, condensed: of each key a digest of its value, and when it expires.

use kv::engine::Engine;
use kv::error::Result;

use super::history::key;

/// How many keys there are: few, so that they are overwritten and deleted often.
pub const KEYS: usize = 40;

/// What a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    digest: u64,
    /// The number in a value of eight bytes.
    pub counter: Option<i64>,
    /// When it expires, in milliseconds since 1970.
    pub expiry: Option<u64>,
}

/// What each key has. What has expired may be in it; [`live`] leaves it out.
pub type Content = Vec<Option<Held>>;

impl Held {
    pub fn new(value: &[u8], expiry: Option<u64>) -> Held {
        let counter = value.try_into().ok().map(i64::from_le_bytes);
        Held { digest: digest(value), counter, expiry }
    }

    /// The same value, which expires at another time.
    pub fn until(self, expiry: Option<u64>) -> Held {
        Held { expiry, ..self }
    }

    pub fn has_value(&self, value: &[u8]) -> bool {
        self.digest == digest(value)
    }

    fn is_live(&self, now: u64) -> bool {
        self.expiry.is_none_or(|expiry| expiry > now)
    }
}

/// The content of a new database.
pub fn nothing() -> Content {
    vec![None; KEYS]
}

/// What a key has at this time.
pub fn live(held: &Option<Held>, now: u64) -> Option<Held> {
    held.filter(|held| held.is_live(now))
}

/// What is left of a content at this time.
pub fn all_live(content: &Content, now: u64) -> Content {
    content.iter().map(|held| live(held, now)).collect()
}

/// How many keys have something.
pub fn count(content: &Content) -> usize {
    content.iter().flatten().count()
}

/// A digest of a value, unlike the engine's checksum. Four words at a time, each in a lane of its
/// own: no lane waits for another.
fn digest(value: &[u8]) -> u64 {
    const FACTORS: [u64; 4] = [
        0xd6e8_feb8_6659_fd93,
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
    ];
    let mix =
        |sum: u64, word: u64, lane: usize| (sum.rotate_left(23) ^ word).wrapping_mul(FACTORS[lane]);
    let mut lanes = [value.len() as u64 ^ 0x51_7c_c1_b7; 4];
    let (blocks, rest) = value.as_chunks::<32>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in words.iter().enumerate() {
            lanes[lane] = mix(lanes[lane], u64::from_le_bytes(*word), lane);
        }
    }
    let sum = lanes.iter().fold(0, |sum, lane| mix(sum, *lane, 0));
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte) + 1, 0))
}

/// What a key has at this time.
pub fn held_of(engine: &Engine, number: usize, now: u64) -> Result<Option<Held>> {
    let key = key(number);
    let Some(value) = engine.get(&key, |value| Held::new(value, None))? else {
        return Ok(None);
    };
    let left = engine.ttl(&key)?.flatten();
    Ok(Some(value.until(left.map(|left| now + left))))
}

/// What a database holds at this time.
pub fn content_of(engine: &Engine, now: u64) -> Result<Content> {
    (0..KEYS).map(|number| held_of(engine, number, now)).collect()
}

/// How two contents differ, in words.
pub fn difference(found: &Content, expected: &Content) -> Option<String> {
    let differ = |&at: &usize| found[at] != expected[at];
    let which: Vec<String> = (0..found.len())
        .filter(differ)
        .map(|at| match (found[at], expected[at]) {
            (None, _) => format!("key {at} is missing"),
            (_, None) => format!("key {at} is there"),
            (Some(found), Some(expected)) if found.digest == expected.digest => {
                format!("key {at} expires at {:?}, not {:?}", found.expiry, expected.expiry)
            }
            _ => format!("key {at} has another value"),
        })
        .collect();
    (!which.is_empty()).then(|| which.join(", "))
}
