// What a status of the library becomes: an error.

package kv

// #cgo pkg-config: kv
// #include <kv.h>
import "C"

// Status is what a call of the library has returned: the constants KV_ of kv.h.
type Status int32

// Error is why a call failed. It is compared by its status: errors.Is(err, kv.ErrNotFound).
type Error struct {
	Status  Status
	Message string
}

// Error tells what happened, and with which file.
func (e *Error) Error() string {
	if e.Message == "" {
		return "kv: " + e.Status.String()
	}
	return "kv: " + e.Message
}

// Is answers whether both have the same status.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && other.Message == "" && other.Status == e.Status
}

// String is the name of the constant.
func (s Status) String() string {
	return C.GoString(C.kv_strerror(C.kv_status(s)))
}

// What errors.Is can ask for. kv.h says what each one means and what can be done.
var (
	ErrNotFound         error = &Error{Status: C.KV_NOT_FOUND}
	ErrExists           error = &Error{Status: C.KV_EXISTS}
	ErrVersionMismatch  error = &Error{Status: C.KV_VERSION_MISMATCH}
	ErrDamaged          error = &Error{Status: C.KV_DAMAGED}
	ErrInvalidArgument  error = &Error{Status: C.KV_INVALID_ARGUMENT}
	ErrEmptyKey         error = &Error{Status: C.KV_EMPTY_KEY}
	ErrKeyTooLong       error = &Error{Status: C.KV_KEY_TOO_LONG}
	ErrValueTooLong     error = &Error{Status: C.KV_VALUE_TOO_LONG}
	ErrUnknownOption    error = &Error{Status: C.KV_UNKNOWN_OPTION}
	ErrInvalidOption    error = &Error{Status: C.KV_INVALID_OPTION}
	ErrDoesNotExist     error = &Error{Status: C.KV_DOES_NOT_EXIST}
	ErrAlreadyExists    error = &Error{Status: C.KV_ALREADY_EXISTS}
	ErrNotADatabase     error = &Error{Status: C.KV_NOT_A_DATABASE}
	ErrNewerFormat      error = &Error{Status: C.KV_NEWER_FORMAT}
	ErrAlreadyOpen      error = &Error{Status: C.KV_ALREADY_OPEN}
	ErrClosed           error = &Error{Status: C.KV_CLOSED}
	ErrReadOnly         error = &Error{Status: C.KV_READ_ONLY}
	ErrNotACounter      error = &Error{Status: C.KV_NOT_A_COUNTER}
	ErrOverflow         error = &Error{Status: C.KV_OVERFLOW}
	ErrBatchTooLarge    error = &Error{Status: C.KV_BATCH_TOO_LARGE}
	ErrLocked           error = &Error{Status: C.KV_LOCKED}
	ErrCancelled        error = &Error{Status: C.KV_CANCELLED}
	ErrBusy             error = &Error{Status: C.KV_BUSY}
	ErrPermissionDenied error = &Error{Status: C.KV_PERMISSION_DENIED}
	ErrNoSpace          error = &Error{Status: C.KV_NO_SPACE}
	ErrOutOfMemory      error = &Error{Status: C.KV_OUT_OF_MEMORY}
	ErrTooManyOpen      error = &Error{Status: C.KV_TOO_MANY_OPEN}
	ErrIO               error = &Error{Status: C.KV_IO}
	ErrUnknownOutcome   error = &Error{Status: C.KV_UNKNOWN_OUTCOME}
	ErrIndexFull        error = &Error{Status: C.KV_INDEX_FULL}
	ErrCorrupt          error = &Error{Status: C.KV_CORRUPT}
	ErrInternal         error = &Error{Status: C.KV_INTERNAL}
)

// check makes an error of a status. The message is that of the thread, so that the caller has
// locked the goroutine to it since before the call.
func check(status C.kv_status) error {
	if status == C.KV_OK {
		return nil
	}
	return &Error{Status: Status(status), Message: C.GoString(C.kv_error_message())}
}

// Version is that of the library that is loaded.
func Version() string {
	return C.GoString(C.kv_version())
}
