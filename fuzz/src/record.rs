//! One record: any bytes are read as the format says, and a record that is whole comes back from
//! every way of writing it.

use kv::format::encode::{encode_moved, Extra, Moved, Prepared};
use kv::format::record::{Header, Record, RecordKind, Seal, HEADER_LEN};

use super::input::Input;
use super::model::{self, Whole};

/// Bit of the first byte: the record gets the checksum that it must have.
const FIX: u8 = 1;

/// Reads a record.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.u8();
    let (salt, offset) = (input.u32(), u64::from(input.u32()) * 8);
    let mut bytes = input.rest().to_vec();
    if how & FIX != 0 {
        model::fix_record(&mut bytes, salt, offset);
    }
    let head = model::Head::read(&bytes);
    let header = Header::decode(&bytes);
    assert_eq!(head.is_some(), header.is_some());
    let (Some(head), Some(header)) = (head, header) else { return };
    assert_eq!((head.len, head.checked), (header.record_len(), header.checked_len()));
    assert_eq!((head.key_len, head.value_len), (header.key_len, header.value_len));
    assert_eq!(head.key_at, header.key_at());
    let Some(record) = Record::decode(&bytes) else {
        assert!(bytes.len() < head.checked);
        return;
    };
    assert!(Record::of(header, record.bytes()).is_some());
    let whole = model::record(&bytes, salt, offset);
    assert_eq!(record.verifies(salt, offset), whole.is_some());
    if header.kind != RecordKind::Gap {
        let (key, value) = (record.key(), record.value());
        assert_eq!((key.len(), value.len()), (header.key_len, header.value_len));
    }
    let Some(whole) = whole else { return };
    says_the_same(&record, &whole, salt);
    is_noticed_elsewhere(&record, &whole, salt, how);
    match header.kind {
        RecordKind::Put | RecordKind::Tombstone => {
            is_written_again(&record, &whole);
            is_moved(&record, &whole, how);
        }
        RecordKind::Seal => {
            let seal = Seal::decode(&record);
            assert_eq!(seal.records, model::u64_at(&whole.value, 0));
            assert_eq!(seal.next_sequence, model::u64_at(&whole.value, 8));
            let written = seal.encode(salt, offset);
            assert_eq!(Record::decode(&written).map(|again| Seal::decode(&again)), Some(seal));
        }
        RecordKind::Gap => assert_eq!(Prepared::gap(header.value_len).len, header.record_len()),
    }
}

fn says_the_same(record: &Record, whole: &Whole, salt: u32) {
    assert_eq!(record.sequence_delta(), whole.delta);
    assert_eq!(record.expiry(), whole.expiry);
    assert_eq!(record.mark().map(|mark| (mark.count, mark.sum)), whole.mark);
    assert_eq!(record.crc(salt, whole.offset), whole.crc);
    if record.header.kind != RecordKind::Gap {
        assert_eq!((record.key(), record.value()), (&whole.key[..], &whole.value[..]));
    }
}

/// A record verifies in its place alone, and as it is alone.
fn is_noticed_elsewhere(record: &Record, whole: &Whole, salt: u32, how: u8) {
    assert!(!record.verifies(salt, whole.offset ^ 8));
    assert!(!record.verifies(salt ^ 1 << (how >> 3), whole.offset));
    let mut damaged = record.bytes().to_vec();
    let bit = whole.crc as usize % (damaged.len() * 8);
    damaged[bit / 8] ^= 1 << (bit % 8);
    let damaged = Record::decode(&damaged);
    assert!(damaged.is_none_or(|damaged| !damaged.verifies(salt, whole.offset)));
}

/// What is prepared with the same contents says the same, whatever zeros the padding had.
fn is_written_again(record: &Record, whole: &Whole) {
    let (salt, offset, delta) = (0x0102_0304, 4096, 5);
    let is_in_batch = record.header.is_in_batch();
    let extra = Extra { expiry: whole.expiry, is_in_batch, mark: record.mark() };
    let prepared = Prepared::with(record.header.kind, &whole.key, &whole.value, &extra);
    let mut written = prepared.place(salt, offset, delta).to_vec();
    written.extend_from_slice(&prepared.head);
    written.extend_from_slice(prepared.fields());
    assert_eq!(written.len() + whole.key.len(), prepared.lead_len(whole.key.len()));
    written.extend_from_slice(&whole.key);
    written.extend_from_slice(&whole.value);
    written.resize(prepared.len, 0);
    let again = model::record(&written, salt, offset).expect("what was written verifies");
    assert_eq!((&again.key, &again.value), (&whole.key, &whole.value));
    assert_eq!((again.expiry, again.mark), (whole.expiry, whole.mark));
    assert_eq!((again.delta, again.head.kind), (u64::from(delta), whole.head.kind));
}

/// Compaction's copy has the same key, value, time and sequence, and is in no batch.
fn is_moved(record: &Record, whole: &Whole, how: u8) {
    let (salt, offset, delta) = (whole.crc, 4096, whole.delta.rotate_left(u32::from(how)));
    let tombstone = how & 2 != 0;
    let moved = match tombstone {
        true => Moved::tombstone(record, delta),
        false => Moved::new(record, delta),
    };
    let mut out = vec![1, 2, 3];
    encode_moved(&moved, salt, offset, &mut out).expect("there is memory");
    let out = &out[3..];
    assert_eq!(out.len(), moved.record_len());
    let again = model::record(out, salt, offset).expect("a copy verifies");
    assert_eq!((&again.key, again.delta, again.mark), (&whole.key, delta, None));
    if tombstone {
        assert_eq!((again.head.kind, again.value.len()), (model::TOMBSTONE, 0));
    } else {
        assert_eq!(again.value, whole.value);
        assert_eq!((again.expiry, again.head.kind), (whole.expiry, whole.head.kind));
    }
    let decoded = Record::decode(out).expect("a copy is a record");
    assert!(decoded.verifies(salt, offset) && out.len() >= HEADER_LEN);
    assert_eq!((decoded.header.class(), decoded.expiry()), (moved.class(), moved.expiry()));
}
