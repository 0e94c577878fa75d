// Package extract reads the packages out of an image's layers, in a child process of its own: a stranger's archive is unpacked and
// parsed where it can exhaust or crash nothing but the child. It implements scan.Extractor.
package extract

// Revision rises when the extractors find more than before.
const Revision = 1
