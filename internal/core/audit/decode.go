package audit

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Record is a record of the log as it is read.
type Record struct {
	Line []byte // the JSON as it is in the log, without the line's end

	Log      string // which log it is in, and at which place
	Sequence int64
	Previous []byte // the first bytes of the hash of the record before

	At        time.Time
	EventID   string
	RequestID string
	Type      string // AwsApiCall, or AwsServiceEvent for what the registry did by itself
	Source    string // ecr.amazonaws.com
	Operation string
	ReadOnly  bool

	Principal      string // see [Principal]
	ARN            string // of the caller: of a role's session the session's
	UserName       string // of a user, of a role, or who a session is called by
	AccessKeyID    string
	Subject        string // of the web identity that the session was begun with
	Provider       string // the ARN of its issuer
	SourceIdentity string
	Address        string
	UserAgent      string

	Repository string
	Images     []ImageName
	Resources  []string // ARNs

	Method, Path string
	Status       int
	Fault        string
	Message      string
	DecidedBy    string
	Pulled       []oci.Digest
	BytesIn      int64
	BytesOut     int64
	Duration     time.Duration
}

// Denied tells whether a permission was lacking, or credentials did not hold.
func (r *Record) Denied() bool { return denied(r.Status, r.Fault) }

// Service is the operation's service as ARNs call it: ecr.
func (r *Record) Service() string { return strings.TrimSuffix(r.Source, ".amazonaws.com") }

// document is what of a record's JSON is read.
type document struct {
	UserIdentity struct {
		Type             string `json:"type"`
		ARN              string `json:"arn"`
		AccessKeyID      string `json:"accessKeyId"`
		UserName         string `json:"userName"`
		InvokedBy        string `json:"invokedBy"`
		IdentityProvider string `json:"identityProvider"`
		SessionContext   struct {
			SessionIssuer struct {
				ARN      string `json:"arn"`
				UserName string `json:"userName"`
			} `json:"sessionIssuer"`
			WebIDFederationData struct {
				FederatedProvider string `json:"federatedProvider"`
			} `json:"webIdFederationData"`
			SourceIdentity string `json:"sourceIdentity"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
	EventSource       string `json:"eventSource"`
	EventName         string `json:"eventName"`
	SourceIPAddress   string `json:"sourceIPAddress"`
	UserAgent         string `json:"userAgent"`
	ErrorCode         string `json:"errorCode"`
	ErrorMessage      string `json:"errorMessage"`
	RequestParameters struct {
		RepositoryName string `json:"repositoryName"`
		ImageIDs       []struct {
			Digest oci.Digest `json:"imageDigest"`
			Tag    string     `json:"imageTag"`
		} `json:"imageIds"`
	} `json:"requestParameters"`
	Details struct {
		RepositoryName string     `json:"repositoryName"`
		ImageDigest    oci.Digest `json:"imageDigest"`
		ImageTags      []string   `json:"imageTags"`
	} `json:"serviceEventDetails"`
	RequestID string `json:"requestID"`
	EventID   string `json:"eventID"`
	ReadOnly  bool   `json:"readOnly"`
	EventType string `json:"eventType"`
	Resources []struct {
		ARN string `json:"ARN"`
	} `json:"resources"`
	Additional struct {
		At             time.Time    `json:"at"`
		Method         string       `json:"method"`
		Path           string       `json:"path"`
		Status         int          `json:"status"`
		BytesIn        int64        `json:"bytesIn"`
		BytesOut       int64        `json:"bytesOut"`
		DurationMicros int64        `json:"durationMicros"`
		DecidedBy      string       `json:"decidedBy"`
		Pulled         []oci.Digest `json:"pulledImages"`
		Subject        string       `json:"webIdentitySubject"`
		Log            string       `json:"log"`
		Sequence       int64        `json:"sequence"`
		Previous       string       `json:"previous"`
	} `json:"additionalEventData"`
}

// Decode reads a record that an Encoder wrote. The record keeps the line.
func Decode(line []byte) (Record, error) {
	if r, ok := scan(line); ok {
		return r, nil
	}
	return decode(line)
}

// decode is Decode for any JSON.
func decode(line []byte) (Record, error) {
	var d document
	if err := json.Unmarshal(line, &d); err != nil {
		return Record{}, fmt.Errorf("reading a record of the audit log: %w", err)
	}
	u, a := &d.UserIdentity, &d.Additional
	previous, err := hex.DecodeString(a.Previous)
	if err != nil {
		return Record{}, fmt.Errorf("reading a record of the audit log: %w", err)
	}
	r := Record{
		Line: line, Log: a.Log, Sequence: a.Sequence, Previous: previous,
		At: a.At, EventID: d.EventID, RequestID: d.RequestID, Type: d.EventType, Source: d.EventSource, Operation: d.EventName, ReadOnly: d.ReadOnly,
		ARN: u.ARN, UserName: orElse(u.UserName, u.SessionContext.SessionIssuer.UserName), AccessKeyID: u.AccessKeyID,
		Subject: a.Subject, Provider: orElse(u.SessionContext.WebIDFederationData.FederatedProvider, u.IdentityProvider),
		SourceIdentity: u.SessionContext.SourceIdentity, Address: d.SourceIPAddress, UserAgent: d.UserAgent,
		Repository: orElse(d.RequestParameters.RepositoryName, d.Details.RepositoryName),
		Method:     a.Method, Path: a.Path, Status: a.Status, Fault: d.ErrorCode, Message: d.ErrorMessage, DecidedBy: a.DecidedBy, Pulled: a.Pulled,
		BytesIn: a.BytesIn, BytesOut: a.BytesOut, Duration: time.Duration(a.DurationMicros) * time.Microsecond,
	}
	r.named(u.InvokedBy, u.SessionContext.SessionIssuer.ARN)
	for _, id := range d.RequestParameters.ImageIDs {
		r.Images = append(r.Images, ImageName{id.Digest, id.Tag})
	}
	if d.Details.ImageDigest != "" && len(d.Details.ImageTags) == 0 {
		r.Images = append(r.Images, ImageName{Digest: d.Details.ImageDigest})
	}
	for _, tag := range d.Details.ImageTags {
		r.Images = append(r.Images, ImageName{d.Details.ImageDigest, tag})
	}
	for _, resource := range d.Resources {
		r.Resources = append(r.Resources, resource.ARN)
	}
	return r, nil
}

// named says who the record's principal is.
func (r *Record) named(invokedBy, issuer string) {
	switch {
	case invokedBy != "":
		r.ARN, r.Principal = invokedBy, invokedBy
	case issuer != "":
		r.Principal = issuer
	case r.ARN != "":
		r.Principal = r.ARN
	default:
		r.Principal = Anonymous
	}
}
