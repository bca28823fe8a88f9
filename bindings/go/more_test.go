// What is told, and the seldom calls.

package kv

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

var background = context.Background()

func TestOptionsAreTyped(t *testing.T) {
	db := open(t, WithSync(SyncAlways), WithSyncInterval(time.Second), WithSegmentSize(1<<20),
		WithMaxDiskBytes(8<<20), WithMaxIndexBytes(1<<20))
	value := make([]byte, 1<<20)
	var err error
	for n := 0; err == nil && n < 100; n++ {
		err = db.Put([]byte(fmt.Sprint(n)), value)
	}
	is(t, err, ErrNoSpace)
	_, err = Open(t.TempDir(), WithSync("sometimes"))
	is(t, err, ErrInvalidOption)
	options, err := Options()
	ok(t, err)
	names := map[string]string{}
	for _, option := range options {
		names[option.Name] = option.Default
	}
	if len(names) < 10 || names["sync"] != "interval" {
		t.Fatal(options)
	}
}

func TestWhatADatabaseTells(t *testing.T) {
	var mutex sync.Mutex
	var lines []string
	var kinds []EventKind
	var db *DB
	opened, tried := make(chan struct{}), make(chan error, 1)
	db = open(t,
		WithLog(LevelInfo, func(level Level, message string) {
			mutex.Lock()
			defer mutex.Unlock()
			lines = append(lines, message)
		}),
		WithEvents(func(event Event) {
			if event.Kind == EventOpened {
				<-opened
				tried <- db.Close()
			}
			mutex.Lock()
			defer mutex.Unlock()
			kinds = append(kinds, event.Kind)
			if event.Message == "" || event.Level == 0 || time.Since(event.Time) > time.Hour {
				t.Error(event)
			}
		}))
	close(opened)
	is(t, <-tried, ErrBusy)
	ok(t, db.Close())
	if len(lines) < 2 || kinds[0] != EventOpened || kinds[len(kinds)-1] != EventClosed {
		t.Fatal(lines, kinds)
	}
}

func TestValuesFilledInPlace(t *testing.T) {
	db := open(t)
	key := []byte("key")
	version, err := db.PutFunc(key, 10, WriteOptions{IfAbsent: true}, func(value []byte) error {
		if len(value) != 10 || cap(value) != 10 {
			t.Fatal(len(value), cap(value))
		}
		copy(value, "0123456789")
		// Others write meanwhile.
		return db.Put([]byte("other"), nil)
	})
	ok(t, err)
	value, err := db.Get(key)
	ok(t, err)
	if now, _ := db.Version(key); string(value) != "0123456789" || now != version {
		t.Fatalf("%q %d %d", value, version, now)
	}
	if size, err := db.Size(key); err != nil || size != 10 {
		t.Fatal(size, err)
	}
	fill := func([]byte) error { return nil }
	_, err = db.PutFunc(key, 0, WriteOptions{IfAbsent: true}, fill)
	is(t, err, ErrExists)
	_, err = db.PutFunc(key, -1, WriteOptions{}, fill)
	is(t, err, ErrValueTooLong)
	_, err = db.PutFunc(key, 1, WriteOptions{}, func([]byte) error { return os.ErrInvalid })
	is(t, err, os.ErrInvalid)
	func() {
		defer func() { _ = recover() }()
		_, _ = db.PutFunc(key, 1, WriteOptions{}, func([]byte) error { panic("fill") })
	}()
	if after, err := db.Get(key); err != nil || !bytes.Equal(after, value) {
		t.Fatal(after, err)
	}
}

func TestReadersThatEndTooEarly(t *testing.T) {
	db := open(t)
	_, err := db.PutFrom([]byte("k"), strings.NewReader("short"), 6, WriteOptions{})
	is(t, err, io.ErrUnexpectedEOF)
	if there, err := db.Has([]byte("k")); there || err != nil {
		t.Fatal(there, err)
	}
	_, err = db.CopyTo(io.Discard, []byte("k"))
	is(t, err, ErrNotFound)
}

func TestBatchesAreWholeOrNothing(t *testing.T) {
	db := open(t)
	ok(t, db.Put([]byte("old"), nil))
	is(t, db.Batch(func(batch *Batch) error {
		ok(t, batch.Put([]byte("a"), nil))
		return os.ErrInvalid
	}), os.ErrInvalid)
	ok(t, db.Batch(func(batch *Batch) error {
		ok(t, batch.Put([]byte("gone"), nil))
		ok(t, batch.Clear())
		ok(t, batch.PutTTL([]byte("b"), []byte("1"), time.Hour))
		ok(t, batch.Delete([]byte("old")))
		is(t, batch.Put(nil, nil), ErrEmptyKey)
		if there, _ := db.Has([]byte("b")); there || batch.Len() != 2 {
			t.Error(there, batch.Len())
		}
		return nil
	}))
	var seen []string
	it := db.Iterator(nil)
	defer it.Close()
	it.All()(func(key, value []byte) bool {
		seen = append(seen, string(key)+string(value))
		return true
	})
	ok(t, it.Err())
	if len(seen) != 1 || seen[0] != "b1" {
		t.Fatal(seen)
	}
	if left, err := db.TTL([]byte("b")); err != nil || left > time.Hour || left < time.Minute {
		t.Fatal(left, err)
	}
}

func TestATimeToLiveIsNotNegative(t *testing.T) {
	db := open(t)
	_, err := db.PutWith([]byte("k"), nil, WriteOptions{TTL: -1})
	is(t, err, ErrInvalidArgument)
	_, err = db.PutWith([]byte("k"), nil, WriteOptions{TTL: 1<<63 - 1})
	ok(t, err)
	_, err = db.PutWith([]byte("k"), nil, WriteOptions{TTL: 1})
	ok(t, err)
	if left, err := db.TTL([]byte("k")); err == nil && left > time.Millisecond {
		t.Fatal(left)
	}
}

// Records of all sizes come out of the buffer that is read ahead, also those that are larger.
func TestWalksOverLargeAndSmallRecords(t *testing.T) {
	db := open(t)
	wanted := map[string]int{}
	for n := 0; n < 3000; n++ {
		key := fmt.Sprintf("%0*d", 1+n%40, n)
		wanted[key] = []int{0, 1, 100, 5000, 70000}[n%5] * (n % 7) % 300000
		ok(t, db.Put([]byte(key), bytes.Repeat([]byte{byte(n)}, wanted[key])))
	}
	snapshot, err := db.Snapshot()
	ok(t, err)
	for _, it := range []*Iterator{db.Iterator(nil), snapshot.Iterator(nil)} {
		seen := map[string]int{}
		for it.Next() {
			seen[string(it.Key())] = len(it.Value())
			if value := it.Value(); len(value) > 0 && value[0] != value[len(value)-1] {
				t.Fatalf("%q", it.Key())
			}
		}
		ok(t, it.Err())
		it.Close()
		if fmt.Sprint(seen) != fmt.Sprint(wanted) {
			t.Fatal(len(seen), len(wanted))
		}
	}
}

func TestWalksGoOnBehindDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "db")
	db := openAt(t, dir, With("read_mode", "pread"))
	for n := 0; n < 3; n++ {
		ok(t, db.Put([]byte{byte('a' + n)}, bytes.Repeat([]byte{byte('A' + n)}, 1000)))
	}
	segments, _ := filepath.Glob(dir + "/*.seg")
	file, err := os.OpenFile(segments[0], os.O_RDWR, 0)
	ok(t, err)
	content, err := os.ReadFile(segments[0])
	ok(t, err)
	at := bytes.Index(content, bytes.Repeat([]byte{'B'}, 1000))
	_, err = file.WriteAt([]byte{'?'}, int64(at+500))
	ok(t, err)
	ok(t, file.Close())
	it := db.Iterator(nil)
	defer it.Close()
	var seen string
	for it.Next() {
		seen += string(it.Key())
	}
	is(t, it.Err(), ErrCorrupt)
	for it.Next() {
		seen += string(it.Key())
	}
	ok(t, it.Err())
	if seen != "ac" {
		t.Fatal(seen)
	}
}

func TestSnapshotsAreReadInEveryWay(t *testing.T) {
	db := open(t)
	key := []byte("key")
	ok(t, db.Put(key, []byte("then")))
	snapshot, err := db.Snapshot()
	ok(t, err)
	defer snapshot.Close()
	ok(t, db.Put(key, []byte("later")))
	value, err := snapshot.AppendTo([]byte("so "), key)
	if err != nil || string(value) != "so then" {
		t.Fatal(value, err)
	}
	ok(t, snapshot.View(key, func(value []byte) error {
		if string(value) != "then" {
			t.Errorf("%q", value)
		}
		return nil
	}))
	if size, err := snapshot.Size(key); err != nil || size != 4 {
		t.Fatal(size, err)
	}
	_, err = snapshot.Size([]byte("none"))
	is(t, err, ErrNotFound)
	_, err = snapshot.AppendTo(nil, []byte("none"))
	is(t, err, ErrNotFound)
	var group sync.WaitGroup
	for worker := 0; worker < 4; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for n := 0; n < 1000; n++ {
				if value, err := snapshot.Get(key); err != nil || string(value) != "then" {
					t.Error(value, err)
				}
			}
		}()
	}
	group.Wait()
}

func TestPanicsOfProgressComeBack(t *testing.T) {
	db := open(t, WithSegmentSize(1<<20), With("compaction", "manual"))
	for n := 0; n < 3000; n++ {
		ok(t, db.Put([]byte(fmt.Sprint(n%1000)), make([]byte, 1000)))
	}
	func() {
		defer func() {
			if recovered := recover(); recovered != "progress" {
				t.Error(recovered)
			}
		}()
		_ = db.Compact(background, func(Progress) { panic("progress") })
	}()
	ctx, cancel := context.WithCancel(background)
	err := db.Compact(ctx, func(Progress) { cancel() })
	is(t, err, context.Canceled)
	is(t, err, ErrCancelled)
	is(t, db.Compact(background, func(Progress) { ok(t, db.CancelCompact()) }), ErrCancelled)
	ok(t, db.PauseCompaction())
	if stats, err := db.Stats(); err != nil || !stats.CompactionPaused {
		t.Fatal(stats, err)
	}
	ok(t, db.ResumeCompaction())
	ok(t, db.Compact(background, nil))
}

func TestLatencies(t *testing.T) {
	db := open(t, With("latency_histograms", "true"))
	for n := 0; n < 1000; n++ {
		ok(t, db.Put([]byte("k"), nil))
	}
	latencies, err := db.Latencies()
	ok(t, err)
	for _, latency := range latencies {
		if latency.Operation == "put" && latency.Count > 0 && latency.P50 <= latency.Max {
			return
		}
	}
	t.Fatal(latencies)
}

// Handles that nothing refers to are freed.
func TestForgottenHandlesAreFreed(t *testing.T) {
	db := open(t)
	ok(t, db.Put([]byte("k"), nil))
	for n := 0; n < 100; n++ {
		_, err := db.Snapshot()
		ok(t, err)
		if !db.Iterator(nil).Next() {
			t.Fatal(n)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		stats, err := db.Stats()
		ok(t, err)
		if stats.Snapshots == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(stats.Snapshots)
		}
	}
}
