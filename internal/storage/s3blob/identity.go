package s3blob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// idObject is the name, behind the prefix, of the object that tells one place for blobs from another.
const idObject = "berth-store-id"

// Identity is the random name of this bucket and prefix, given to it at the first call and kept in the object
// <prefix>berth-store-id.
func (s *Store) Identity(ctx context.Context) (string, error) {
	id, err := s.readID(ctx)
	if errors.Is(err, blob.ErrNotFound) {
		fresh := rand.Text()
		err = s.onlyOnce(func(ifNoneMatch *string) error { return s.writeID(ctx, fresh, ifNoneMatch) })
		if err == nil || refusedAsThere(err) {
			id, err = s.readID(ctx) // perhaps another replica's, which was quicker
		}
	}
	if err != nil {
		return "", fmt.Errorf("identifying bucket %s by its object %s: %w", s.bucket, s.prefix+idObject, storeError(err))
	}
	return id, nil
}

// KeepsFirst tells whether the store honours If-None-Match, on which it rests that of two replicas that
// complete one upload with different bytes the second cannot replace what the first has acknowledged. It
// finds out by writing the object of the identity once more, as it is.
func (s *Store) KeepsFirst(ctx context.Context) (bool, error) {
	id, err := s.Identity(ctx)
	if err != nil {
		return false, err
	}
	switch err := s.writeID(ctx, id, aws.String("*")); {
	case err == nil, status(err) == http.StatusNotImplemented:
		return false, nil
	case refusedAsThere(err):
		return true, nil
	default:
		return false, fmt.Errorf("trying a conditional write to bucket %s: %w", s.bucket, storeError(err))
	}
}

func (s *Store) readID(ctx context.Context) (string, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: aws.String(s.prefix + idObject)})
	if err != nil {
		return "", storeError(err)
	}
	defer out.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(out.Body, 1<<10))
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if id == "" {
		return "", errors.New("the object is empty")
	}
	return id, nil
}

// writeID writes the id if there is none yet, or, without an ifNoneMatch, in any case.
func (s *Store) writeID(ctx context.Context, id string, ifNoneMatch *string) error {
	_, err := s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: aws.String(s.prefix + idObject), IfNoneMatch: ifNoneMatch, Body: strings.NewReader(id + "\n"),
	})
	return err
}

// refusedAsThere tells that a conditional write did not happen: there is an object, or one is being made.
func refusedAsThere(err error) bool {
	st := status(err)
	return st == http.StatusPreconditionFailed || st == http.StatusConflict
}
