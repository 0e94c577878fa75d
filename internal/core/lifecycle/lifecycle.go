// Package lifecycle expires and archives images as a repository's lifecycle policy says.
package lifecycle
