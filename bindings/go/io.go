// Values from readers, and to writers.

package kv

import "io"

// PutFrom stores the next n bytes of r, which are read to where they will lie. If there are fewer,
// that is io.ErrUnexpectedEOF or io.EOF, and nothing is written.
func (db *DB) PutFrom(key []byte, r io.Reader, n int, options WriteOptions) (uint64, error) {
	return db.PutFunc(key, n, options, func(value []byte) error {
		_, err := io.ReadFull(r, value)
		return err
	})
}

// CopyTo writes the value of a key to w, from where it lies; or ErrNotFound. Answers how many bytes
// were written.
func (db *DB) CopyTo(w io.Writer, key []byte) (int64, error) {
	var written int
	err := db.View(key, func(value []byte) (err error) {
		written, err = w.Write(value)
		return err
	})
	return int64(written), err
}
