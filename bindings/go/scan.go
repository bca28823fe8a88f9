// Reading one moment: snapshots, and walking over all keys.

package kv

// #include "calls.h"
import "C"

import (
	"encoding/binary"
	"runtime"
)

// Snapshot is the database as it was at one moment. Any number of goroutines may read from it.
type Snapshot struct {
	db     *DB
	handle C.uintptr_t
}

// Snapshot is the database as it is now, to be read while it changes. Close it soon: what only a
// snapshot sees cannot be removed.
func (db *DB) Snapshot() (*Snapshot, error) {
	made := C.go_snapshot_new(db.handle)
	if err := check(made); err != nil {
		return nil, err
	}
	snapshot := &Snapshot{db, made.handle}
	runtime.SetFinalizer(snapshot, (*Snapshot).Close)
	return snapshot, nil
}

// Close lets the snapshot go. Closing it again does nothing. While another goroutine reads from it,
// that is left to the finalizer.
func (s *Snapshot) Close() {
	C.go_snapshot_free(s.handle)
	runtime.KeepAlive(s)
}

// Get answers a copy of the value that a key had, or ErrNotFound.
func (s *Snapshot) Get(key []byte) ([]byte, error) {
	got := C.go_snapshot_get(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	return copied(got)
}

// AppendTo appends the value that a key had to buf, as DB.AppendTo does.
func (s *Snapshot) AppendTo(buf, key []byte) ([]byte, error) {
	defer runtime.KeepAlive(s)
	return appended(buf, func(room []byte) C.go_answer {
		return C.go_snapshot_get_into(s.handle, start(key), size(key), start(room), size(room))
	})
}

// View calls use with the value that a key had, not copied, as DB.View does.
func (s *Snapshot) View(key []byte, use func(value []byte) error) error {
	got := C.go_snapshot_view_get(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	return look(got, use)
}

// Has answers whether a key was there.
func (s *Snapshot) Has(key []byte) (bool, error) {
	got := C.go_snapshot_exists(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	return found(got)
}

// Size answers how many bytes the value of a key had, or ErrNotFound.
func (s *Snapshot) Size(key []byte) (int, error) {
	got := C.go_snapshot_exists(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	return int(got.len), check(got)
}

// Iterator shows keys and values one after the other, in no order, as they were at one moment. It
// belongs to one goroutine at a time.
//
//	it := db.Iterator(nil)
//	defer it.Close()
//	for it.Next() {
//		use(it.Key(), it.Value())
//	}
//	return it.Err()
type Iterator struct {
	of         any // Kept from being finalized.
	handle     C.uintptr_t
	key, value []byte
	err        error

	records []byte // Read ahead: the records that are still to be shown.
	buffer  []byte // Where they are.
	again   bool   // The library stands at a record that had no room.
	ended   bool
	failed  error // What came after the records.
}

const (
	firstRead   = 4 << 10
	largestRead = 64 << 10
	lengths     = 16 // Bytes of the two lengths before each record.
)

// Iterator walks over the keys that begin with prefix, as they are now. nil: over all keys. They
// are in no order, so that a prefix saves no reading.
func (db *DB) Iterator(prefix []byte) *Iterator { return newIterator(db, db, 0, prefix) }

// Iterator walks over the keys that begin with prefix, as they were then.
func (s *Snapshot) Iterator(prefix []byte) *Iterator {
	return newIterator(s, s.db, s.handle, prefix)
}

func newIterator(of any, db *DB, snapshot C.uintptr_t, prefix []byte) *Iterator {
	made := C.go_iter_new(db.handle, snapshot, start(prefix), size(prefix))
	runtime.KeepAlive(of)
	err := check(made)
	it := &Iterator{of: of, handle: made.handle, err: err, ended: err != nil}
	runtime.SetFinalizer(it, (*Iterator).Close)
	return it
}

// Next goes to the next key. It answers false at the end, and when Err has something to tell. After
// ErrCorrupt, Next may be called again to go on behind the damage.
func (it *Iterator) Next() bool {
	it.key, it.value = nil, nil
	if it.ended {
		return false
	}
	it.err = nil
	if len(it.records) == 0 && !it.read() {
		return false
	}
	key := binary.LittleEndian.Uint64(it.records)
	value := binary.LittleEndian.Uint64(it.records[8:])
	end := lengths + key + value
	it.key = it.records[lengths : lengths+key : lengths+key]
	it.value = it.records[lengths+key : end : end]
	it.records = it.records[end:]
	return true
}

// read gets records from the library: many in one call, and more the longer the walk is.
func (it *Iterator) read() bool {
	if it.failed != nil {
		it.err, it.failed = it.failed, nil
		return false
	}
	if len(it.buffer) < largestRead {
		it.buffer = make([]byte, max(firstRead, 2*len(it.buffer)))
	}
	for {
		got := C.go_iter_fill(
			it.handle, (*C.char)(start(it.buffer)), size(it.buffer), C.int(flag(it.again)))
		it.again = got.status == C.KV_BUFFER_TOO_SMALL
		it.ended = got.status == C.KV_NOT_FOUND
		if !it.again && !it.ended {
			it.failed = check(got)
		}
		it.records = it.buffer[:int(got.len)]
		if len(it.records) > 0 {
			// The end comes when they were shown.
			it.ended = false
			return true
		}
		if !it.again {
			it.err, it.failed = it.failed, nil
			return false
		}
		it.buffer = make([]byte, int(got.number))
	}
}

func max(a, b int) int {
	if a > b {
		return a
	}
	return b
}

// Key is where the iterator is, nil before the first Next and at the end. The slice is good until
// the next call of Next.
func (it *Iterator) Key() []byte { return it.key }

// Value is its value. The slice is good until the next call of Next.
func (it *Iterator) Value() []byte { return it.value }

// Err is why Next has answered false, nil at the end.
func (it *Iterator) Err() error { return it.err }

// All calls yield with each key and its value until it answers false: since Go 1.23, that is
//
//	for key, value := range it.All() {
func (it *Iterator) All() func(yield func(key, value []byte) bool) {
	return func(yield func(key, value []byte) bool) {
		for it.Next() && yield(it.key, it.value) {
		}
	}
}

// Close frees the iterator, which is at its end then. Closing it again does nothing.
func (it *Iterator) Close() {
	runtime.SetFinalizer(it, nil)
	C.go_iter_free(it.handle)
	it.handle, it.ended, it.records, it.key, it.value = 0, true, nil, nil, nil
}
