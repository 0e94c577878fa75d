package iam

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/core/access"
)

// document writes a policy document as IAM does in answers: percent-encoded (RFC 3986), everything but unreserved
// characters.
func document(text string) *string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return aws.String(b.String())
}

// page reads what a list is asked for.
func page(marker *string, maxItems *int32) access.Page {
	p := access.Page{Marker: aws.ToString(marker)}
	if maxItems != nil {
		p.Limit = int(*maxItems)
		if p.Limit == 0 {
			p.Limit = -1 // asked for, and refused
		}
	}
	return p
}

// markerOf gives the marker for the next page, or nothing at the end of the list.
func markerOf(marker string) *string {
	if marker == "" {
		return nil
	}
	return aws.String(marker)
}

func readTags(tags []types.Tag) []access.Tag {
	var read []access.Tag
	for _, t := range tags {
		read = append(read, access.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	return read
}

func wireTags(tags []access.Tag) []types.Tag {
	wire := make([]types.Tag, 0, len(tags))
	for _, t := range tags {
		wire = append(wire, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return wire
}

// date gives a time of which IAM tells seconds; nothing for the zero time.
func date(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return aws.Time(t.UTC().Truncate(time.Second))
}

// boundary gives a permissions boundary, or nothing where none is set.
func boundary(arn string) *types.AttachedPermissionsBoundary {
	if arn == "" {
		return nil
	}
	return &types.AttachedPermissionsBoundary{
		PermissionsBoundaryArn: aws.String(arn), PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy,
	}
}
