// Writes with conditions, with a time to live, and several at once.

package kv

// #include "calls.h"
import "C"

import (
	"runtime"
	"time"
)

// WriteOptions is what comes with one write, and what it depends on. The zero value asks for
// nothing.
type WriteOptions struct {
	// TTL: the value expires so long from now; 0: never.
	TTL time.Duration
	// IfVersion: only if the key has this version, as DB.Version tells it; 0: in any case.
	IfVersion uint64
	// IfAbsent: only if the key is not there.
	IfAbsent bool
	// SkipIfEqual: write nothing if the key has this very value, and would expire as it does.
	SkipIfEqual bool
	// KeepTTL: the value expires when the one before it would have.
	KeepTTL bool
	// Sync: wait until the write is on the medium.
	Sync bool
	// NoSync: do not wait for that, whatever WithSync says.
	NoSync bool
}

func (o WriteOptions) raw() C.kv_write_options_t {
	raw := C.kv_write_options_t{
		ttl_ms:        milliseconds(o.TTL),
		if_version:    C.uint64_t(o.IfVersion),
		if_absent:     flag(o.IfAbsent),
		skip_if_equal: flag(o.SkipIfEqual),
		keep_ttl:      flag(o.KeepTTL),
		sync:          C.KV_WRITE_SYNC_DEFAULT,
	}
	if o.NoSync {
		raw.sync = C.KV_WRITE_SYNC_NO
	}
	if o.Sync {
		raw.sync = C.KV_WRITE_SYNC_YES
	}
	return raw
}

func flag(on bool) C.int32_t {
	if on {
		return 1
	}
	return 0
}

// milliseconds rounds up: what lives for a moment does not live for ever.
func milliseconds(ttl time.Duration) C.uint64_t {
	return C.uint64_t((ttl + time.Millisecond - 1) / time.Millisecond)
}

// PutWith stores a value if the key is as the options say, and answers the key's version. Else it
// is ErrExists or ErrVersionMismatch.
func (db *DB) PutWith(key, value []byte, options WriteOptions) (uint64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	put := C.go_put_with(
		db.handle, start(key), size(key), start(value), size(value), options.raw())
	runtime.KeepAlive(db)
	return uint64(put.number), check(put.status)
}

// DeleteWith removes a key if it has the version of the options. Answers whether it was there.
func (db *DB) DeleteWith(key []byte, options WriteOptions) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_delete_with(db.handle, start(key), size(key), options.raw())
	runtime.KeepAlive(db)
	return found(status)
}

// Version answers the version of a key, another one after each write to it; or ErrNotFound.
func (db *DB) Version(key []byte) (uint64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got := C.go_get_version(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return uint64(got.number), check(got.status)
}

// Add adds to a counter in one step, and answers what it is now. A key that is not there counts as
// 0; a counter is a value of eight bytes, the lowest first.
func (db *DB) Add(key []byte, delta int64) (int64, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	added := C.go_add(db.handle, start(key), size(key), C.int64_t(delta))
	runtime.KeepAlive(db)
	return int64(added.number), check(added.status)
}

// Touch sets anew when a key expires; 0: never. Answers whether it is there.
func (db *DB) Touch(key []byte, ttl time.Duration) (bool, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_touch(db.handle, start(key), size(key), milliseconds(ttl))
	runtime.KeepAlive(db)
	return found(status)
}

// TTL answers in how long a key expires, or NoTTL; or ErrNotFound.
func (db *DB) TTL(key []byte) (time.Duration, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	got := C.go_ttl(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	if got.status != C.KV_OK || got.number >= C.uint64_t(NoTTL/time.Millisecond) {
		return NoTTL, check(got.status)
	}
	return time.Duration(got.number) * time.Millisecond, nil
}

// Batch is writes that DB.Write does together. It belongs to one goroutine at a time.
type Batch struct {
	handle C.uintptr_t
}

// NewBatch makes a batch without writes.
func NewBatch() (*Batch, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	made := C.go_batch_new()
	if err := check(made.status); err != nil {
		return nil, err
	}
	batch := &Batch{C.uintptr_t(made.number)}
	runtime.SetFinalizer(batch, (*Batch).Close)
	return batch, nil
}

// Close frees the batch. Closing it again does nothing.
func (b *Batch) Close() {
	runtime.SetFinalizer(b, nil)
	C.go_batch_free(b.handle)
	b.handle = 0
}

// Put adds that a value is stored.
func (b *Batch) Put(key, value []byte) error { return b.PutTTL(key, value, 0) }

// PutTTL adds that a value is stored, which expires so long after it was written; 0: never.
func (b *Batch) PutTTL(key, value []byte, ttl time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_batch_put(
		b.handle, start(key), size(key), start(value), size(value), milliseconds(ttl))
	runtime.KeepAlive(b)
	return check(status)
}

// Delete adds that a key is removed. If it is not there, that is no failure.
func (b *Batch) Delete(key []byte) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_batch_delete(b.handle, start(key), size(key))
	runtime.KeepAlive(b)
	return check(status)
}

// Clear takes all writes out.
func (b *Batch) Clear() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_batch_clear(b.handle)
	runtime.KeepAlive(b)
	return check(status)
}

// Len answers how many writes there are.
func (b *Batch) Len() int {
	count := C.go_batch_count(b.handle).number
	runtime.KeepAlive(b)
	return int(count)
}

// Write does all writes of a batch, or none of them: also after a crash, and for who reads
// meanwhile. Of the options, Sync and NoSync count.
func (db *DB) Write(batch *Batch, options WriteOptions) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	status := C.go_write(db.handle, batch.handle, options.raw())
	runtime.KeepAlive(db)
	runtime.KeepAlive(batch)
	return check(status)
}
