// Package kv stores values under keys in a directory: an embeddable database that survives crashes.
//
// It calls libkv, which pkg-config must find (kv.pc):
//
//	db, err := kv.Open("sessions")
//	if err != nil {
//		return err
//	}
//	defer db.Close()
//	if err := db.Put([]byte("alice"), []byte("logged in")); err != nil {
//		return err
//	}
//	value, err := db.Get([]byte("alice"))
//	if errors.Is(err, kv.ErrNotFound) {
//		// …
//	}
//
// A DB and a Snapshot may be used by any number of goroutines at once; a Batch and an Iterator by
// one at a time. Every type has a Close; what is forgotten is closed by a finalizer, in time.
// Slices that are returned are copies and belong to the caller, except where a method says
// otherwise; slices that are passed may be used again when the call returns.
//
// A write survives the death of the process when Put returns, and a power cut as WithSync says.
//
// One process has a database open at a time, once. Keys are in no order.
package kv
