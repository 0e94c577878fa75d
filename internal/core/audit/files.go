package audit

import "iter"

// Files reads the logs that are in files on this machine.
type Files interface {
	// Logs lists their ids.
	Logs() ([]string, error)
	// Records goes through a log's records in order.
	Records(log string) iter.Seq2[Item, error]
	// Checkpoint is the last one that was put beside the log; empty: there is none.
	Checkpoint(log string) (string, error)
}

// Item is a record, or what is left of some.
type Item struct {
	Line []byte // good until the next one
	Left *Tree  // of records that were kept for their time: their subtrees
	File string // that it is in
}
