// What a status of the library becomes: an error.

package kv

// #cgo pkg-config: kv
// #include <stdlib.h>
// #include "calls.h"
import "C"

import (
	"io/fs"
	"syscall"
	"unsafe"
)

// Status is what a call of the library has returned: the constants KV_ of kv.h.
type Status int32

// Class is what a program can do about a status.
type Class int32

// The classes. A later library may have statuses that this package does not name; their class says
// what to do.
const (
	ClassOK          Class = C.KV_CLASS_OK
	ClassAnswer      Class = C.KV_CLASS_ANSWER      // The call did its work: this is what it found.
	ClassRetry       Class = C.KV_CLASS_RETRY       // It passes by itself: try again later.
	ClassCaller      Class = C.KV_CLASS_CALLER      // The program must be changed.
	ClassEnvironment Class = C.KV_CLASS_ENVIRONMENT // Room, memory, permission, disk: tell a person.
	ClassCorrupt     Class = C.KV_CLASS_CORRUPT     // Damage on disk: keep the files.
	ClassInternal    Class = C.KV_CLASS_INTERNAL    // A bug in libkv.
)

// Error is why a call failed. Errors are compared by status: errors.Is(err, kv.ErrNoSpace).
// errors.Is knows what the standard library calls some of them, too: fs.ErrNotExist, fs.ErrExist,
// fs.ErrPermission, fs.ErrClosed, syscall.ENOSPC.
type Error struct {
	Status  Status
	Message string // For people: which file, which offset, what the system said.
}

// Error tells what happened.
func (e *Error) Error() string {
	if e.Message == "" {
		return "kv: " + e.Status.String()
	}
	return "kv: " + e.Message
}

// Is answers whether the target has the same status, or is the standard library's word for it.
func (e *Error) Is(target error) bool {
	if other, ok := target.(*Error); ok {
		return other.Message == "" && other.Status == e.Status
	}
	also, ok := standard[e.Status]
	return ok && also == target
}

var standard = map[Status]error{
	C.KV_DOES_NOT_EXIST:    fs.ErrNotExist,
	C.KV_ALREADY_EXISTS:    fs.ErrExist,
	C.KV_PERMISSION_DENIED: fs.ErrPermission,
	C.KV_CLOSED:            fs.ErrClosed,
	C.KV_NO_SPACE:          syscall.ENOSPC,
}

// String is what the status means in general.
func (s Status) String() string {
	return C.GoString(C.kv_strerror(C.kv_status(s)))
}

// Class says what a program can do about it.
func (s Status) Class() Class {
	return Class(C.kv_status_class(C.kv_status(s)))
}

// What errors.Is can ask for.
var (
	// Answers.
	ErrNotFound        error = &Error{Status: C.KV_NOT_FOUND}        // The key is not there.
	ErrExists          error = &Error{Status: C.KV_EXISTS}           // It is, against IfAbsent.
	ErrVersionMismatch error = &Error{Status: C.KV_VERSION_MISMATCH} // It is not as IfVersion has it.
	ErrDamaged         error = &Error{Status: C.KV_DAMAGED}          // Verify or Salvage found damage.

	// The program must be changed, or what the message names be looked at.
	ErrNullArgument    error = &Error{Status: C.KV_NULL_ARGUMENT}
	ErrInvalidArgument error = &Error{Status: C.KV_INVALID_ARGUMENT}
	ErrEmptyKey        error = &Error{Status: C.KV_EMPTY_KEY}
	ErrKeyTooLong      error = &Error{Status: C.KV_KEY_TOO_LONG}
	ErrValueTooLong    error = &Error{Status: C.KV_VALUE_TOO_LONG}
	ErrUnknownOption   error = &Error{Status: C.KV_UNKNOWN_OPTION}
	ErrInvalidOption   error = &Error{Status: C.KV_INVALID_OPTION}
	ErrUnsupported     error = &Error{Status: C.KV_UNSUPPORTED}
	ErrDoesNotExist    error = &Error{Status: C.KV_DOES_NOT_EXIST}
	ErrAlreadyExists   error = &Error{Status: C.KV_ALREADY_EXISTS}
	ErrNotADirectory   error = &Error{Status: C.KV_NOT_A_DIRECTORY}
	ErrNotADatabase    error = &Error{Status: C.KV_NOT_A_DATABASE}
	ErrNewerFormat     error = &Error{Status: C.KV_NEWER_FORMAT} // Open it with a newer libkv.
	ErrAlreadyOpen     error = &Error{Status: C.KV_ALREADY_OPEN} // In this process.
	ErrClosed          error = &Error{Status: C.KV_CLOSED}
	ErrForked          error = &Error{Status: C.KV_FORKED}
	ErrReadOnly        error = &Error{Status: C.KV_READ_ONLY} // The message says since when.
	ErrNotACounter     error = &Error{Status: C.KV_NOT_A_COUNTER}
	ErrOverflow        error = &Error{Status: C.KV_OVERFLOW}
	ErrBatchTooLarge   error = &Error{Status: C.KV_BATCH_TOO_LARGE}

	// It passes by itself.
	ErrLocked    error = &Error{Status: C.KV_LOCKED} // Another process has the database open.
	ErrCancelled error = &Error{Status: C.KV_CANCELLED}
	ErrBusy      error = &Error{Status: C.KV_BUSY} // Another goroutine is using the handle.

	// The system refused.
	ErrPermissionDenied error = &Error{Status: C.KV_PERMISSION_DENIED}
	ErrNoSpace          error = &Error{Status: C.KV_NO_SPACE}
	ErrOutOfMemory      error = &Error{Status: C.KV_OUT_OF_MEMORY}
	ErrTooManyOpen      error = &Error{Status: C.KV_TOO_MANY_OPEN}
	ErrIO               error = &Error{Status: C.KV_IO}
	ErrUnknownOutcome   error = &Error{Status: C.KV_UNKNOWN_OUTCOME} // Open it again, and read.
	ErrIndexFull        error = &Error{Status: C.KV_INDEX_FULL}

	ErrCorrupt  error = &Error{Status: C.KV_CORRUPT}  // The message says where.
	ErrInternal error = &Error{Status: C.KV_INTERNAL} // A bug in libkv; report the message.
)

// check makes an error of an answer. Those that are no failures cost nothing.
func check(answer C.go_answer) error {
	switch answer.status {
	case C.KV_OK:
		return nil
	case C.KV_NOT_FOUND:
		return ErrNotFound
	case C.KV_EXISTS:
		return ErrExists
	case C.KV_VERSION_MISMATCH:
		return ErrVersionMismatch
	case C.KV_DAMAGED:
		return ErrDamaged
	}
	failure := &Error{Status: Status(answer.status)}
	if answer.message != nil {
		failure.Message = C.GoString(answer.message)
		C.free(unsafe.Pointer(answer.message))
	}
	return failure
}

// found makes an answer of what may not be there.
func found(answer C.go_answer) (bool, error) {
	if answer.status == C.KV_NOT_FOUND {
		return false, nil
	}
	err := check(answer)
	return err == nil, err
}

// Version is that of the library that is loaded.
func Version() string {
	return C.GoString(C.kv_version())
}
