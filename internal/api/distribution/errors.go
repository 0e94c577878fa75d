package distribution

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// answer is how a fault reads over this protocol.
type answer struct {
	status int
	code   string // of the spec's table of error codes, or distribution's where the spec has none
}

// The codes of the envelope. The first group is the distribution spec's; the rest, which the spec leaves
// open, are the ones distribution uses and docker knows.
const (
	blobUnknown         = "BLOB_UNKNOWN"
	blobUploadInvalid   = "BLOB_UPLOAD_INVALID"
	blobUploadUnknown   = "BLOB_UPLOAD_UNKNOWN"
	digestInvalid       = "DIGEST_INVALID"
	manifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	manifestInvalid     = "MANIFEST_INVALID"
	manifestUnknown     = "MANIFEST_UNKNOWN"
	nameInvalid         = "NAME_INVALID"
	nameUnknown         = "NAME_UNKNOWN"
	sizeInvalid         = "SIZE_INVALID"
	unauthorized        = "UNAUTHORIZED"
	denied              = "DENIED"
	unsupported         = "UNSUPPORTED"
	tooManyRequests     = "TOOMANYREQUESTS"

	tagInvalid   = "TAG_INVALID"
	rangeInvalid = "RANGE_INVALID"
	unavailable  = "UNAVAILABLE"
	unknown      = "UNKNOWN"
)

// answers is the one table from faults to this protocol. A test holds it complete. Faults that no operation
// of this face comes to stand in it all the same, with what would be true of them.
var answers = map[fault.Code]answer{
	// As ECR answers its n=1001 (reference of ECR, OCI endpoints).
	fault.InvalidParameter:      {http.StatusBadRequest, unsupported},
	fault.RepositoryNameInvalid: {http.StatusBadRequest, nameInvalid},
	fault.DigestInvalid:         {http.StatusBadRequest, digestInvalid},
	fault.TagInvalid:            {http.StatusBadRequest, tagInvalid},
	fault.PageTokenInvalid:      {http.StatusBadRequest, unsupported},

	fault.RepositoryNotFound:  {http.StatusNotFound, nameUnknown},
	fault.RepositoryExists:    {http.StatusConflict, nameInvalid},
	fault.RepositoryNotEmpty:  {http.StatusConflict, unsupported},
	fault.ResourceTagInvalid:  {http.StatusBadRequest, unsupported},
	fault.TooManyResourceTags: {http.StatusBadRequest, unsupported},

	fault.ImageNotFound:         {http.StatusNotFound, manifestUnknown},
	fault.TagDoesNotMatchDigest: {http.StatusNotFound, manifestUnknown},
	fault.ImageIDMissing:        {http.StatusBadRequest, manifestInvalid},
	// 405 with an Allow that lacks DELETE says what is true: not this manifest, not now. The spec has 400 and
	// 405 for deletions that a registry does not do, and nothing for those that it does not do yet.
	fault.ImageReferenced: {http.StatusMethodNotAllowed, unsupported},
	fault.ImagePinned:     {http.StatusMethodNotAllowed, unsupported}, // see ImageReferenced
	// What clients and proxies make of 409 is right: the request was, and is no longer. None tries it again unchanged.
	fault.DeploymentConflict: {http.StatusConflict, tagInvalid},
	// Kaniko and others match ECR's sentence, docker prints it (reference of ECR, tag mutability).
	fault.TagImmutable:    {http.StatusBadRequest, tagInvalid},
	fault.ManifestInvalid: {http.StatusBadRequest, manifestInvalid},
	// ECR answers 405 UNSUPPORTED. Clients take 405 on a PUT to mean that the registry cannot store such
	// manifests at all, and fall back to other kinds; the spec's 400 says that these bytes are at fault.
	fault.ManifestNotJSON: {http.StatusBadRequest, manifestInvalid},
	// "413 Payload Too Large" is the spec's status for a manifest over the limit.
	fault.ManifestTooLarge:        {http.StatusRequestEntityTooLarge, manifestInvalid},
	fault.ManifestTypeUnsupported: {http.StatusBadRequest, manifestInvalid},
	fault.DigestMismatch:          {http.StatusBadRequest, digestInvalid},
	// 400, as distribution has it: what the request names, the repository, is there, and 404 would say that
	// it is not (containerd would then try the next mirror). The code tells the case apart.
	fault.ReferencedLayersNotFound: {http.StatusBadRequest, manifestBlobUnknown},
	fault.ReferencedImagesNotFound: {http.StatusBadRequest, manifestBlobUnknown},

	fault.LayerNotFound:     {http.StatusNotFound, blobUnknown},
	fault.LayerInaccessible: {http.StatusNotFound, blobUnknown},
	// Not 404: the layer is there for whoever looks at the images, and the fault is this server's.
	fault.LayerDamaged:        {http.StatusInternalServerError, unknown},
	fault.LayerExists:         {http.StatusConflict, blobUploadInvalid},
	fault.LayerInUse:          {http.StatusMethodNotAllowed, unsupported}, // see ImageReferenced
	fault.LayerDigestMismatch: {http.StatusBadRequest, digestInvalid},
	fault.LayerTooLarge:       {http.StatusRequestEntityTooLarge, sizeInvalid},
	fault.UploadNotFound:      {http.StatusNotFound, blobUploadUnknown},
	// The spec asks for 416; Location and Range then tell where the upload stands.
	fault.UploadOutOfOrder:   {http.StatusRequestedRangeNotSatisfiable, blobUploadInvalid},
	fault.UploadBusy:         {http.StatusConflict, blobUploadInvalid},
	fault.UploadPartSize:     {http.StatusBadRequest, sizeInvalid},
	fault.UploadPartTooSmall: {http.StatusBadRequest, blobUploadInvalid},
	fault.UploadEmpty:        {http.StatusBadRequest, blobUploadInvalid},
	fault.UploadInterrupted:  {http.StatusBadRequest, blobUploadInvalid}, // mostly nobody is left to read it

	// Settings are not this protocol's; an image that is archived is not there for it.
	fault.RepositoryPolicyNotFound:     {http.StatusNotFound, unsupported},
	fault.RegistryPolicyNotFound:       {http.StatusNotFound, unsupported},
	fault.RegistrySettingInvalid:       {http.StatusBadRequest, unsupported},
	fault.TemplateExists:               {http.StatusConflict, unsupported},
	fault.TemplateNotFound:             {http.StatusNotFound, unsupported},
	fault.ExclusionExists:              {http.StatusConflict, unsupported},
	fault.ExclusionNotFound:            {http.StatusNotFound, unsupported},
	fault.SigningConfigurationNotFound: {http.StatusNotFound, unsupported},
	fault.LifecyclePolicyNotFound:      {http.StatusNotFound, unsupported},
	fault.PreviewNotFound:              {http.StatusNotFound, unsupported},
	fault.PreviewInProgress:            {http.StatusConflict, unsupported},
	fault.ScanNotFound:                 {http.StatusNotFound, unsupported},
	fault.ImageNotScannable:            {http.StatusBadRequest, unsupported},
	fault.ImageArchived:                {http.StatusNotFound, manifestUnknown},
	fault.StorageClassRefused:          {http.StatusBadRequest, unsupported},
	fault.BackfillInProgress:           {http.StatusConflict, unsupported},
	fault.BackfillStatus:               {http.StatusConflict, unsupported},
	fault.BackfillNotFound:             {http.StatusNotFound, unsupported},
	fault.CheckInProgress:              {http.StatusConflict, unsupported},
	fault.CheckNotFound:                {http.StatusNotFound, unsupported},
	fault.CheckEnded:                   {http.StatusConflict, unsupported},

	fault.PullThroughRuleExists:   {http.StatusConflict, unsupported},
	fault.PullThroughRuleNotFound: {http.StatusNotFound, nameUnknown},
	fault.UpstreamUnsupported:     {http.StatusBadRequest, unsupported},
	fault.SecretNotFound:          {http.StatusForbidden, denied},
	fault.UpstreamDenied:          {http.StatusForbidden, denied},
	// 429 with the upstream's own Retry-After: clients know what to do with both.
	fault.UpstreamBusy:        {http.StatusTooManyRequests, tooManyRequests},
	fault.UpstreamUnavailable: {http.StatusBadGateway, unavailable},

	fault.AccessDenied: {http.StatusForbidden, denied},
	// Every 401 carries the challenge, so that docker and the others ask for credentials again.
	fault.CredentialsMissing:   {http.StatusUnauthorized, unauthorized}, // in ECR's plain text, see refuse
	fault.CredentialsMalformed: {http.StatusUnauthorized, unauthorized},
	fault.AccessKeyUnknown:     {http.StatusUnauthorized, unauthorized},
	fault.TokenInvalid:         {http.StatusUnauthorized, unauthorized},
	// 403 as ECR has it: clients stop there and print the sentence that says what to do. On 401 they would
	// ask their credential store again, which has nothing but the same token.
	fault.TokenExpired:    {http.StatusForbidden, denied},
	fault.SessionExpired:  {http.StatusForbidden, denied},
	fault.TooManyFailures: {http.StatusTooManyRequests, tooManyRequests},
	// Only pre-signed links have signatures here, and no other credentials would help them: 403, as S3 has it.
	fault.SignatureMismatch: {http.StatusForbidden, denied},
	fault.SignatureExpired:  {http.StatusForbidden, denied},

	fault.OperationUnknown:     {http.StatusNotFound, unsupported},
	fault.OperationUnsupported: {http.StatusMethodNotAllowed, unsupported},
	fault.SettingUnsupported:   {http.StatusBadRequest, unsupported},
	fault.RequestMalformed:     {http.StatusBadRequest, unsupported},
	fault.RequestTooLarge:      {http.StatusRequestEntityTooLarge, sizeInvalid},
	// Not 429, which clients would retry at once: a quota does not come back by waiting a second.
	fault.LimitExceeded: {http.StatusForbidden, denied},
	// 507 and not 503: clients retry 503 until they give up with a text of their own, and a disk does not empty
	// itself meanwhile. 507 they report at once, with the message.
	fault.StorageFull: {http.StatusInsufficientStorage, unknown},
	fault.Unavailable: {http.StatusServiceUnavailable, unavailable},
}

// protocolError is what goes wrong in this protocol and in none of the core's words.
type protocolError struct {
	answer
	message string
	header  http.Header // besides the usual, or nil
}

// Error gives the message.
func (e *protocolError) Error() string { return e.message }

func methodNotAllowed(method string) error {
	return &protocolError{answer{http.StatusMethodNotAllowed, unsupported}, "the method " + clip(method) + " does nothing here", nil}
}

func rangeNotSatisfiable(size int64) error {
	h := http.Header{"Content-Range": {"bytes */" + strconv.FormatInt(size, 10)}}
	return &protocolError{answer{http.StatusRequestedRangeNotSatisfiable, rangeInvalid}, "the layer has no bytes in the range", h}
}

func tooManyTags() error {
	return &protocolError{
		answer{http.StatusRequestURITooLong, tagInvalid}, "one push sets at most " + strconv.Itoa(maxTagParameters) + " tags", nil,
	}
}

// brokenBody is an error that came after the answer had begun: it can only be logged.
type brokenBody struct{ cause error }

// Error gives what broke it.
func (e *brokenBody) Error() string { return "sending a layer: " + e.cause.Error() }

// Unwrap gives the cause.
func (e *brokenBody) Unwrap() error { return e.cause }

// refuse is the one place that answers errors.
func (f *face) refuse(x *exchange, err error) {
	ctx := x.r.Context()
	middleware.LabelFault(ctx, err)
	if broken, ok := errors.AsType[*brokenBody](err); ok {
		x.noteRefusal(err, http.StatusInternalServerError, broken.Error())
		f.log.LogAttrs(ctx, slog.LevelError, "answer broke off", f.logFields(x, broken)...)
		return
	}
	if errors.Is(err, fault.CredentialsMissing) {
		x.noteRefusal(err, http.StatusUnauthorized, "")
		f.challenge(x)
		const words = "Not Authorized" // ECR's, as plain text; whoever goes by a Bearer challenge reads what stands behind it
		if strings.HasPrefix(x.w.Header().Get("Www-Authenticate"), "Bearer ") {
			x.send(http.StatusUnauthorized, "application/json; charset=utf-8", envelope(unauthorized, words))
			return
		}
		x.send(http.StatusUnauthorized, "text/plain; charset=utf-8", []byte(words+"\n"))
		return
	}
	a, message := f.read(x, err)
	x.noteRefusal(err, a.status, message)
	if a.status >= http.StatusInternalServerError && ctx.Err() == nil {
		f.log.LogAttrs(ctx, slog.LevelError, "request failed", f.logFields(x, err)...)
	}
	h := x.w.Header()
	switch a.status {
	case http.StatusUnauthorized:
		f.challenge(x)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", strings.Join(allowed(x.req.Kind, x.r.Method), ", "))
	}
	x.send(a.status, "application/json; charset=utf-8", envelope(a.code, message))
}

// read gives the answer to an error, with its words for the client, and sets the headers that go with it.
func (f *face) read(x *exchange, err error) (answer, string) {
	if p, ok := errors.AsType[*protocolError](err); ok {
		maps.Copy(x.w.Header(), p.header)
		return p.answer, p.message
	}
	found, ok := fault.Of(err)
	if !ok {
		if x.r.Context().Err() != nil && errors.Is(err, context.Canceled) {
			// The client left, or the server is stopping; whoever is still there may ask again.
			return answers[fault.Unavailable], "the request was cancelled"
		}
		return answer{http.StatusInternalServerError, unknown}, internalMessage(middleware.RequestID(x.r.Context()))
	}
	a, ok := answers[found.Code]
	if !ok {
		return answer{http.StatusInternalServerError, unknown}, internalMessage(middleware.RequestID(x.r.Context()))
	}
	switch detail := found.Detail.(type) {
	case policy.Refusal:
		f.explainDenial(x, detail)
	case fault.UploadPosition:
		x.setUpload(x.req.Name, detail.UploadID, detail.Size)
	case fault.Wait:
		x.w.Header().Set("Retry-After", strconv.Itoa(int(max(1, math.Ceil(detail.For.Seconds())))))
	}
	return a, found.Message
}

// explainDenial hands out what a refusal rests on, sealed.
func (f *face) explainDenial(x *exchange, refusal policy.Refusal) {
	if f.denials == nil {
		return
	}
	if text := f.denials.Encode(x.r.Context(), refusal); text != "" {
		x.w.Header().Set("X-Berth-Authorization-Message", text)
	}
}

func internalMessage(requestID string) string {
	const text = "the registry could not do this for a reason of its own"
	if requestID == "" {
		return text
	}
	return text + "; its log tells more under the request id " + requestID
}

func (f *face) logFields(x *exchange, err error) []slog.Attr {
	return []slog.Attr{
		slog.String("request_id", middleware.RequestID(x.r.Context())),
		slog.String("method", x.r.Method),
		slog.String("path", x.r.URL.Path),
		slog.String("caller", x.caller.ARN),
		slog.Any("error", err),
	}
}

// allowed lists the methods of a kind for the header Allow, without the one that was just refused.
func allowed(k kind, refused string) []string {
	var methods []string
	for _, r := range routes {
		if r.kind == k && r.method != refused && !slices.Contains(methods, r.method) {
			methods = append(methods, r.method)
		}
	}
	return methods
}

// envelope is the spec's body of an error.
func envelope(code, message string) []byte {
	b := make([]byte, 0, len(code)+len(message)+48)
	b = append(b, `{"errors":[{"code":`...)
	b = appendJSONString(b, code)
	b = append(b, `,"message":`...)
	b = appendJSONString(b, message)
	return append(b, "}]}\n"...)
}

// clip keeps a stranger's text short enough to be repeated.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
