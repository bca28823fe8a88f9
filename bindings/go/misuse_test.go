// Misuse: what was closed, what is closed meanwhile, and what errors tell.

package kv

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// What was closed answers ErrClosed: every method, and none crashes.
func TestAfterClose(t *testing.T) {
	db := open(t)
	key := []byte("key")
	ok(t, db.Put(key, key))
	batch, err := NewBatch()
	ok(t, err)
	ok(t, batch.Put(key, key))
	snapshot, err := db.Snapshot()
	ok(t, err)
	it, other := db.Iterator(nil), snapshot.Iterator(nil)
	ok(t, db.Close())
	ok(t, db.Close())
	for name, err := range callAll(db, batch, snapshot, key) {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if it.Next() || !errors.Is(it.Err(), ErrClosed) || other.Next() {
		t.Error(it.Err())
	}
	snapshot.Close()
	snapshot.Close()
	it.Close()
	it.Close()
	if it.Next() || it.Key() != nil || it.Value() != nil {
		t.Error("an iterator that was closed goes on")
	}
	batch.Close()
	batch.Close()
	is(t, batch.Put(key, key), ErrClosed)
	is(t, batch.Delete(key), ErrClosed)
	is(t, batch.Clear(), ErrClosed)
	if batch.Len() != 0 {
		t.Error(batch.Len())
	}
	if it := db.Iterator(nil); it.Next() || !errors.Is(it.Err(), ErrClosed) {
		t.Error(it.Err())
	}
}

// callAll calls what there is to call with a database and its snapshot, by name.
func callAll(db *DB, batch *Batch, snapshot *Snapshot, key []byte) map[string]error {
	nothing := func([]byte) error { return nil }
	errs := map[string]error{
		"Put":              db.Put(key, key),
		"Sync":             db.Sync(),
		"View":             db.View(key, nothing),
		"ViewMany":         db.ViewMany([][]byte{key}, func([][]byte) error { return nil }),
		"Write":            db.Write(batch, WriteOptions{}),
		"Compact":          db.Compact(background, nil),
		"CancelCompact":    db.CancelCompact(),
		"PauseCompaction":  db.PauseCompaction(),
		"ResumeCompaction": db.ResumeCompaction(),
		"Backup":           db.Backup(background, "nowhere", nil),
		"Snapshot.View":    snapshot.View(key, nothing),
	}
	_, errs["Get"] = db.Get(key)
	_, errs["AppendTo"] = db.AppendTo(nil, key)
	_, errs["GetMany"] = db.GetMany([][]byte{key})
	_, errs["Has"] = db.Has(key)
	_, errs["Size"] = db.Size(key)
	_, errs["Version"] = db.Version(key)
	_, errs["TTL"] = db.TTL(key)
	_, errs["Len"] = db.Len()
	_, errs["ApproximateBytes"] = db.ApproximateBytes()
	_, errs["PutWith"] = db.PutWith(key, key, WriteOptions{})
	_, errs["PutFunc"] = db.PutFunc(key, 1, WriteOptions{}, nothing)
	_, errs["Delete"] = db.Delete(key)
	_, errs["DeleteWith"] = db.DeleteWith(key, WriteOptions{})
	_, errs["Add"] = db.Add(key, 1)
	_, errs["Touch"] = db.Touch(key, 0)
	_, errs["Stats"] = db.Stats()
	_, errs["Metrics"] = db.Metrics()
	_, errs["Latencies"] = db.Latencies()
	_, errs["Snapshot"] = db.Snapshot()
	_, errs["Snapshot.Get"] = snapshot.Get(key)
	_, errs["Snapshot.AppendTo"] = snapshot.AppendTo(nil, key)
	_, errs["Snapshot.Has"] = snapshot.Has(key)
	_, errs["Snapshot.Size"] = snapshot.Size(key)
	return errs
}

// Goroutines use the database in every way while it is closed: each call works, or is ErrClosed.
func TestClosingWhileOthersUseIt(t *testing.T) {
	for round := 0; round < 20; round++ {
		db := open(t)
		key := []byte("key")
		ok(t, db.Put(key, key))
		var group sync.WaitGroup
		for worker := 0; worker < 6; worker++ {
			group.Add(1)
			go func(worker int) {
				defer group.Done()
				for err := error(nil); err == nil; {
					switch worker % 3 {
					case 0:
						_, err = db.Get(key)
					case 1:
						err = db.Put(key, key)
					case 2:
						it := db.Iterator(nil)
						for it.Next() {
						}
						err = it.Err()
						it.Close()
					}
					if err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
			}(worker)
		}
		time.Sleep(time.Millisecond)
		for closer := 0; closer < 2; closer++ {
			group.Add(1)
			go func() {
				defer group.Done()
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
		}
		group.Wait()
	}
}

func TestErrorsOfTheStandardLibrary(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "none"), MustExist())
	is(t, err, fs.ErrNotExist)
	dir := filepath.Join(t.TempDir(), "db")
	db := openAt(t, dir)
	_, err = Open(dir)
	is(t, err, ErrAlreadyOpen)
	ok(t, db.Close())
	is(t, db.Sync(), fs.ErrClosed)
	_, err = Open(dir, MustNotExist())
	is(t, err, fs.ErrExist)
	is(t, &Error{Status: ErrNoSpace.(*Error).Status, Message: "no room"}, syscall.ENOSPC)
	var failure *Error
	if !errors.As(err, &failure) || failure.Status.Class() != ClassCaller || failure.Message == "" {
		t.Fatal(err)
	}
	if text := ErrNotFound.Error(); text != "kv: key not found" {
		t.Fatal(text)
	}
}

// A message is that of the call that failed, however many fail at once on other threads.
func TestMessagesAreNotMixedUp(t *testing.T) {
	var group sync.WaitGroup
	var wrong atomic.Int64
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			name := fmt.Sprint("option_", worker)
			for n := 0; n < 200; n++ {
				if _, err := Open("nowhere", With(name, "1")); !strings.Contains(err.Error(), name) {
					wrong.Add(1)
				}
			}
		}(worker)
	}
	group.Wait()
	if wrong.Load() > 0 {
		t.Fatal(wrong.Load())
	}
}
