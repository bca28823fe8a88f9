// Walking over all keys, and reading one moment.

package kv

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Snapshot is the database as it was at one moment. Any number of goroutines may read from it.
type Snapshot struct {
	db     *DB
	handle C.uintptr_t
}

// Snapshot is the database as it is now, to be read while it changes. Close it: what only a
// snapshot sees cannot be removed.
func (db *DB) Snapshot() (*Snapshot, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	made := C.go_snapshot_new(db.handle)
	runtime.KeepAlive(db)
	if err := check(made.status); err != nil {
		return nil, err
	}
	snapshot := &Snapshot{db, C.uintptr_t(made.number)}
	runtime.SetFinalizer(snapshot, (*Snapshot).Close)
	return snapshot, nil
}

// Close lets the snapshot go. Closing it again does nothing.
func (s *Snapshot) Close() {
	runtime.SetFinalizer(s, nil)
	C.go_snapshot_free(s.handle)
}

// Get answers a copy of the value that a key had, or ErrNotFound.
func (s *Snapshot) Get(key []byte) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got := C.go_snapshot_get(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	if got.status != C.KV_OK {
		return nil, check(got.status)
	}
	return take(got), nil
}

// Has answers whether a key was there.
func (s *Snapshot) Has(key []byte) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_snapshot_exists(s.handle, start(key), size(key))
	runtime.KeepAlive(s)
	return found(status)
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
	of     any
	handle C.uintptr_t
	record C.go_record
	err    error
}

// Iterator walks over the keys that begin with prefix, as they are now.
func (db *DB) Iterator(prefix []byte) *Iterator { return iterator(db, db, 0, prefix) }

// Iterator walks over the keys that begin with prefix, as they were then.
func (s *Snapshot) Iterator(prefix []byte) *Iterator {
	return iterator(s, s.db, s.handle, prefix)
}

func iterator(of any, db *DB, snapshot C.uintptr_t, prefix []byte) *Iterator {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	made := C.go_iter_new(db.handle, snapshot, start(prefix), size(prefix))
	it := &Iterator{of: of, handle: C.uintptr_t(made.number), err: check(made.status)}
	runtime.SetFinalizer(it, (*Iterator).Close)
	return it
}

// Next goes to the next key. It answers false at the end, and when Err has something to tell. After
// ErrCorrupt, Next may be called again to go on behind the damage.
func (it *Iterator) Next() bool {
	if it.handle == 0 {
		return false
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	it.record = C.go_iter_next(it.handle)
	there, err := found(it.record.status)
	it.err = err
	return there
}

// Key is where the iterator is. The slice must not be changed, nor used after the next call.
func (it *Iterator) Key() []byte { return shown(it.record.key) }

// Value is its value. The slice must not be changed, nor used after the next call.
func (it *Iterator) Value() []byte { return shown(it.record.value) }

func shown(slice C.kv_slice_t) []byte {
	return unsafe.Slice((*byte)(slice.data), int(slice.len))
}

// Err is why Next has answered false, nil at the end.
func (it *Iterator) Err() error { return it.err }

// Close frees the iterator. Closing it again does nothing.
func (it *Iterator) Close() {
	runtime.SetFinalizer(it, nil)
	C.go_iter_free(it.handle)
	it.handle, it.record = 0, C.go_record{}
}
