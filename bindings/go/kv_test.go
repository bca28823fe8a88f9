// What a program in Go relies on.

package kv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, options ...Option) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "db"), options...)
}

func openAt(t testing.TB, dir string, options ...Option) *DB {
	t.Helper()
	db, err := Open(dir, append([]Option{WithSync("none")}, options...)...)
	ok(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func is(t testing.TB, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) {
		t.Fatalf("%v is not %v", err, wanted)
	}
}

func TestWhatWasPutIsThereAfterClosing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openAt(t, dir)
	ok(t, db.Put([]byte("key"), []byte("value")))
	ok(t, db.Put([]byte("empty"), nil))
	ok(t, db.Close())
	ok(t, db.Close())
	is(t, db.Put([]byte("key"), nil), ErrClosed)

	db = openAt(t, dir, MustExist())
	value, err := db.Get([]byte("key"))
	ok(t, err)
	if string(value) != "value" {
		t.Fatalf("%q", value)
	}
	value, err = db.Get([]byte("empty"))
	if err != nil || value == nil || len(value) != 0 {
		t.Fatal(value, err)
	}
	_, err = db.Get([]byte("none"))
	is(t, err, ErrNotFound)
}

func TestErrorsTellWhat(t *testing.T) {
	_, err := Open(t.TempDir(), With("no_such_option", "1"))
	is(t, err, ErrUnknownOption)
	if !strings.Contains(err.Error(), "no_such_option") {
		t.Fatal(err)
	}
	_, err = Open(filepath.Join(t.TempDir(), "none"), MustExist())
	is(t, err, ErrDoesNotExist)
	db := open(t)
	is(t, db.Put(nil, nil), ErrEmptyKey)
	is(t, db.Put(make([]byte, 1<<16), nil), ErrKeyTooLong)
	if errors.Is(ErrNotFound, ErrExists) {
		t.Fatal("all errors are one")
	}
}

func TestReadsWithoutACopy(t *testing.T) {
	db := open(t)
	key, value := []byte("key"), bytes.Repeat([]byte("0123456789"), 100)
	ok(t, db.Put(key, value))
	buf := make([]byte, 1, 8)
	buf, err := db.AppendTo(buf, key)
	ok(t, err)
	if !bytes.Equal(buf[1:], value) {
		t.Fatalf("%q", buf)
	}
	room := make([]byte, 0, 2000)
	allocated := testing.AllocsPerRun(100, func() { _, err = db.AppendTo(room, key) })
	if err != nil || allocated != 0 {
		t.Fatal(err, allocated)
	}
	ok(t, db.View(key, func(seen []byte) error {
		ok(t, db.Put(key, []byte("another")))
		if !bytes.Equal(seen, value) {
			t.Fatalf("%q", seen)
		}
		return nil
	}))
	is(t, db.View([]byte("none"), func([]byte) error { return nil }), ErrNotFound)
	is(t, db.View(key, func([]byte) error { return os.ErrInvalid }), os.ErrInvalid)
}

func TestManyKeys(t *testing.T) {
	db := open(t)
	var keys [][]byte
	ok(t, db.Batch(func(batch *Batch) error {
		for n := 0; n < 1000; n++ {
			key := []byte(fmt.Sprint(n))
			keys = append(keys, key)
			if n%3 != 0 {
				ok(t, batch.Put(key, key[:n%2]))
			}
		}
		return nil
	}))
	look := func(values [][]byte) error {
		if len(values) != len(keys) {
			t.Fatal(len(values))
		}
		for n, value := range values {
			if (value == nil) != (n%3 == 0) || value != nil && !bytes.Equal(value, keys[n][:n%2]) {
				t.Fatal(n, value)
			}
		}
		return nil
	}
	values, err := db.GetMany(keys)
	ok(t, err)
	ok(t, look(values))
	ok(t, db.ViewMany(keys, look))
	is(t, db.ViewMany(keys, func([][]byte) error { return os.ErrInvalid }), os.ErrInvalid)
	ok(t, db.ViewMany(nil, func(values [][]byte) error { return nil }))
	_, err = db.GetMany([][]byte{keys[1], nil})
	is(t, err, ErrEmptyKey)
	none, err := db.GetMany(nil)
	if err != nil || none != nil {
		t.Fatal(none, err)
	}
}

func TestConditions(t *testing.T) {
	db := open(t)
	key := []byte("key")
	first, err := db.PutWith(key, []byte("1"), WriteOptions{IfAbsent: true})
	ok(t, err)
	_, err = db.PutWith(key, []byte("2"), WriteOptions{IfAbsent: true})
	is(t, err, ErrExists)
	second, err := db.PutWith(key, []byte("2"), WriteOptions{IfVersion: first})
	ok(t, err)
	_, err = db.PutWith(key, []byte("3"), WriteOptions{IfVersion: first})
	is(t, err, ErrVersionMismatch)
	version, err := db.Version(key)
	if err != nil || version != second {
		t.Fatal(version, err)
	}
	_, err = db.DeleteWith(key, WriteOptions{IfVersion: first})
	is(t, err, ErrVersionMismatch)
	was, err := db.Delete(key)
	if err != nil || !was {
		t.Fatal(was, err)
	}
	was, err = db.Delete(key)
	if err != nil || was {
		t.Fatal(was, err)
	}
}

func TestTimesToLive(t *testing.T) {
	db := open(t)
	key := []byte("key")
	_, err := db.PutWith(key, []byte("v"), WriteOptions{TTL: time.Hour})
	ok(t, err)
	left, err := db.TTL(key)
	if err != nil || left <= 0 || left > time.Hour {
		t.Fatal(left, err)
	}
	_, err = db.PutWith(key, []byte("v"), WriteOptions{TTL: 20 * time.Millisecond})
	ok(t, err)
	for there := true; there; {
		there, err = db.Has(key)
		ok(t, err)
		time.Sleep(time.Millisecond)
	}
	_, err = db.TTL(key)
	is(t, err, ErrNotFound)
	ok(t, db.Put(key, nil))
	left, err = db.TTL(key)
	if err != nil || left != NoTTL {
		t.Fatal(left, err)
	}
	was, err := db.Touch(key, time.Hour)
	if err != nil || !was {
		t.Fatal(was, err)
	}
}

func TestGoroutinesShareADatabase(t *testing.T) {
	db := open(t)
	var group sync.WaitGroup
	for worker := 0; worker < 8; worker++ {
		group.Add(1)
		go func(worker int) {
			defer group.Done()
			for n := 0; n < 500; n++ {
				key := []byte(fmt.Sprint(worker, n))
				if err := db.Put(key, key); err != nil {
					t.Error(err)
				}
				if _, err := db.Add([]byte("sum"), 1); err != nil {
					t.Error(err)
				}
				value, err := db.Get(key)
				if err != nil || !bytes.Equal(value, key) {
					t.Error(value, err)
				}
				// The message is that of this call, not of another's.
				if _, err := db.Get([]byte("none")); !errors.Is(err, ErrNotFound) {
					t.Error(err)
				}
			}
		}(worker)
	}
	group.Wait()
	sum, err := db.Add([]byte("sum"), 0)
	if err != nil || sum != 4000 {
		t.Fatal(sum, err)
	}
}

func TestWalksAndSnapshots(t *testing.T) {
	db := open(t)
	for n := 0; n < 100; n++ {
		ok(t, db.Put([]byte(fmt.Sprintf("a%d", n)), []byte{byte(n)}))
	}
	ok(t, db.Put([]byte("b"), nil))
	snapshot, err := db.Snapshot()
	ok(t, err)
	defer snapshot.Close()
	_, err = db.Delete([]byte("a7"))
	ok(t, err)
	count := func(it *Iterator) (seen int) {
		defer it.Close()
		for it.Next() {
			if !bytes.HasPrefix(it.Key(), []byte("a")) || len(it.Value()) != 1 {
				t.Fatalf("%q", it.Key())
			}
			seen++
		}
		ok(t, it.Err())
		return seen
	}
	prefix := []byte("a")
	now, then := count(db.Iterator(prefix)), count(snapshot.Iterator(prefix))
	if now != 99 || then != 100 {
		t.Fatal(now, then)
	}
	value, err := snapshot.Get([]byte("a7"))
	if err != nil || value[0] != 7 {
		t.Fatal(value, err)
	}
	there, err := snapshot.Has([]byte("c"))
	if err != nil || there {
		t.Fatal(there, err)
	}
	length, err := db.Len()
	if err != nil || length != 100 {
		t.Fatal(length, err)
	}
}

func TestLongCallsEndWithTheirContext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openAt(t, dir, With("segment_size", "1MiB"), With("compaction", "manual"))
	for turn := 0; turn < 3; turn++ {
		for n := 0; n < 3000; n++ {
			ok(t, db.Put([]byte(fmt.Sprint(n)), make([]byte, 1000)))
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	is(t, db.Compact(ctx, func(Progress) { cancel() }), context.Canceled)
	is(t, db.Compact(ctx, nil), context.Canceled)
	var last Progress
	ok(t, db.Compact(context.Background(), func(p Progress) { last = p }))
	if last.TotalBytes == 0 {
		t.Fatal(last)
	}
	backup, restored := dir+"-backup", dir+"-restored"
	ok(t, db.Backup(context.Background(), backup, nil))
	ok(t, db.Close())
	ok(t, Restore(context.Background(), backup, restored, nil))
	report, err := Verify(context.Background(), restored, nil)
	if err != nil || len(report) == 0 {
		t.Fatalf("%s %v", report, err)
	}
	segments, _ := filepath.Glob(restored + "/*.seg")
	bytes, err := os.ReadFile(segments[0])
	ok(t, err)
	bytes[5000] ^= 1
	ok(t, os.WriteFile(segments[0], bytes, 0o600))
	report, err = Verify(context.Background(), restored, nil)
	is(t, err, ErrDamaged)
	_, err = Salvage(context.Background(), restored, dir+"-saved", nil)
	is(t, err, ErrDamaged)
	ok(t, Destroy(restored))
}

func TestFigures(t *testing.T) {
	db := open(t)
	ok(t, db.Put([]byte("k"), []byte("v")))
	stats, err := db.Stats()
	if err != nil || stats.Keys != 1 || stats.Writes != 1 || time.Since(stats.Opened) > time.Hour {
		t.Fatal(stats, err)
	}
	bytes, err := db.ApproximateBytes()
	if err != nil || bytes == 0 {
		t.Fatal(bytes, err)
	}
	metrics, err := db.Metrics()
	if err != nil || !strings.Contains(metrics, "kv_keys") {
		t.Fatal(metrics, err)
	}
	if Version() == "" {
		t.Fatal("no version")
	}
}

func TestWhatIsForgottenIsClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	func() {
		db, err := Open(dir)
		ok(t, err)
		ok(t, db.Put([]byte("k"), []byte("v")))
	}()
	for deadline := time.Now().Add(30 * time.Second); ; {
		runtime.GC()
		db, err := Open(dir)
		if err == nil {
			ok(t, db.Close())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
}
