// Package process starts programs so that they end with all that they started: in a process group, or in a session of its own
// without a terminal.
package process
