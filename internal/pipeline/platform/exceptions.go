package platform

import "context"

// Exceptions are what a Berth holds to for an image, and the documents that are attached to it.
type Exceptions struct {
	Exceptions []HeldException    `json:"exceptions"`
	Documents  []AttachedDocument `json:"documents"`
}

// HeldException is a finding that stops nothing for a time. Text in it is a stranger's.
type HeldException struct {
	Vulnerability string `json:"vulnerability"`
	Package       string `json:"packageName"`
	Digest        string `json:"imageDigest"` // empty: every image of the repository
	Status        string `json:"status"`
	Owner         string `json:"owner"`
	Reason        string `json:"reason"`
	Document      string `json:"documentDigest"`
	Expires       Moment `json:"expiresAt"`
}

// AttachedDocument is a document that is attached to an image, or to an index that it is in.
type AttachedDocument struct {
	Digest  string `json:"digest"`
	Subject string `json:"subjectDigest"`
	Actor   string `json:"actor"`
	Problem string `json:"problem"` // why nothing in it counts
}

// Exceptions lists the exceptions of an image. Where Unknown is true of the error, the server is no Berth, or an older one.
func (c *Client) Exceptions(ctx context.Context, repository, digest string) (Exceptions, error) {
	in := struct {
		RepositoryName string  `json:"repositoryName"`
		ImageID        ImageID `json:"imageId"`
	}{repository, ImageID{Digest: digest}}
	var out Exceptions
	err := c.call(ctx, "ListExceptions", in, &out)
	return out, err
}
