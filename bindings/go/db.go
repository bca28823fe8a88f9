// The database: opening and closing.

package kv

// #include "keep.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"strconv"
	"time"
	"unsafe"
)

// DB is an open database. Any number of goroutines may use it at once.
type DB struct {
	handle C.uintptr_t
	told   []cgo.Handle
}

// opening is what Option functions work on.
type opening struct {
	options C.uintptr_t
	told    []cgo.Handle
}

func (o *opening) forget() {
	for _, handle := range o.told {
		handle.Delete()
	}
}

// Option is one of the options of Open.
type Option func(*opening) error

// With sets any option by its name from text, as Options lists them.
func With(name, value string) Option {
	return func(o *opening) error {
		n, v := C.CString(name), C.CString(value)
		defer C.free(unsafe.Pointer(n))
		defer C.free(unsafe.Pointer(v))
		return check(C.go_options_set(o.options, n, v))
	}
}

// SyncLevel is what survives a power cut. Whatever it is, a write that was acknowledged survives
// the death of the process.
type SyncLevel string

// The levels: the default is SyncInterval.
const (
	SyncNone     SyncLevel = "none"     // What came before the last Sync.
	SyncInterval SyncLevel = "interval" // All but about the last second, or WithSyncInterval.
	SyncAlways   SyncLevel = "always"   // Every write; goroutines that write at once share a sync.
)

// WithSync says what survives a power cut.
func WithSync(level SyncLevel) Option { return With("sync", string(level)) }

// WithSyncInterval says how often writes are forced to the medium under SyncInterval.
func WithSyncInterval(interval time.Duration) Option {
	return With("sync_interval_ms", strconv.FormatInt(interval.Milliseconds(), 10))
}

// WithSegmentSize says at how many bytes the log goes on in a new file.
func WithSegmentSize(bytes uint64) Option { return withNumber("segment_size", bytes) }

// WithMaxDiskBytes limits what all files may take. A write beyond it is ErrNoSpace.
func WithMaxDiskBytes(bytes uint64) Option { return withNumber("max_disk_bytes", bytes) }

// WithMaxIndexBytes limits the memory of the index. A new key beyond it is ErrIndexFull.
func WithMaxIndexBytes(bytes uint64) Option { return withNumber("max_index_bytes", bytes) }

func withNumber(name string, number uint64) Option {
	return With(name, strconv.FormatUint(number, 10))
}

// MustExist keeps Open from making a database.
func MustExist() Option { return With("create_if_missing", "false") }

// MustNotExist keeps Open from opening a database that was there before.
func MustNotExist() Option { return With("error_if_exists", "true") }

// Open opens the database in a directory, or makes one there.
func Open(path string, options ...Option) (*DB, error) {
	made := C.go_options_new()
	if err := check(made); err != nil {
		return nil, err
	}
	chosen := opening{options: made.handle}
	defer C.go_options_free(made.handle)
	for _, option := range options {
		if err := option(&chosen); err != nil {
			chosen.forget()
			return nil, err
		}
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	opened := C.go_open(name, made.handle)
	if err := check(opened); err != nil {
		chosen.forget()
		return nil, err
	}
	db := &DB{handle: opened.handle, told: chosen.told}
	// Closing may wait for the medium, and finalizers come one after the other.
	runtime.SetFinalizer(db, func(db *DB) { go func() { _ = db.Close() }() })
	return db, nil
}

// Close waits for calls of other goroutines, puts everything on the medium and closes the database.
// Calls with it return ErrClosed from now on, but for Close, which then does nothing.
//
// In a function that is told of progress, messages or events it is ErrBusy, and the database stays
// open. Whatever else it answers, the database is closed.
func (db *DB) Close() error {
	closed := C.go_close(db.handle)
	switch closed.status {
	case C.KV_CLOSED:
		_ = check(closed)
		return nil
	case C.KV_BUSY:
		return check(closed)
	}
	// One of several that close it comes here, and nobody is told of anything any more.
	runtime.SetFinalizer(db, nil)
	(&opening{told: db.told}).forget()
	return check(closed)
}

// Destroy removes a database that nobody has open.
func Destroy(dir string) error {
	d := C.CString(dir)
	defer C.free(unsafe.Pointer(d))
	return check(C.go_destroy(d))
}

// start is where bytes begin: nil for none, as C has it.
func start(bytes []byte) unsafe.Pointer {
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Pointer(&bytes[0])
}

func size(bytes []byte) C.size_t { return C.size_t(len(bytes)) }
