// Looking after databases: compaction, backups, verification, figures.

package kv

// #include <stdlib.h>
// #include "calls.h"
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

// tell is told of progress for the time of one call.
type tell struct {
	ctx  context.Context
	tell func(Progress)
}

//export kvGoProgress
func kvGoProgress(progress *C.kv_progress_t, handle unsafe.Pointer) C.int32_t {
	told := cgo.Handle(uintptr(handle)).Value().(*tell)
	if told.tell != nil {
		told.tell(Progress{
			TotalBytes:    uint64(progress.total_bytes),
			DoneBytes:     uint64(progress.done_bytes),
			SegmentsTotal: uint64(progress.segments_total),
			SegmentsDone:  uint64(progress.segments_done),
		})
	}
	return flag(told.ctx.Err() != nil)
}

// long makes a call that ends when ctx is done, and then answers why.
func long(ctx context.Context, report func(Progress), call func(C.uintptr_t) C.kv_status) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	handle := cgo.NewHandle(&tell{ctx, report})
	defer handle.Delete()
	status := call(C.uintptr_t(handle))
	err := check(status)
	if status == C.KV_CANCELLED && ctx.Err() != nil {
		return fmt.Errorf("%w: %v", ctx.Err(), err)
	}
	return err
}

// Compact removes all that was replaced, deleted or has expired. progress may be nil.
func (db *DB) Compact(ctx context.Context, progress func(Progress)) error {
	defer runtime.KeepAlive(db)
	return long(ctx, progress, func(handle C.uintptr_t) C.kv_status {
		return C.go_compact(db.handle, handle)
	})
}

// Backup makes a backup in a directory, or brings one up to date, while the database is used.
// progress may be nil.
func (db *DB) Backup(ctx context.Context, dir string, progress func(Progress)) error {
	defer runtime.KeepAlive(db)
	to := C.CString(dir)
	defer C.free(unsafe.Pointer(to))
	return long(ctx, progress, func(handle C.uintptr_t) C.kv_status {
		return C.go_backup(db.handle, to, handle)
	})
}

// Restore makes a database of a backup. progress may be nil.
func Restore(ctx context.Context, backup, to string, progress func(Progress)) error {
	f, t := C.CString(backup), C.CString(to)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(t))
	return long(ctx, progress, func(handle C.uintptr_t) C.kv_status {
		return C.go_restore(f, t, handle)
	})
}

// Verify looks at every byte of a database and answers a report in JSON. If it is damaged, that is
// ErrDamaged, with the report. progress may be nil.
func Verify(ctx context.Context, dir string, progress func(Progress)) ([]byte, error) {
	d := C.CString(dir)
	defer C.free(unsafe.Pointer(d))
	var report *C.char
	err := long(ctx, progress, func(handle C.uintptr_t) C.kv_status {
		return C.go_verify(d, handle, &report)
	})
	return reported(report), err
}

// Salvage makes a new database of all that is whole in a damaged one, and answers a report in JSON
// of what is lost. If anything is, that is ErrDamaged, with the report. progress may be nil.
func Salvage(ctx context.Context, from, to string, progress func(Progress)) ([]byte, error) {
	f, t := C.CString(from), C.CString(to)
	defer C.free(unsafe.Pointer(f))
	defer C.free(unsafe.Pointer(t))
	var report *C.char
	err := long(ctx, progress, func(handle C.uintptr_t) C.kv_status {
		return C.go_salvage(f, t, handle, &report)
	})
	return reported(report), err
}

func reported(report *C.char) []byte {
	if report == nil {
		return nil
	}
	defer C.kv_free(unsafe.Pointer(report))
	return []byte(C.GoString(report))
}

// Destroy removes a database.
func Destroy(dir string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	d := C.CString(dir)
	defer C.free(unsafe.Pointer(d))
	return check(C.kv_destroy(d))
}

// Stats are figures of an open database; kv_stats_t in kv.h says what each one is.
type Stats struct {
	Keys, LiveBytes, DeadBytes, DiskBytes, Segments, IndexBytes uint64
	BytesPut, BytesCompacted, Compactions                       uint64
}

// Stats answers figures of the database.
func (db *DB) Stats() (Stats, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	raw := C.kv_stats_t{size: C.sizeof_kv_stats_t}
	status := C.go_stats(db.handle, &raw)
	runtime.KeepAlive(db)
	return Stats{
		Keys:           uint64(raw.keys),
		LiveBytes:      uint64(raw.live_bytes),
		DeadBytes:      uint64(raw.dead_bytes),
		DiskBytes:      uint64(raw.disk_bytes),
		Segments:       uint64(raw.segments),
		IndexBytes:     uint64(raw.index_bytes),
		BytesPut:       uint64(raw.bytes_put),
		BytesCompacted: uint64(raw.bytes_compacted),
		Compactions:    uint64(raw.compactions),
	}, check(status)
}

// Metrics answers all figures in the text format of OpenMetrics.
func (db *DB) Metrics() (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var text *C.char
	err := check(C.go_metrics(db.handle, &text))
	runtime.KeepAlive(db)
	return string(reported(text)), err
}
