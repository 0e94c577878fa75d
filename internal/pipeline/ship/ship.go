// Package ship takes a commit of a monorepo to released images: it decides what is to be done, from what changed and from
// what the registry has, and has the steps do it, each project's as soon as those of what it depends on are done.
//
// docs/design/ship.md says why it does so, and what happens to a run that fails or races another.
package ship
