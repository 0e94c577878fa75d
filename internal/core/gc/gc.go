// Package gc removes what nothing needs any more: images whose time in the trash is over, layers that no image of their repository
// refers to, blobs that nothing has, bytes that no row names, and uploads that were given up.
//
// Nothing is searched for. Whoever takes a reference away sets, in the same transaction, when the thing it pointed to is
// looked at; the sweep takes what is due. docs/design/gc.md says why nothing that is needed can go.
package gc
