// Package s3blob keeps blobs as objects in a bucket of any S3-compatible store.
//
// # Life of a blob
//
// The object with key k is <prefix><k>. Nothing but [Store.Complete] ever writes under that name, and only
// where nothing is yet (If-None-Match), so an object that was acknowledged never changes. What an upload
// has so far lies elsewhere, and its blob.Upload's State says where:
//
//   - full parts, of one size each, in a multipart upload for that same name: part n holds bytes
//     (n-1)·size to n·size, whichever Append brings them;
//   - the rest, which is less than a part, in a side object <prefix><k>.tail.<random>, because S3 takes no
//     small part in the middle and gives no part back to be completed.
//
// Step by step:
//
//  1. [Store.Append] reads into pooled pieces of memory. When a part is full it is sent on its way while
//     the next one is being read; the multipart upload is created with the first part. At the end the rest
//     is written as a tail under a new random name. Small uploads thus are one PUT.
//  2. The next Append fetches the tail (or finds it in memory) and goes on behind it.
//  3. Complete sends the tail as the last part and completes the multipart upload with exactly the parts
//     that the State lists; or, where there never was a full part, PUTs the tail's bytes under the final
//     name. Both are atomic. Then it deletes the tails.
//  4. [Store.Abort] deletes whatever carries the key's name; an Append or a Complete of the same process that is
//     running then does so again at its end.
//
// What a crash leaves:
//
//   - Append died, or its caller did before the new Upload was stored: the old Upload still works, for its
//     tail is still there and part numbers beyond its list are simply sent again. So a tail is deleted no
//     sooner than in the second Append after it: an Upload that is handed to Append is taken to be stored,
//     and what came before it is out of use. The lost attempt leaves a tail, and perhaps a multipart
//     upload, that nobody refers to: garbage, which Abort removes if it comes to that, and [Store.Walk] finds
//     otherwise.
//   - Complete died: calling it again finds its own object there, and is content. It knows it by its size
//     and a random mark in its metadata, x-amz-meta-berth-upload: the last tail's name, or, where a multipart
//     upload was made and filled by one Append, a mark of that Append's. Where several Appends filled one, the
//     mark cannot tell two lines of them apart, so the ETag decides; a store whose ETags are no MD5s (SSE-KMS)
//     then answers blob.ErrLost, and the upload is to be started again.
//
// # What is there
//
// [Store.Walk] lists the unfinished multipart uploads and then the objects, tails among them, each with the key
// that it belongs to. Objects in folders below the prefix are not looked at, so a bucket may have several stores. On
// a server that does not list multipart uploads by prefix (MinIO), or where Walk is not called, a rule of the bucket
// has to end incomplete ones. [Store.Discard] deletes an object if it is still the one that Walk told of (If-Match,
// where the store knows it), and ends a multipart upload. A tail of an upload under way may be the one that its
// Upload refers to: only who knows the rows can tell.
//
// # A store that stands still
//
// Each attempt of a request has a minute to be answered, and more for the body that it sends; while a body
// is read the store has a minute to send something. What takes longer is given up and counts as
// blob.ErrUnavailable once the attempts are used up, so no upload is held for ever. These deadlines are all
// that ends the requests of an Append: its context ends the reading, and what was read by then is made durable.
//
// # Many replicas
//
// One process refuses a second Append to the same upload with blob.ErrBusy. Between processes the
// compare-and-set on the stored Upload decides; the store makes sure that the loser does no harm. Tails
// have names of their own. A part that the loser sent over the winner's has another ETag, so that the
// winner's Complete fails with blob.ErrLost instead of making an object of mixed bytes. A Complete that
// comes late does not replace the object (on stores that know If-None-Match: AWS, MinIO, Ceph, R2,
// versitygw …; one that answers "not implemented" is asked without it, and [Store.KeepsFirst] finds out).
//
// The object <prefix>berth-store-id tells one bucket and prefix from another (see [Store.Identity]), so that a
// server can notice that it was given one which is not its database's. It is to be copied along with the blobs.
package s3blob

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// Config says which bucket, and how to reach it.
type Config struct {
	Bucket string // required; it must exist
	Prefix string // put before every object's name, as a folder: "berth" makes "berth/<key>"
	Region string // us-east-1 if empty and the AWS configuration names none
	// Endpoint is the store's URL, such as https://minio.example.com:9000; empty is AWS. AWS_ENDPOINT_URL is
	// not looked at: where it is set it often leads to Berth itself.
	Endpoint string
	// PublicEndpoint replaces Endpoint in pre-signed URLs, where clients know the store by another address.
	PublicEndpoint string
	// AccessKeyID and SecretAccessKey; without them the AWS SDK's default chain is asked (environment,
	// shared files, web identity, container and instance roles).
	AccessKeyID, SecretAccessKey, SessionToken string
	PathStyle                                  bool // https://host/bucket/key, which most stores other than AWS need

	PartSize    int64         // of multipart uploads; 8 MiB if 0, at least 5 MiB
	MaxAttempts int           // of each request, the first included; 4 if 0
	MaxBackoff  time.Duration // between attempts; 5 s if 0
	Stall       time.Duration // how long the store may be silent; a minute if 0
}

const (
	mib             = 1 << 20
	minPartSize     = 5 * mib
	defaultPartSize = 8 * mib // 10,000 parts of it are 80,000 MiB, more than a layer may have
	maxSending      = 16      // parts on their way at a time, over all uploads
	rememberedBytes = 32 * mib
	maxPresign      = 7 * 24 * time.Hour // S3's own limit
)

// Store is a [blob.Store] and a [blob.Presigner] on a bucket.
type Store struct {
	client   *s3.Client
	presign  *s3.PresignClient
	bucket   string
	prefix   string
	partSize int64
	body     []func(*s3.Options) // for requests that carry an object's bytes

	busy    busyKeys
	tails   recent        // the newest tails, so that the usual Complete need not fetch one
	sending chan struct{} // a place for each part on its way
}

var (
	_ blob.Store     = (*Store)(nil)
	_ blob.Presigner = (*Store)(nil)
)

// Open connects to the bucket and makes sure that it answers.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Bucket == "" {
		return nil, errors.New("opening bucket: no bucket is named")
	}
	c.PartSize = cmp.Or(c.PartSize, defaultPartSize)
	if c.PartSize < minPartSize {
		return nil, fmt.Errorf("opening bucket %s: a part size of %d is less than the %d that S3 takes", c.Bucket, c.PartSize, minPartSize)
	}
	options, err := clientOptions(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening bucket %s: %w", c.Bucket, err)
	}
	client := s3.New(options)
	if c.PublicEndpoint != "" {
		options.BaseEndpoint = aws.String(c.PublicEndpoint)
	}
	s := &Store{
		client:   client,
		presign:  s3.NewPresignClient(s3.New(options)),
		bucket:   c.Bucket,
		partSize: c.PartSize,
		sending:  make(chan struct{}, maxSending),
		tails:    recent{room: rememberedBytes},
	}
	if p := strings.Trim(c.Prefix, "/"); p != "" {
		s.prefix = p + "/"
	}
	if !strings.HasPrefix(c.Endpoint, "http://") {
		// TLS guards the bytes already: one pass of SHA-256 over everything less.
		s.body = append(s.body, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	}
	if _, err := client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.bucket}); err != nil {
		return nil, s.openError(c, err)
	}
	return s, nil
}

// openError says what to look at, for these are the errors of somebody who is setting things up.
func (s *Store) openError(c Config, err error) error {
	where := cmp.Or(c.Endpoint, "AWS")
	switch status(err) {
	case http.StatusNotFound:
		return fmt.Errorf("opening bucket %s at %s: there is no such bucket, or the access key does not see it: %w", c.Bucket, where, err)
	case http.StatusForbidden:
		return fmt.Errorf("opening bucket %s at %s: the credentials are wrong or may not use it: %w", c.Bucket, where, err)
	case http.StatusMovedPermanently:
		return fmt.Errorf("opening bucket %s at %s: the bucket is in another region: %w", c.Bucket, where, err)
	default:
		return fmt.Errorf("opening bucket %s at %s: %w", c.Bucket, where, storeError(err))
	}
}

// clientOptions makes the S3 client's options by hand: s3.New, unlike s3.NewFromConfig, takes nothing
// from the environment.
func clientOptions(ctx context.Context, c Config) (s3.Options, error) {
	o := s3.Options{
		Region:       c.Region,
		UsePathStyle: c.PathStyle,
		HTTPClient: impatient{
			client: awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.MaxIdleConnsPerHost = 64 }),
			stall:  cmp.Or(c.Stall, defaultStall),
		},
		Retryer: retry.NewStandard(func(r *retry.StandardOptions) {
			r.MaxAttempts = cmp.Or(c.MaxAttempts, 4)
			r.MaxBackoff = cmp.Or(c.MaxBackoff, 5*time.Second)
		}),
		// Checksums that S3 invented later make other stores refuse requests.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if c.Endpoint != "" {
		o.BaseEndpoint = aws.String(c.Endpoint)
	}
	if c.AccessKeyID != "" {
		o.Credentials = credentials.NewStaticCredentialsProvider(c.AccessKeyID, c.SecretAccessKey, c.SessionToken)
	} else {
		chain, err := config.LoadDefaultConfig(ctx)
		if err != nil {
			return o, fmt.Errorf("finding AWS credentials: %w", err)
		}
		o.Credentials = chain.Credentials
		o.Region = cmp.Or(o.Region, chain.Region)
	}
	o.Region = cmp.Or(o.Region, "us-east-1")
	return o, nil
}

// Open implements [blob.Store].
func (s *Store) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("opening blob %s: negative offset %d", key, offset)
	}
	if length == 0 {
		if _, err := s.Size(ctx, key); err != nil {
			return nil, err
		}
		return http.NoBody, nil
	}
	in := &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key)}
	switch {
	case length > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := s.client.GetObject(ctx, in)
	if status(err) == http.StatusRequestedRangeNotSatisfiable {
		return http.NoBody, nil // the object is there and ends before offset
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", key, storeError(err))
	}
	return &objectReader{body: out.Body, key: key}, nil
}

// objectReader puts the sentinel on what interrupts a body.
type objectReader struct {
	body io.ReadCloser
	key  blob.Key
}

func (r *objectReader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // a Reader's end is io.EOF itself
		err = fmt.Errorf("reading blob %s: %w", r.key, storeError(err))
	}
	return n, err
}

func (r *objectReader) Close() error { return r.body.Close() }

// Size implements [blob.Store].
func (s *Store) Size(ctx context.Context, key blob.Key) (int64, error) {
	if err := checkKey(key); err != nil {
		return 0, err
	}
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: s.name(key)})
	if err != nil {
		return 0, fmt.Errorf("measuring blob %s: %w", key, storeError(err))
	}
	return aws.ToInt64(out.ContentLength), nil
}

// Delete implements [blob.Store].
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if err := checkKey(key); err != nil {
		return err
	}
	return s.deleteObject(ctx, *s.name(key))
}

func (s *Store) deleteObject(ctx context.Context, name string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.bucket, Key: &name})
	if err = storeError(err); err != nil && !errors.Is(err, blob.ErrNotFound) {
		return fmt.Errorf("deleting object %s: %w", name, err)
	}
	return nil
}

// PresignGet implements [blob.Presigner].
func (s *Store) PresignGet(ctx context.Context, key blob.Key, ttl time.Duration) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if ttl < time.Second || ttl > maxPresign {
		return "", fmt.Errorf("signing a URL for blob %s: it cannot live %v, only a second to seven days", key, ttl)
	}
	req, err := s.presign.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: s.name(key)}, s3.WithPresignExpires(ttl))
	if err != nil {
		return "", fmt.Errorf("signing a URL for blob %s: %w", key, err)
	}
	return req.URL, nil
}

// name is the object's name in the bucket.
func (s *Store) name(key blob.Key) *string { return aws.String(s.prefix + string(key)) }

// tailName is the name of one of the key's tails, or, with an empty id, what all of them begin with.
func (s *Store) tailName(key blob.Key, id string) string {
	return s.prefix + string(key) + tailMark + id
}

// checkKey refuses whatever is not a key, so that no key reaches another object or leaves the prefix.
func checkKey(key blob.Key) error {
	if len(key) != 32 || strings.Trim(string(key), "0123456789abcdef") != "" {
		return fmt.Errorf("blob key %q is not 32 hexadecimal digits", key)
	}
	return nil
}
