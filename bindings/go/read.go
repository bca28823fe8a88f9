// Reading values, one or many, with a copy or without.

package kv

// #include "calls.h"
import "C"

import (
	"runtime"
	"time"
	"unsafe"
)

// NoTTL is what DB.TTL answers of a key that never expires.
const NoTTL = time.Duration(1<<63 - 1)

// copied makes a slice of Go of what the library has allocated, and frees it.
func copied(got C.go_answer) ([]byte, error) {
	if err := check(got); err != nil {
		return nil, err
	}
	value := make([]byte, int(got.len))
	copy(value, shown(got.bytes, got.len))
	C.kv_free(got.bytes)
	return value, nil
}

// shown is memory of the library's as a slice.
func shown(bytes unsafe.Pointer, length C.size_t) []byte {
	return unsafe.Slice((*byte)(bytes), int(length))
}

// look has a function look at a view, and releases it, also if the function panics.
func look(got C.go_answer, use func(value []byte) error) error {
	if err := check(got); err != nil {
		return err
	}
	defer C.go_view_release(got.handle)
	return use(shown(got.bytes, got.len))
}

// grown is buf with room for so many bytes more.
func grown(buf []byte, more C.size_t) []byte {
	larger := make([]byte, len(buf), len(buf)+int(more))
	copy(larger, buf)
	return larger
}

// appended is buf with the value behind it, which get copies to the room that it is given.
func appended(buf []byte, get func(room []byte) C.go_answer) ([]byte, error) {
	for {
		got := get(buf[len(buf):cap(buf)])
		switch got.status {
		case C.KV_OK:
			return buf[:len(buf)+int(got.len)], nil
		case C.KV_BUFFER_TOO_SMALL:
			buf = grown(buf, got.len)
		default:
			return buf, check(got)
		}
	}
}

// Get answers a copy of the value of a key, or ErrNotFound. A value that is there is never nil.
func (db *DB) Get(key []byte) ([]byte, error) {
	got := C.go_get(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return copied(got)
}

// AppendTo appends the value of a key to buf, as Go's append does: without an allocation if it has
// room. If the key is not there, it is ErrNotFound and buf as it was.
func (db *DB) AppendTo(buf, key []byte) ([]byte, error) {
	defer runtime.KeepAlive(db)
	return appended(buf, func(room []byte) C.go_answer {
		return C.go_get_into(db.handle, start(key), size(key), start(room), size(room))
	})
}

// View calls use with the value of a key where it lies, not copied, and answers what use answers.
// The slice must not be changed, nor used after use has returned. Others may write the key
// meanwhile, also use itself: the slice stays as it was.
func (db *DB) View(key []byte, use func(value []byte) error) error {
	got := C.go_view_get(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return look(got, use)
}

// Has answers whether a key is there.
func (db *DB) Has(key []byte) (bool, error) {
	got := C.go_exists(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return found(got)
}

// Size answers how many bytes the value of a key has, or ErrNotFound.
func (db *DB) Size(key []byte) (int, error) {
	got := C.go_exists(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return int(got.len), check(got)
}

// Version answers the version of a key, another one after each write to it; or ErrNotFound.
func (db *DB) Version(key []byte) (uint64, error) {
	got := C.go_get_version(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	return uint64(got.number), check(got)
}

// TTL answers in how long a key expires, or NoTTL; or ErrNotFound.
func (db *DB) TTL(key []byte) (time.Duration, error) {
	got := C.go_ttl(db.handle, start(key), size(key))
	runtime.KeepAlive(db)
	if err := check(got); err != nil {
		return 0, err
	}
	if got.number >= C.uint64_t(NoTTL/time.Millisecond) {
		return NoTTL, nil
	}
	return time.Duration(got.number) * time.Millisecond, nil
}

// Len answers how many keys there are. It is known at once.
func (db *DB) Len() (uint64, error) {
	counted := C.go_count(db.handle)
	runtime.KeepAlive(db)
	return uint64(counted.number), check(counted)
}

// ApproximateBytes answers about how many bytes keys and values take.
func (db *DB) ApproximateBytes() (uint64, error) {
	counted := C.go_approximate_bytes(db.handle)
	runtime.KeepAlive(db)
	return uint64(counted.number), check(counted)
}

// keys are many keys in memory of C, which may not point into that of Go, and what became of each.
type keys struct {
	memory  unsafe.Pointer
	slices  []C.kv_slice_t
	results []C.kv_result_t
}

func newKeys(all [][]byte) keys {
	n, bytes := len(all), 0
	for _, key := range all {
		bytes += len(key)
	}
	fixed := C.size_t(n) * (C.sizeof_kv_slice_t + C.sizeof_kv_result_t)
	memory := C.malloc(fixed + C.size_t(bytes) + 1)
	results := unsafe.Add(memory, n*C.sizeof_kv_slice_t)
	made := keys{
		memory:  memory,
		slices:  unsafe.Slice((*C.kv_slice_t)(memory), n),
		results: unsafe.Slice((*C.kv_result_t)(results), n),
	}
	to := unsafe.Add(memory, fixed)
	for at, key := range all {
		copy(unsafe.Slice((*byte)(to), len(key)), key)
		made.slices[at] = C.kv_slice_t{data: to, len: size(key)}
		to = unsafe.Add(to, len(key))
	}
	return made
}

func (k keys) free() { C.free(k.memory) }

// values are those that were found; nil for the others. They lie where the library has them.
func (k keys) values() [][]byte {
	values := make([][]byte, len(k.results))
	for at, result := range k.results {
		if result.status == C.KV_OK {
			values[at] = shown(result.value, result.value_len)
		}
	}
	return values
}

// GetMany answers copies of the values of many keys, nil for those that are not there: faster than
// one by one. A value that is there is never nil, also if it is empty.
func (db *DB) GetMany(all [][]byte) ([][]byte, error) {
	if len(all) == 0 {
		return nil, nil
	}
	asked := newKeys(all)
	defer asked.free()
	got := C.go_get_many(db.handle, C.size_t(len(all)), &asked.slices[0], &asked.results[0])
	runtime.KeepAlive(db)
	defer C.kv_free(got.bytes)
	if err := check(got); err != nil {
		return nil, err
	}
	values := asked.values()
	for at, value := range values {
		if value != nil {
			values[at] = append(make([]byte, 0, len(value)), value...)
		}
	}
	return values, nil
}

// ViewMany calls use with the values of many keys where they lie, not copied, nil for those that
// are not there. The slices must not be changed, nor used after use has returned.
func (db *DB) ViewMany(all [][]byte, use func(values [][]byte) error) error {
	if len(all) == 0 {
		return use(nil)
	}
	asked := newKeys(all)
	defer asked.free()
	got := C.go_view_get_many(db.handle, C.size_t(len(all)), &asked.slices[0], &asked.results[0])
	runtime.KeepAlive(db)
	defer C.go_view_release(got.handle)
	if err := check(got); err != nil {
		return err
	}
	return use(asked.values())
}
