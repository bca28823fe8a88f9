// The database: opening, reading, writing.

package kv

// #include <stdlib.h>
// #include "calls.h"
import "C"

import (
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// DB is an open database.
type DB struct {
	handle C.uintptr_t
	close  sync.Once
	err    error
}

// NoTTL is what DB.TTL answers of a key that never expires.
const NoTTL = time.Duration(1<<63 - 1)

// Option is one of the options of Open.
type Option func(options C.uintptr_t) error

// With sets any option by its name from text, as kv_options_set() in kv.h lists them.
func With(name, value string) Option {
	return func(options C.uintptr_t) error {
		n, v := C.CString(name), C.CString(value)
		defer C.free(unsafe.Pointer(n))
		defer C.free(unsafe.Pointer(v))
		return check(C.go_options_set(options, n, v))
	}
}

// WithSync says what survives a power cut: "none", "interval" (the default: all but the last
// second) or "always".
func WithSync(level string) Option { return With("sync", level) }

// MustExist keeps Open from making a database.
func MustExist() Option { return With("create_if_missing", "false") }

// Open opens the database in a directory, or makes one there.
func Open(path string, options ...Option) (*DB, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	made := C.go_options_new()
	if err := check(made.status); err != nil {
		return nil, err
	}
	chosen := C.uintptr_t(made.number)
	defer C.go_options_free(chosen)
	for _, option := range options {
		if err := option(chosen); err != nil {
			return nil, err
		}
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	opened := C.go_open(name, chosen)
	if err := check(opened.status); err != nil {
		return nil, err
	}
	db := &DB{handle: C.uintptr_t(opened.number)}
	runtime.SetFinalizer(db, func(db *DB) { _ = db.Close() })
	return db, nil
}

// Close puts everything on the medium and closes the database. Calls with it return ErrClosed from
// now on, but for Close, which answers what it did the first time.
func (db *DB) Close() error {
	db.close.Do(func() {
		runtime.SetFinalizer(db, nil)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		db.err = check(C.go_close(db.handle))
	})
	return db.err
}

// start is where bytes begin: nil for none, as C has it.
func start(bytes []byte) unsafe.Pointer {
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Pointer(&bytes[0])
}

func size(bytes []byte) C.size_t { return C.size_t(len(bytes)) }

// take copies what the library has allocated, and frees it.
func take(got C.go_value) []byte {
	value := make([]byte, int(got.len))
	copy(value, unsafe.Slice((*byte)(got.value), int(got.len)))
	C.kv_free(got.value)
	return value
}

// Get answers a copy of the value of a key, or ErrNotFound.
func (db *DB) Get(key []byte) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got := C.go_get(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	if got.status != C.KV_OK {
		return nil, check(got.status)
	}
	return take(got), nil
}

// AppendTo appends the value of a key to buf, as the append of Go does: without an allocation if it
// has room.
func (db *DB) AppendTo(buf, key []byte) ([]byte, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		free := buf[len(buf):cap(buf)]
		got := C.go_get_into(db.handle, start(key), size(key), start(free), size(free))
		runtime.KeepAlive(db)
		switch got.status {
		case C.KV_OK:
			return buf[:len(buf)+int(got.len)], nil
		case C.KV_BUFFER_TOO_SMALL:
			larger := make([]byte, len(buf), len(buf)+int(got.len))
			copy(larger, buf)
			buf = larger
		default:
			return buf, check(got.status)
		}
	}
}

// View calls look with the value of a key where it lies, not copied. The slice must not be changed,
// nor used after look has returned.
func (db *DB) View(key []byte, look func(value []byte) error) error {
	runtime.LockOSThread()
	got := C.go_view_get(db.handle, start(key), size(key))
	err := check(got.status)
	runtime.UnlockOSThread()
	runtime.KeepAlive(db)
	if err != nil {
		return err
	}
	defer C.go_view_release(got.view)
	return look(unsafe.Slice((*byte)(got.value), int(got.len)))
}

// GetMany answers the values of many keys, nil for those that are not there: faster than one by
// one. A value that is there is never nil, also if it is empty.
func (db *DB) GetMany(keys [][]byte) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slices, results, free := manyKeys(keys)
	defer free()
	var arena unsafe.Pointer
	status := C.go_get_many(db.handle, C.size_t(len(keys)), &slices[0], &results[0], &arena)
	runtime.KeepAlive(db)
	if status != C.KV_OK {
		return nil, check(status)
	}
	defer C.kv_free(arena)
	values := make([][]byte, len(keys))
	for at, result := range results {
		switch result.status {
		case C.KV_OK:
			values[at] = C.GoBytes(result.value, C.int(result.value_len))
			if values[at] == nil {
				values[at] = []byte{}
			}
		case C.KV_NOT_FOUND:
		default:
			return nil, check(result.status)
		}
	}
	return values, nil
}

// manyKeys copies keys to memory of C, which may not point into that of Go.
func manyKeys(keys [][]byte) ([]C.kv_slice_t, []C.kv_result_t, func()) {
	bytes := 0
	for _, key := range keys {
		bytes += len(key)
	}
	slices := C.malloc(C.size_t(len(keys)) * C.sizeof_kv_slice_t)
	results := C.malloc(C.size_t(len(keys)) * C.sizeof_kv_result_t)
	copies := C.malloc(C.size_t(bytes + 1))
	all, to := unsafe.Slice((*C.kv_slice_t)(slices), len(keys)), copies
	for at, key := range keys {
		copy(unsafe.Slice((*byte)(to), len(key)), key)
		all[at].data, all[at].len = to, size(key)
		to = unsafe.Add(to, len(key))
	}
	free := func() {
		C.free(slices)
		C.free(results)
		C.free(copies)
	}
	return all, unsafe.Slice((*C.kv_result_t)(results), len(keys)), free
}

// Has answers whether a key is there.
func (db *DB) Has(key []byte) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_exists(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return found(status)
}

// found makes an answer of KV_OK and KV_NOT_FOUND.
func found(status C.kv_status) (bool, error) {
	switch status {
	case C.KV_OK:
		return true, nil
	case C.KV_NOT_FOUND:
		return false, nil
	default:
		return false, check(status)
	}
}

// Len answers how many keys there are. It is known at once.
func (db *DB) Len() (uint64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	counted := C.go_count(db.handle)
	runtime.KeepAlive(db)
	return uint64(counted.number), check(counted.status)
}

// Put stores a value under a key.
func (db *DB) Put(key, value []byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_put(db.handle, start(key), size(key), start(value), size(value))
	runtime.KeepAlive(db)
	return check(status)
}

// Delete removes a key. Answers whether it was there.
func (db *DB) Delete(key []byte) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_delete(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return found(status)
}

// Sync returns when everything written before is on the medium.
func (db *DB) Sync() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_sync(db.handle)
	runtime.KeepAlive(db)
	return check(status)
}
