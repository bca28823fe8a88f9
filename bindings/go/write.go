// Writes: plain, with conditions, with a time to live, in place.

package kv

// #include "calls.h"
import "C"

import (
	"math"
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

// milliseconds rounds up: what lives for a moment does not live for ever. What is less than nothing
// is more than the library takes.
func milliseconds(ttl time.Duration) C.uint64_t {
	if ttl < 0 {
		return math.MaxUint64
	}
	whole := ttl / time.Millisecond
	if ttl%time.Millisecond > 0 {
		whole++
	}
	return C.uint64_t(whole)
}

// Put stores a value under a key. Key and value may be used again when it returns.
func (db *DB) Put(key, value []byte) error {
	put := C.go_put(db.handle, start(key), size(key), start(value), size(value))
	runtime.KeepAlive(db)
	return check(put)
}

// PutWith stores a value if the key is as the options say, and answers the key's version. Else it
// is ErrExists or ErrVersionMismatch.
func (db *DB) PutWith(key, value []byte, options WriteOptions) (uint64, error) {
	put := C.go_put_with(
		db.handle, start(key), size(key), start(value), size(value), options.raw())
	runtime.KeepAlive(db)
	return uint64(put.number), check(put)
}

// PutFunc stores a value of n bytes that fill puts where it will lie, in the log itself: for values
// that are long, or come in parts. It waits for nobody, and nobody for it. If fill answers an error
// or panics, nothing is written. The slice has whatever is there, and must not be used after fill
// has returned. SkipIfEqual cannot be asked for.
func (db *DB) PutFunc(
	key []byte, n int, options WriteOptions, fill func(value []byte) error,
) (uint64, error) {
	if n < 0 {
		return 0, ErrValueTooLong
	}
	made := C.go_put_reserve(db.handle, start(key), size(key), C.size_t(n), options.raw())
	runtime.KeepAlive(db)
	if err := check(made); err != nil {
		return 0, err
	}
	// What is committed is left alone by this.
	defer C.go_put_abort(made.handle)
	if err := fill(shown(made.bytes, C.size_t(n))); err != nil {
		return 0, err
	}
	put := C.go_put_commit(made.handle)
	return uint64(put.number), check(put)
}

// Delete removes a key. Answers whether it was there.
func (db *DB) Delete(key []byte) (bool, error) {
	deleted := C.go_delete(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return found(deleted)
}

// DeleteWith removes a key if it has the version of the options. Answers whether it was there.
func (db *DB) DeleteWith(key []byte, options WriteOptions) (bool, error) {
	deleted := C.go_delete_with(db.handle, start(key), size(key), options.raw())
	runtime.KeepAlive(db)
	return found(deleted)
}

// Add adds to a counter in one step, and answers what it is now. A key that is not there counts as
// 0; a counter is a value of eight bytes, the lowest first.
func (db *DB) Add(key []byte, delta int64) (int64, error) {
	added := C.go_add(db.handle, start(key), size(key), C.int64_t(delta))
	runtime.KeepAlive(db)
	return int64(added.number), check(added)
}

// Touch sets anew when a key expires; 0: never. Answers whether it is there.
func (db *DB) Touch(key []byte, ttl time.Duration) (bool, error) {
	touched := C.go_touch(db.handle, start(key), size(key), milliseconds(ttl))
	runtime.KeepAlive(db)
	return found(touched)
}

// Sync returns when everything written before is on the medium.
func (db *DB) Sync() error {
	synced := C.go_sync(db.handle)
	runtime.KeepAlive(db)
	return check(synced)
}
