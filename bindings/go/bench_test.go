// What a call from Go costs: go test -bench .

package kv

import (
	"fmt"
	"testing"
)

func bench(b *testing.B, op func(db *DB, key, value []byte)) {
	db := open(b)
	key, value := []byte("0123456789abcdef"), make([]byte, 100)
	ok(b, db.Put(key, value))
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n++ {
		op(db, key, value)
	}
}

// What the way to C and back costs: a call that looks at no key. The library does next to nothing.
func BenchmarkCall(b *testing.B) {
	for n := 0; n < b.N; n++ {
		_ = Status(0).Class()
	}
}

func BenchmarkMissing(b *testing.B) {
	missing := []byte("none")
	bench(b, func(db *DB, _, _ []byte) { _, _ = db.Has(missing) })
}

func BenchmarkHas(b *testing.B) {
	bench(b, func(db *DB, key, _ []byte) { _, _ = db.Has(key) })
}

func BenchmarkGet(b *testing.B) {
	bench(b, func(db *DB, key, _ []byte) { _, _ = db.Get(key) })
}

func BenchmarkAppendTo(b *testing.B) {
	buf := make([]byte, 0, 100)
	bench(b, func(db *DB, key, _ []byte) { _, _ = db.AppendTo(buf, key) })
}

func BenchmarkView(b *testing.B) {
	look := func([]byte) error { return nil }
	bench(b, func(db *DB, key, _ []byte) { _ = db.View(key, look) })
}

func BenchmarkPut(b *testing.B) {
	bench(b, func(db *DB, key, value []byte) { _ = db.Put(key, value) })
}

func BenchmarkDelete(b *testing.B) {
	bench(b, func(db *DB, key, _ []byte) { _, _ = db.Delete(key) })
}

const many = 1000

func filled(b *testing.B, value []byte) (*DB, [][]byte) {
	db := open(b)
	var keys [][]byte
	ok(b, db.Batch(func(batch *Batch) error {
		for n := 0; n < many; n++ {
			keys = append(keys, []byte(fmt.Sprintf("%016d", n)))
			ok(b, batch.Put(keys[n], value))
		}
		return nil
	}))
	b.ReportAllocs()
	b.ResetTimer()
	return db, keys
}

// Per key, as those above.
func BenchmarkGetMany(b *testing.B) {
	db, keys := filled(b, make([]byte, 100))
	for n := 0; n < b.N; n += many {
		_, err := db.GetMany(keys)
		ok(b, err)
	}
}

func BenchmarkIterator(b *testing.B) {
	db, _ := filled(b, make([]byte, 100))
	for n := 0; n < b.N; {
		it := db.Iterator(nil)
		for it.Next() && n < b.N {
			n++
		}
		ok(b, it.Err())
		it.Close()
	}
}

func BenchmarkBatch(b *testing.B) {
	db, keys := filled(b, nil)
	value := make([]byte, 100)
	for n := 0; n < b.N; n += many {
		ok(b, db.Batch(func(batch *Batch) error {
			for _, key := range keys {
				ok(b, batch.Put(key, value))
			}
			return nil
		}))
	}
}
