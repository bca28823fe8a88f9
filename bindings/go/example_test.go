// What the documentation shows, run.

package kv_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"example.org/libkv/kv"
)

// scratch is a directory for an example, and what removes it.
func scratch() (string, func()) {
	dir, err := os.MkdirTemp("", "kv")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.Join(dir, "db"), func() { _ = os.RemoveAll(dir) }
}

func opened() (*kv.DB, func()) {
	dir, remove := scratch()
	db, err := kv.Open(dir)
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		_ = db.Close()
		remove()
	}
}

func Example() {
	dir, remove := scratch()
	defer remove()

	db, err := kv.Open(dir, kv.WithSync(kv.SyncAlways))
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	if err := db.Put([]byte("alice"), []byte("logged in")); err != nil {
		log.Fatal(err)
	}
	value, err := db.Get([]byte("alice"))
	fmt.Printf("%s %v\n", value, err)
	_, err = db.Get([]byte("bob"))
	fmt.Println(errors.Is(err, kv.ErrNotFound))
	// Output:
	// logged in <nil>
	// true
}

func ExampleDB_View() {
	db, done := opened()
	defer done()
	_ = db.Put([]byte("numbers"), []byte{1, 2, 3})

	sum := 0
	err := db.View([]byte("numbers"), func(value []byte) error {
		for _, number := range value {
			sum += int(number)
		}
		return nil
	})
	fmt.Println(sum, err)
	// Output: 6 <nil>
}

func ExampleDB_Batch() {
	db, done := opened()
	defer done()

	err := db.Batch(func(batch *kv.Batch) error {
		if err := batch.Put([]byte("from"), []byte("90")); err != nil {
			return err
		}
		return batch.Put([]byte("to"), []byte("110"))
	})
	keys, _ := db.Len()
	fmt.Println(keys, err)
	// Output: 2 <nil>
}

func ExampleDB_PutWith() {
	db, done := opened()
	defer done()

	// A lock that is let go by itself after a minute.
	lock := kv.WriteOptions{IfAbsent: true, TTL: time.Minute}
	_, err := db.PutWith([]byte("lock"), []byte("me"), lock)
	fmt.Println(err)
	_, err = db.PutWith([]byte("lock"), []byte("you"), lock)
	fmt.Println(errors.Is(err, kv.ErrExists))

	// Only if nobody has written it since it was read.
	version, _ := db.Version([]byte("lock"))
	_, err = db.PutWith([]byte("lock"), []byte("me, still"), kv.WriteOptions{IfVersion: version})
	fmt.Println(err)
	// Output:
	// <nil>
	// true
	// <nil>
}

func ExampleDB_Iterator() {
	db, done := opened()
	defer done()
	_ = db.Put([]byte("a1"), []byte("one"))
	_ = db.Put([]byte("b1"), []byte("another"))

	it := db.Iterator([]byte("a"))
	defer it.Close()
	for it.Next() {
		fmt.Printf("%s: %s\n", it.Key(), it.Value())
	}
	if err := it.Err(); err != nil {
		log.Fatal(err)
	}
	// Output: a1: one
}

func ExampleDB_Snapshot() {
	db, done := opened()
	defer done()
	_ = db.Put([]byte("k"), []byte("then"))

	snapshot, err := db.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	_ = db.Put([]byte("k"), []byte("now"))
	value, err := snapshot.Get([]byte("k"))
	fmt.Printf("%s %v\n", value, err)
	// Output: then <nil>
}

func ExampleDB_PutFunc() {
	db, done := opened()
	defer done()

	_, err := db.PutFunc([]byte("k"), 3, kv.WriteOptions{}, func(value []byte) error {
		for at := range value {
			value[at] = 'a' + byte(at)
		}
		return nil
	})
	value, _ := db.Get([]byte("k"))
	fmt.Printf("%s %v\n", value, err)
	// Output: abc <nil>
}

func ExampleDB_PutFrom() {
	db, done := opened()
	defer done()

	source := strings.NewReader("what comes from a file, say\n")
	_, err := db.PutFrom([]byte("k"), source, source.Len(), kv.WriteOptions{})
	if err != nil {
		log.Fatal(err)
	}
	n, err := db.CopyTo(os.Stdout, []byte("k"))
	fmt.Println(n, err)
	// Output:
	// what comes from a file, say
	// 28 <nil>
}

func ExampleDB_Backup() {
	db, done := opened()
	defer done()
	_ = db.Put([]byte("k"), []byte("v"))
	dir, remove := scratch()
	defer remove()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(db.Backup(ctx, dir, nil))
	fmt.Println(kv.Restore(ctx, dir, dir+"-restored", nil))
	// Output:
	// <nil>
	// <nil>
}

func ExampleWithLog() {
	dir, remove := scratch()
	defer remove()
	lines := 0
	db, err := kv.Open(dir, kv.WithLog(kv.LevelInfo, func(level kv.Level, message string) {
		lines++ // log.Println(message)
	}))
	if err != nil {
		log.Fatal(err)
	}
	// It returns when all was told.
	fmt.Println(db.Close(), lines > 0)
	// Output: <nil> true
}
