// Looking after databases: compaction, backups, verification.

package kv

// #include "keep.h"
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// Progress is how far a long call is.
type Progress struct {
	TotalBytes, DoneBytes       uint64
	SegmentsTotal, SegmentsDone uint64
}

// call is a long call that is under way.
type call struct {
	ctx      context.Context
	tell     func(Progress)
	panicked any
}

//export kvGoProgress
func kvGoProgress(progress *C.kv_progress_t, handle C.uintptr_t) (end C.int32_t) {
	under := cgo.Handle(handle).Value().(*call)
	// A panic must not cross the library: it goes on in the caller of the call.
	defer func() {
		if recovered := recover(); recovered != nil {
			under.panicked, end = recovered, 1
		}
	}()
	if under.tell != nil {
		under.tell(Progress{
			TotalBytes:    uint64(progress.total_bytes),
			DoneBytes:     uint64(progress.done_bytes),
			SegmentsTotal: uint64(progress.segments_total),
			SegmentsDone:  uint64(progress.segments_done),
		})
	}
	return flag(under.ctx.Err() != nil)
}

// cancelled is a call that ended with its context: errors.Is knows both reasons.
type cancelled struct{ cause, err error }

func (c *cancelled) Error() string        { return fmt.Sprintf("%v: %v", c.err, c.cause) }
func (c *cancelled) Unwrap() error        { return c.cause }
func (c *cancelled) Is(target error) bool { return target == ErrCancelled }

// long makes a call that ends when ctx is done.
func long(
	ctx context.Context, tell func(Progress), do func(C.uintptr_t) C.go_answer,
) (C.go_answer, error) {
	if err := ctx.Err(); err != nil {
		return C.go_answer{}, err
	}
	under := &call{ctx: ctx, tell: tell}
	handle := cgo.NewHandle(under)
	defer handle.Delete()
	answer := do(C.uintptr_t(handle))
	err := check(answer)
	if under.panicked != nil {
		panic(under.panicked)
	}
	if answer.status == C.KV_CANCELLED && ctx.Err() != nil {
		err = &cancelled{ctx.Err(), err}
	}
	return answer, err
}

// Compact removes all that was replaced, deleted or has expired, and ends early when ctx is done.
// It is only needed where the option compaction is manual. progress, which may be nil, is called on
// this goroutine, and must not end it (runtime.Goexit). So for all functions with a context here.
func (db *DB) Compact(ctx context.Context, progress func(Progress)) error {
	defer runtime.KeepAlive(db)
	_, err := long(ctx, progress, func(handle C.uintptr_t) C.go_answer {
		return C.go_compact(db.handle, handle)
	})
	return err
}

// CancelCompact ends every Compact that is under way: they answer ErrCancelled soon.
func (db *DB) CancelCompact() error {
	defer runtime.KeepAlive(db)
	return check(C.go_compact_cancel(db.handle))
}

// PauseCompaction keeps the database from compacting by itself until ResumeCompaction.
func (db *DB) PauseCompaction() error {
	defer runtime.KeepAlive(db)
	return check(C.go_compaction_pause(db.handle))
}

// ResumeCompaction lets the database compact by itself again, however often it was paused.
func (db *DB) ResumeCompaction() error {
	defer runtime.KeepAlive(db)
	return check(C.go_compaction_resume(db.handle))
}

// Backup makes a backup in a directory, or brings one up to date, while the database is used.
func (db *DB) Backup(ctx context.Context, dir string, progress func(Progress)) error {
	defer runtime.KeepAlive(db)
	to := C.CString(dir)
	defer C.free(unsafe.Pointer(to))
	_, err := long(ctx, progress, func(handle C.uintptr_t) C.go_answer {
		return C.go_backup(db.handle, to, handle)
	})
	return err
}

// Restore verifies a backup and makes a database of it in another directory.
func Restore(ctx context.Context, backup, to string, progress func(Progress)) error {
	f, t := C.CString(backup), C.CString(to)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(t))
	_, err := long(ctx, progress, func(handle C.uintptr_t) C.go_answer {
		return C.go_restore(f, t, handle)
	})
	return err
}

// Verify looks at every byte of a database, open or not, and answers a report in JSON, which
// docs/RECOVERY.md describes. If it is damaged, that is ErrDamaged, with the report.
func Verify(ctx context.Context, dir string, progress func(Progress)) ([]byte, error) {
	d := C.CString(dir)
	defer C.free(unsafe.Pointer(d))
	answer, err := long(ctx, progress, func(handle C.uintptr_t) C.go_answer {
		return C.go_verify(d, handle)
	})
	return text(answer), err
}

// Salvage makes a new database of all that is whole in a damaged one, and answers a report in JSON
// of what is lost. If anything is, that is ErrDamaged, with the report.
func Salvage(ctx context.Context, from, to string, progress func(Progress)) ([]byte, error) {
	f, t := C.CString(from), C.CString(to)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(t))
	answer, err := long(ctx, progress, func(handle C.uintptr_t) C.go_answer {
		return C.go_salvage(f, t, handle)
	})
	return text(answer), err
}

// text copies what the library has allocated, and frees it; nil if there is none.
func text(answer C.go_answer) []byte {
	if answer.bytes == nil {
		return nil
	}
	defer C.kv_free(answer.bytes)
	return []byte(C.GoString((*C.char)(answer.bytes)))
}
