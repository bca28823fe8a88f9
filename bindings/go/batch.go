// Writes that are done together or not at all.

package kv

// #include "calls.h"
import "C"

import (
	"runtime"
	"time"
)

// Batch is writes that DB.Write does together. It belongs to one goroutine at a time.
type Batch struct {
	handle C.uintptr_t
}

// NewBatch makes a batch without writes, for any database. DB.Batch is shorter, if it is for once.
func NewBatch() (*Batch, error) {
	made := C.go_batch_new()
	if err := check(made); err != nil {
		return nil, err
	}
	batch := &Batch{made.handle}
	runtime.SetFinalizer(batch, (*Batch).Close)
	return batch, nil
}

// Close frees the batch. Closing it again does nothing.
func (b *Batch) Close() {
	runtime.SetFinalizer(b, nil)
	C.go_batch_free(b.handle)
}

// Put adds that a value is stored. Key and value are copied.
func (b *Batch) Put(key, value []byte) error { return b.PutTTL(key, value, 0) }

// PutTTL adds that a value is stored, which expires so long after it was written; 0: never.
func (b *Batch) PutTTL(key, value []byte, ttl time.Duration) error {
	added := C.go_batch_put(
		b.handle, start(key), size(key), start(value), size(value), milliseconds(ttl))
	runtime.KeepAlive(b)
	return check(added)
}

// Delete adds that a key is removed. If it is not there, that is no failure.
func (b *Batch) Delete(key []byte) error {
	added := C.go_batch_delete(b.handle, start(key), size(key))
	runtime.KeepAlive(b)
	return check(added)
}

// Clear takes all writes out.
func (b *Batch) Clear() error {
	cleared := C.go_batch_clear(b.handle)
	runtime.KeepAlive(b)
	return check(cleared)
}

// Len answers how many writes there are: none, if the batch was closed.
func (b *Batch) Len() int {
	counted := C.go_batch_count(b.handle)
	runtime.KeepAlive(b)
	if check(counted) != nil {
		return 0
	}
	return int(counted.len)
}

// Write does all writes of a batch, or none of them: also after a crash, and for who reads
// meanwhile. The batch stays as it is. Of the options, Sync and NoSync count.
func (db *DB) Write(batch *Batch, options WriteOptions) error {
	written := C.go_write(db.handle, batch.handle, options.raw())
	runtime.KeepAlive(db)
	runtime.KeepAlive(batch)
	return check(written)
}

// Batch calls fill with a batch, and writes it unless fill answers an error. It only writes: fill
// sees the database as it is.
func (db *DB) Batch(fill func(batch *Batch) error) error {
	batch, err := NewBatch()
	if err != nil {
		return err
	}
	defer batch.Close()
	if err := fill(batch); err != nil {
		return err
	}
	return db.Write(batch, WriteOptions{})
}
