// Figures: what there are of options, what a database has done, how long it takes.

package kv

// #include "keep.h"
import "C"

import (
	"runtime"
	"time"
)

// Stats are figures of an open database; kv_stats_t in kv.h says what each one is.
type Stats struct {
	Keys                     uint64
	LiveBytes                uint64
	DeadBytes                uint64
	DiskBytes                uint64
	Segments                 uint64
	IndexBytes               uint64
	BytesPut                 uint64
	BytesCompactionRead      uint64
	BytesCompacted           uint64
	Compactions              uint64
	CompactionFailures       uint64
	SegmentsRemoved          uint64
	CompactionRunning        bool
	CompactionPaused         bool
	CompactionTotalBytes     uint64
	CompactionDoneBytes      uint64
	BytesHintsAndCheckpoints uint64
	WriterPauses             uint64
	WriterPaused             time.Duration
	WaitingSegments          uint64
	Rolls                    uint64
	RollsUnprepared          uint64
	SyncsLed                 uint64
	SyncsShared              uint64
	EventsDropped            uint64
	Writes                   uint64
	Deletes                  uint64
	UnsyncedWrites           uint64
	SealedSegments           uint64
	OpenFiles                uint64
	Snapshots                uint64
	SnapshotBytes            uint64
	Opened                   time.Time
	ReadOnly                 bool
	ExpiredBytes             uint64
}

// Stats answers figures of the database.
func (db *DB) Stats() (Stats, error) {
	var raw C.kv_stats_t
	answer := C.go_stats(db.handle, &raw)
	runtime.KeepAlive(db)
	if err := check(answer); err != nil {
		return Stats{}, err
	}
	return Stats{
		Keys:                     uint64(raw.keys),
		LiveBytes:                uint64(raw.live_bytes),
		DeadBytes:                uint64(raw.dead_bytes),
		DiskBytes:                uint64(raw.disk_bytes),
		Segments:                 uint64(raw.segments),
		IndexBytes:               uint64(raw.index_bytes),
		BytesPut:                 uint64(raw.bytes_put),
		BytesCompactionRead:      uint64(raw.bytes_compaction_read),
		BytesCompacted:           uint64(raw.bytes_compacted),
		Compactions:              uint64(raw.compactions),
		CompactionFailures:       uint64(raw.compaction_failures),
		SegmentsRemoved:          uint64(raw.segments_removed),
		CompactionRunning:        raw.compaction_running != 0,
		CompactionPaused:         raw.compaction_paused != 0,
		CompactionTotalBytes:     uint64(raw.compaction_total_bytes),
		CompactionDoneBytes:      uint64(raw.compaction_done_bytes),
		BytesHintsAndCheckpoints: uint64(raw.bytes_hints_and_checkpoints),
		WriterPauses:             uint64(raw.writer_pauses),
		WriterPaused:             time.Duration(raw.writer_paused_ns),
		WaitingSegments:          uint64(raw.waiting_segments),
		Rolls:                    uint64(raw.rolls),
		RollsUnprepared:          uint64(raw.rolls_unprepared),
		SyncsLed:                 uint64(raw.syncs_led),
		SyncsShared:              uint64(raw.syncs_shared),
		EventsDropped:            uint64(raw.events_dropped),
		Writes:                   uint64(raw.writes),
		Deletes:                  uint64(raw.deletes),
		UnsyncedWrites:           uint64(raw.unsynced_writes),
		SealedSegments:           uint64(raw.sealed_segments),
		OpenFiles:                uint64(raw.open_files),
		Snapshots:                uint64(raw.snapshots),
		SnapshotBytes:            uint64(raw.snapshot_bytes),
		Opened:                   time.UnixMilli(int64(raw.opened_unix_ms)),
		ReadOnly:                 raw.read_only != 0,
		ExpiredBytes:             uint64(raw.expired_bytes),
	}, nil
}

// Metrics answers all figures in the text format of OpenMetrics, for Prometheus.
func (db *DB) Metrics() (string, error) {
	answer := C.go_metrics(db.handle)
	runtime.KeepAlive(db)
	return string(text(answer)), check(answer)
}

// Latency is how long an operation took, of those that were timed.
type Latency struct {
	Operation                          string // "get", "put", "log_sync" ...
	Count                              uint64 // How many were timed.
	OneIn                              uint64 // Of so many, one was timed, on average.
	Sum, Min, P50, P90, P99, P999, Max time.Duration
}

// Latencies answers how long each operation takes. They are measured if the database was opened
// with With("latency_histograms", "true").
func (db *DB) Latencies() ([]Latency, error) {
	var all []Latency
	for operation := C.int32_t(0); ; operation++ {
		var raw C.kv_latency_t
		answer := C.go_latency(db.handle, operation, &raw)
		runtime.KeepAlive(db)
		if there, err := found(answer); !there {
			return all, err
		}
		all = append(all, Latency{
			Operation: C.GoString(raw.name),
			Count:     uint64(raw.count),
			OneIn:     uint64(raw.one_in),
			Sum:       time.Duration(raw.sum_ns),
			Min:       time.Duration(raw.min_ns),
			P50:       time.Duration(raw.p50_ns),
			P90:       time.Duration(raw.p90_ns),
			P99:       time.Duration(raw.p99_ns),
			P999:      time.Duration(raw.p999_ns),
			Max:       time.Duration(raw.max_ns),
		})
	}
}

// OptionInfo is what there is to know of an option of With.
type OptionInfo struct {
	Name, Type, Unit, Default, Range, Description string
}

// Options lists the options that With can set.
func Options() ([]OptionInfo, error) {
	var all []OptionInfo
	for index := C.size_t(0); ; index++ {
		var raw C.kv_option_info_t
		if there, err := found(C.go_option_describe(index, &raw)); !there {
			return all, err
		}
		all = append(all, OptionInfo{
			Name:        C.GoString(raw.name),
			Type:        C.GoString(raw.type_name),
			Unit:        C.GoString(raw.unit),
			Default:     C.GoString(raw.default_value),
			Range:       C.GoString(raw._range),
			Description: C.GoString(raw.description),
		})
	}
}
