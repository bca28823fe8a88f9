// What a database tells its program: messages and events.

package kv

// #include "keep.h"
import "C"

import (
	"runtime/cgo"
	"time"
)

// Level is how much a message or an event matters; the lower, the more.
type Level int32

// The levels.
const (
	LevelError Level = C.KV_LOG_ERROR // Something is lost or refused.
	LevelWarn  Level = C.KV_LOG_WARN  // Something needs a look: a full disk, slowed writers.
	LevelInfo  Level = C.KV_LOG_INFO  // What happens seldom: opening, compaction, closing.
	LevelDebug Level = C.KV_LOG_DEBUG // What happens often: each segment.
)

// EventKind is what happened. kv.h says what the figures of each kind mean; a later library may
// have more kinds.
type EventKind int32

// The kinds.
const (
	EventDropped     EventKind = C.KV_EVENT_DROPPED
	EventOpened      EventKind = C.KV_EVENT_OPENED
	EventTailCut     EventKind = C.KV_EVENT_TAIL_CUT
	EventSealed      EventKind = C.KV_EVENT_SEALED
	EventCompacted   EventKind = C.KV_EVENT_COMPACTED
	EventDamaged     EventKind = C.KV_EVENT_DAMAGED
	EventStalled     EventKind = C.KV_EVENT_STALLED
	EventDiskFull    EventKind = C.KV_EVENT_DISK_FULL
	EventDiskHasRoom EventKind = C.KV_EVENT_DISK_HAS_ROOM
	EventReadOnly    EventKind = C.KV_EVENT_READ_ONLY
	EventClosed      EventKind = C.KV_EVENT_CLOSED
)

// Event is something that happened to a database.
type Event struct {
	Kind     EventKind
	Level    Level
	Time     time.Time
	Segment  uint64 // Which one it is about; 0: none.
	Count    uint64 // How many.
	Bytes    uint64
	Duration time.Duration
	Message  string // The same in words, as WithLog has it.
}

// WithLog has log told, line by line, what the database does that matters as much as level or more.
//
// It is called on a thread of the library's, one call at a time, and may use the database, but not
// close it. Close returns when it was told everything, so that log must not wait for who closes. A
// slow one misses messages, and nothing else waits for it. If it refers to the database, that is
// not closed by being forgotten.
func WithLog(level Level, log func(level Level, message string)) Option {
	return func(o *opening) error {
		handle := cgo.NewHandle(log)
		o.told = append(o.told, handle)
		return check(C.go_options_set_log(o.options, C.uintptr_t(handle), C.int32_t(level)))
	}
}

// WithEvents has tell told of events, with figures that a program can use. All that is said of
// WithLog holds of it too.
func WithEvents(tell func(Event)) Option {
	return func(o *opening) error {
		handle := cgo.NewHandle(tell)
		o.told = append(o.told, handle)
		return check(C.go_options_set_events(o.options, C.uintptr_t(handle)))
	}
}

//export kvGoLog
func kvGoLog(level C.int32_t, message *C.char, handle C.uintptr_t) {
	cgo.Handle(handle).Value().(func(Level, string))(Level(level), C.GoString(message))
}

//export kvGoEvent
func kvGoEvent(event *C.kv_event_t, handle C.uintptr_t) {
	cgo.Handle(handle).Value().(func(Event))(Event{
		Kind:     EventKind(event.kind),
		Level:    Level(event.level),
		Time:     time.UnixMilli(int64(event.unix_ms)),
		Segment:  uint64(event.segment),
		Count:    uint64(event.count),
		Bytes:    uint64(event.bytes),
		Duration: time.Duration(event.duration_ns),
		Message:  C.GoString(event.message),
	})
}
