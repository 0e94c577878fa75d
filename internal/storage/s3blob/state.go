package s3blob

import (
	"crypto/md5" //nolint:gosec // S3's ETags are made of it; nothing is protected by it here
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// markName is the metadata by which Complete knows its own object (x-amz-meta-berth-upload).
const markName = "berth-upload"

// state is what an Upload's State says: where its bytes are. All parts are PartSize long.
type state struct {
	PartSize int64    `json:"partSize"`
	UploadID string   `json:"uploadId,omitempty"` // the multipart upload's
	ETags    []string `json:"etags,omitempty"`    // of parts 1, 2, …
	// Mark is what the multipart upload's object will be marked with, as long as no other bytes of this size
	// can come to bear the same mark: from the Append that made the multipart upload to the next.
	Mark    string `json:"mark,omitempty"`
	Tail    *tail  `json:"tail,omitempty"`    // the bytes behind the last part
	OldTail string `json:"oldTail,omitempty"` // id of the tail before, which the next Append deletes
}

// tail is a side object with less than a part.
type tail struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
	ETag string `json:"etag"`
}

// readState reads what the last Append noted, and checks that it accounts for the upload's bytes.
func readState(u blob.Upload, partSize int64) (state, error) {
	st := state{PartSize: partSize}
	if len(u.State) > 0 {
		if err := json.Unmarshal(u.State, &st); err != nil {
			return st, fmt.Errorf("reading the state of upload %s: %w", u.Key, err)
		}
	}
	if st.size() != u.Size {
		return st, fmt.Errorf("the state of upload %s accounts for %d bytes of %d", u.Key, st.size(), u.Size)
	}
	return st, nil
}

func (st state) size() int64 {
	n := int64(len(st.ETags)) * st.PartSize
	if st.Tail != nil {
		n += st.Tail.Size
	}
	return n
}

func (st state) tailSize() int64 {
	if st.Tail == nil {
		return 0
	}
	return st.Tail.Size
}

// upload makes the value that the caller stores.
func (st state) upload(key blob.Key) (blob.Upload, error) {
	notes, err := json.Marshal(st)
	if err != nil {
		return blob.Upload{}, fmt.Errorf("writing the state of upload %s: %w", key, err)
	}
	return blob.Upload{Key: key, Size: st.size(), State: notes}, nil
}

// clone makes a copy that can be changed.
func (st state) clone() state {
	st.ETags = slices.Clone(st.ETags)
	return st
}

// partsETag is the ETag that S3 gives an object made of parts with the given ETags, where those are MD5s.
func partsETag(etags []string) string {
	h := md5.New() //nolint:gosec // see the import
	for _, e := range etags {
		sum, err := hex.DecodeString(e)
		if err != nil {
			return "" // no MD5: equal to no ETag
		}
		h.Write(sum)
	}
	return fmt.Sprintf("%x-%d", h.Sum(nil), len(etags))
}

// bare takes the quotes off an ETag.
func bare(etag *string) string {
	if etag == nil {
		return ""
	}
	return strings.Trim(*etag, `"`)
}
