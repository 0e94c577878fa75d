// Package audit is the log of who did what to which image, from where and with what, and whether it was allowed and by what. Its records are
// in CloudTrail's format (adr/0018), one JSON object a line; they are leaves of a Merkle tree, so that nobody can change or take one away
// unseen. See docs/design/usage.md.
package audit

import (
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Entry is one thing that somebody did, or was refused. The middleware makes it of what the faces note while they serve a request.
type Entry struct {
	At        time.Time
	ID        string // unique: the request's id
	Service   string // of the operation: ecr, sts, iam, monitoring …
	Operation string // as AWS calls it: PutImage, BatchGetImage …; what comes by the distribution API goes by the permission it needs
	ReadOnly  bool
	Caller    identity.Caller

	Repository string       // or empty
	Images     []ImageName  // that it was about
	Layers     []oci.Digest // that it was about
	Resources  []string     // ARNs of what else
	Parameters []Parameter  // what else the request named

	Method, Path string // of HTTP, the path without a query
	Status       int    // of the answer
	Fault        string // AWS's word for what went wrong, or empty
	Message      string // what the client was told of that
	DecidedBy    string // the statements that allowed it, or that denied it; or which was missing

	Pulled   []oci.Digest // images whose manifests were given away, indexes apart: what counts as pulls
	BytesIn  int64        // of the request's body
	BytesOut int64        // of the answer's; with a redirect to the blob store, what is fetched there
	Duration time.Duration
}

// Parameter is something that a request named. Nothing secret is in one.
type Parameter struct{ Name, Value string }

// ImageName is an image by what it was called by.
type ImageName struct {
	Digest oci.Digest // or empty
	Tag    string     // or empty
}

// Denied tells whether a permission was lacking, or credentials did not hold.
func (e *Entry) Denied() bool { return denied(e.Status, e.Fault) }

func denied(status int, word string) bool {
	if status == 401 || status == 403 {
		return true
	}
	switch word { // the AWS protocols that are JSON answer 400 to these
	case "AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException",
		"MissingAuthenticationTokenException", "IncompleteSignatureException", "IncompleteSignature":
		return true
	}
	return false
}

// Principal names who asked, a role for all of its sessions; nobody is "anonymous".
func Principal(c identity.Caller) string {
	switch {
	case c.Session != nil && c.Session.RoleARN != "":
		return c.Session.RoleARN
	case c.Anonymous():
		return Anonymous
	}
	return c.ARN
}

// Anonymous is the principal of requests without credentials.
const Anonymous = "anonymous"

// ReadOnly tells by an operation's name whether it changes nothing.
func ReadOnly(operation string) bool {
	for _, prefix := range [...]string{"Get", "List", "Describe", "BatchGet", "BatchCheck", "Validate", "Lookup", "Decode", "Simulate", "Explain", "Login", "Verify"} {
		if strings.HasPrefix(operation, prefix) {
			return true
		}
	}
	return false
}

// Query selects records. Zero members select everything; those that are set must all hold.
type Query struct {
	Since, Until time.Time // [Since, Until)
	Repository   string
	Image        string // a digest, or a tag of Repository
	Principal    string // an ARN, a role's stands for all of its sessions; or the last part of one: a user's or role's name
	Operation    string
	AccessKeyID  string
	RequestID    string
	DeniedOnly   bool
	ReadOnly     *bool
	Source       string // ecr.amazonaws.com
	// OfRepositories selects what was about a repository.
	OfRepositories bool
	// Limit bounds how many come at once, the newest first. After goes on after an earlier answer's end.
	Limit int
	After string
}
